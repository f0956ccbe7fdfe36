//! What the template gives the functions, against what they were seen to need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use end_to_end::{
    backend::{Backend, Call, Fate, SECRET_PREFIX, TABLE},
    binary, command,
    contract::{FUNCTIONS, Fixture},
    function::{Function, environment},
    project,
};
use serde_json::{Value, json};

/// What each function may do, as the template says: an action on a kind of resource, and on what condition.
fn granted() -> BTreeMap<String, BTreeMap<String, Value>> {
    let python = env::var("TRANSLATOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = command(python).arg(project().join("tests/template/permissions.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The permissions that a call needs, in the words of `permissions.py`. A transaction needs those of what is in it.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
fn needed(call: &Call) -> Vec<String> {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let on_the_table = |operation: &str, table: &Value| {
        assert_eq!(table, TABLE);
        format!("dynamodb:{operation} on the table")
    };
    match call.operation.as_str() {
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables.map(|table| on_the_table("BatchGetItem", &json!(table))).collect()
        }
        "UpdateItem" => vec![on_the_table("UpdateItem", &body["TableName"])],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
            items.map(|(operation, item)| on_the_table(&format!("{operation}Item"), &item["TableName"])).collect()
        }
        operation => {
            let name = body.get("SecretId").unwrap_or(&body["Name"]).as_str().unwrap();
            let of_an_app = name.strip_prefix(&format!("{SECRET_PREFIX}/apps/")).unwrap();
            let kind = match of_an_app.split('/').collect::<Vec<_>>()[..] {
                [_, "secret"] => "an app's secret",
                [_, "signing-keys", _] => "a private key",
                _ => panic!("what is {name}?"),
            };
            vec![format!("secretsmanager:{operation} on {kind}")]
        }
    }
}

/// Everything that a function does: each fixture; a write under an `Idempotency-Key`, and the same again in another
/// process; and a secret's creation that was carried out but not answered.
async fn all_calls(name: &str) -> Vec<Call> {
    let backend = Backend::with_fixtures().await;
    let environment = environment(&backend);
    let mut function = Function::start(name, &environment).await;
    for fixture in Fixture::of(name) {
        function.invoke(&fixture.event).await;
    }
    let mut calls = backend.take_whole_calls();
    if !name.starts_with("get-") {
        let done = Fixture::success(name);
        let mut write = done.json();
        write["headers"]["idempotency-key"] = "again".into();
        for _ in 0..2 {
            let mut function = Function::start(name, &environment).await;
            let answer = function.invoke(&write.to_string()).await;
            assert_eq!(answer["statusCode"].to_string(), done.case[..3], "{name}");
        }
        calls.extend(backend.take_whole_calls());

        let is_first = std::sync::atomic::AtomicBool::new(true);
        backend.judge(move |call| {
            let is_creation = call.operation == "CreateSecret";
            if is_creation && is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                Fate::Unanswered
            } else {
                Fate::Forwarded
            }
        });
        let answer = function.invoke(&done.event).await;
        assert_eq!(answer["statusCode"].to_string(), done.case[..3], "{name}");
        calls.extend(backend.take_whole_calls());
    }
    calls
}

/// Every action that the template grants was seen here: none is listed as an exception.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_do_what_it_was_seen_to_do_and_nothing_else() {
    let granted = granted();
    assert_eq!(granted.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(FUNCTIONS));
    for name in FUNCTIONS {
        let calls = all_calls(name).await;
        let seen: BTreeSet<String> = calls.iter().flat_map(needed).collect();
        assert_eq!(seen, granted[name].keys().cloned().collect(), "{name}: seen, granted");
        println!("{name}: {} seen, {} granted", seen.len(), granted[name].len());

        for call in calls.iter().filter(|call| call.operation == "UpdateItem") {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            let keys = body["Key"].as_object().unwrap().keys().cloned();
            let names = body["ExpressionAttributeNames"].as_object().unwrap().values();
            let used: BTreeSet<String> = keys.chain(names.map(|name| name.as_str().unwrap().to_owned())).collect();
            let condition = &granted[name]["dynamodb:UpdateItem on the table"];
            let allowed = condition["ForAllValues:StringEquals"]["dynamodb:Attributes"].as_array().unwrap();
            assert_eq!(used, allowed.iter().map(|name| name.as_str().unwrap().to_owned()).collect(), "{name}");
            assert!(body.get("ReturnValues").is_none_or(|values| values == "NONE"));
        }
        for call in calls.iter().filter(|call| call.operation == "GetSecretValue") {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            assert!(body["VersionId"].is_string(), "{name}: what is read is named by its version");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_secrets_are_encrypted_with_the_key_that_the_environment_names() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/of-our-own";
    for (variable, expected) in [(None, Value::Null), (Some(""), Value::Null), (Some(key), json!(key))] {
        let backend = Backend::with_fixtures().await;
        let mut environment = environment(&backend);
        environment.extend(variable.map(|key| ("SECRETS_KMS_KEY_ID", key.to_owned())));
        let mut function = Function::start("post-app-keys", &environment).await;
        let answer = function.invoke(&Fixture::event("post-app-keys", "201-created")).await;
        assert_eq!(answer["statusCode"], 201);
        assert_eq!(keys_of_created_secrets(&backend), vec![expected.clone()], "post-app-keys, {variable:?}");

        let mut admin = Command::new(binary("userdocks-admin"));
        admin.args(["app", "create", "--name", "Test"]).env_clear().envs(environment);
        let created = tokio::task::spawn_blocking(move || admin.output().unwrap()).await.unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        assert_eq!(
            keys_of_created_secrets(&backend),
            vec![expected.clone(), expected],
            "userdocks-admin, {variable:?}"
        );
    }
}

fn keys_of_created_secrets(backend: &Backend) -> Vec<Value> {
    let calls = backend.take_whole_calls();
    let created = calls.iter().filter(|call| call.operation == "CreateSecret");
    created.map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["KmsKeyId"].take()).collect()
}
