//! Requests over HTTP, and responses that can be compared with the contract's.

use reqwest::blocking::Client;
use serde_json::Value;

use crate::contract::{Fixture, Response, Route};

/// Returns a client that sends header names in title case and uses no proxy.
#[must_use]
pub fn client() -> Client {
    Client::builder().no_proxy().http1_title_case_headers().build().unwrap()
}

/// Sends a request. Returns the response and its `x-request-id`.
#[must_use]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> (Response, String) {
    let mut request = client().request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let request_id = header("x-request-id").expect("every response has an x-request-id");
    // Headers that servers add. API Gateway and the emulator have their own names for the request's id.
    let servers = [
        "apigw-requestid",
        "connection",
        "content-length",
        "date",
        "lambda-runtime-aws-request-id",
        "server",
        "x-request-id",
    ];
    assert!(header("transfer-encoding").is_none(), "a response is one un-chunked body");
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| !servers.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (Response { status, body: response.text().unwrap(), headers }, request_id)
}

/// Sends a fixture's event to an endpoint with Lambda's Invoke API and returns the payload.
#[must_use]
pub fn invoke(endpoint: &str, function: &str, fixture: &Fixture) -> Value {
    let url = format!("{endpoint}/2015-03-31/functions/{function}/invocations");
    client().post(url).body(fixture.event.clone()).send().unwrap().json().unwrap()
}

/// The HTTP request that API Gateway turns into an event.
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Request {
    /// Returns the request of a fixture's event, or `None` if no client can send it.
    #[must_use]
    pub fn of(fixture: &Fixture) -> Option<Self> {
        let event = fixture.json();
        let lacks_parameters = event["pathParameters"].is_null() && Route::of(&fixture.function).path.contains('{');
        if lacks_parameters || !fixture.is_readable() || fixture.depends_on_address() {
            return None;
        }
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        Some(Self {
            method: text("routeKey").split_once(' ').unwrap().0.to_owned(),
            path: format!("{}?{}", text("rawPath"), text("rawQueryString")),
            headers: sendable_headers(&event)?,
            body: event["body"].as_str().map(str::to_owned),
        })
    }

    #[must_use]
    pub fn send(&self, api: &str) -> Response {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (response, request_id) = send(&self.method, &format!("{api}{}", self.path), &headers, self.body.as_deref());
        assert!(!request_id.is_empty());
        response
    }
}

/// Returns the headers that the client sent, or `None` if one of them cannot be sent.
fn sendable_headers(event: &Value) -> Option<Vec<(String, String)>> {
    let servers =
        ["content-length", "host", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"];
    let headers = event["headers"].as_object()?;
    let sent = headers.iter().filter(|(name, _)| !servers.contains(&name.to_lowercase().as_str()));
    sent.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
