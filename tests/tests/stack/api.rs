//! Requests and commands on the running stack.

use serde_json::Value;
use userdocks_test_support::{contract::Response, http::send, stack::Stack};

pub fn get(url: &str, headers: &[(&str, &str)]) -> (Response, String) {
    send("GET", url, headers, None)
}

/// Sends a GET with an app's read key.
pub fn call(stack: &Stack, app: &str, resource: &str, key: &str) -> Response {
    let headers = [("x-api-key", key), ("x-api-key-type", "read"), ("x-client-id", app)];
    get(&format!("{}/api/v1/apps/{app}/{resource}", stack.api()), &headers).0
}

pub fn secret(stack: &Stack, app: &str, key: &str) -> String {
    let response = call(stack, app, "secrets", key);
    assert_eq!(response.status, 200, "{}", response.body);
    let body: Value = serde_json::from_str(&response.body).unwrap();
    body["data"]["secret"].as_str().unwrap().to_owned()
}

pub fn keys(stack: &Stack, app: &str, key: &str) -> Vec<Value> {
    let response = call(stack, app, "keys", key);
    assert_eq!(response.status, 200, "{}", response.body);
    let body: Value = serde_json::from_str(&response.body).unwrap();
    body["items"].as_array().unwrap().clone()
}

pub fn admin_with_input(stack: &Stack, arguments: &[&str], input: &str) -> Value {
    let output = stack.admin(&[&["--output", "json"], arguments].concat(), input);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else")
}

pub fn admin(stack: &Stack, arguments: &[&str]) -> Value {
    admin_with_input(stack, arguments, "")
}

pub fn admin_fails(stack: &Stack, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let output = stack.admin(&[&["--output", "json"], arguments].concat(), input);
    assert_eq!(output.stdout, b"", "{arguments:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

pub fn field_names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
