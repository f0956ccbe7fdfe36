use serde_json::{Value, json};

use super::{
    api_keys,
    fixture::Fixture,
    new_values::NEW_KEY,
    signing_keys::{item, jwks},
};

/// A response without its request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The exact body.
    pub body: String,
    /// All headers except `x-request-id`, sorted.
    pub headers: Vec<(String, String)>,
}

/// The failure of that code, in the envelope of the function's route.
#[must_use]
pub fn failure(function: &str, code: &str) -> Response {
    let (status, message) = match code {
        "E4010" => (401, "Unauthorized Token or API key"),
        "E4011" => (401, "Unauthorized API key type"),
        "E4000" => (400, "Bad Request / validation error"),
        "E4030" => (403, "App Is Disabled"),
        "E4040" => (404, "Not Found"),
        "E4090" => (409, "Conflict"),
        "E0000" => (500, "Internal Server Error"),
        _ => panic!("no code {code}"),
    };
    let body = if function.contains("secret") {
        format!(r#"{{"success":false,"error":"{message}","message":null,"data":null}}"#)
    } else {
        format!(r#"{{"errors":[{{"validation":"error","code":"[{code}]","message":"{message}"}}]}}"#)
    };
    let mut headers = vec![("cache-control", "no-store"), ("content-type", "application/json")];
    if function == "get-app-jwks" {
        headers.insert(0, ("access-control-allow-origin", "*"));
    }
    if status == 401 {
        headers.push(("www-authenticate", r#"ApiKey realm="userdocks""#));
    }
    Response { status, body, headers: owned(&headers) }
}

pub fn success(fixture: &Fixture) -> Response {
    let (event, status) = (fixture.json(), fixture.status());
    let json = ("content-type", "application/json");
    let no_store = owned(&[("cache-control", "no-store"), json]);
    let tagged = |etag| owned(&[("cache-control", "no-store"), json, ("etag", etag)]);
    let revalidated = |etag| owned(&[("cache-control", "private, no-cache"), json, ("etag", etag)]);
    let public = |etag| {
        owned(&[("access-control-allow-origin", "*"), ("cache-control", "public, max-age=600"), json, ("etag", etag)])
    };
    let legacy =
        |message: &str, data: &str| format!(r#"{{"success":true,"message":"{message}","error":null,"data":{data}}}"#);
    let list = |items: &[String]| {
        let length = items.len();
        format!(r#"{{"kind":"appKeys","totalItems":{length},"itemsLength":{length},"items":[{}]}}"#, items.join(","))
    };
    let in_use = |state| item("9", "2026-02-01T00:00:00.000Z", state);
    let previous = item("8", "2026-01-01T00:00:00.000Z", "");
    let (body, headers) = match (fixture.function.as_str(), fixture.case.as_str()) {
        ("get-app-secrets", _) if event["queryStringParameters"]["include"] == "previous" => {
            let data = r#"{"secret":"test-secret-of-the-fixture-app","previousSecret":null,"previousExpiresAt":null}"#;
            (legacy("OK", data), tagged("\"23b5873cd2f01b1d6fcd630665da0d61\""))
        }
        ("get-app-secrets", _) => {
            let data = r#"{"secret":"test-secret-of-the-fixture-app"}"#;
            (legacy("OK", data), tagged("\"a74326a51f0af6368e649665cb6f5360\""))
        }
        ("get-app-keys", "200-no-keys" | "200-upper-case-ids") => {
            (list(&[]), revalidated("\"c1f518da31a94116d592aa3db86a57cb\""))
        }
        ("get-app-keys", _) => (list(&[in_use(""), previous]), revalidated("\"3af615c8ec2b0fecae8094e915d72b37\"")),
        ("get-app-jwks", "200-upper-case-id" | "200-disabled-app") => {
            (r#"{"keys":[]}"#.to_owned(), public("\"9638d11914735d0072002dd4d67c734a\""))
        }
        ("get-app-jwks", _) => (jwks(), public("\"6b176debc79e23cf1cf525928265c934\"")),
        ("post-app-keys", _) => (list(&[NEW_KEY.to_owned()]), no_store),
        ("put-app-key", _) => (list(&[in_use("in_use")]), no_store),
        ("delete-app-key", _) => (list(&[item("7", "2026-01-01T00:00:00.000Z", "revoked")]), no_store),
        ("post-app-secrets", _) => {
            (legacy("Created", r#"{"secret":"<64 characters>","previousExpiresAt":"<time>"}"#), no_store)
        }
        ("delete-previous-app-secret", _) => {
            (legacy("OK", r#"{"previousSecret":null,"previousExpiresAt":null}"#), no_store)
        }
        ("get-app-api-keys", _) => (api_keys::listed(&event), no_store),
        ("post-app-api-keys", _) => (api_keys::created(&event), no_store),
        ("delete-app-api-key", _) => (api_keys::revoked(&event), no_store),
        ("post-leaks", _) => {
            let report: Vec<Value> = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            (format!(r#"{{"received":{}}}"#, report.len()), no_store)
        }
        other => panic!("no case {other:?}"),
    };
    Response { status, body: if status == 304 { String::new() } else { body }, headers }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads a response from a payload of format 2.0. Returns it and its `x-request-id`.
#[must_use]
pub fn read_payload(payload: &Value) -> (Response, String) {
    let mut headers: Vec<(String, String)> = payload["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let id = headers.iter().position(|(name, _)| name == "x-request-id").expect("every response has an x-request-id");
    let (_, id) = headers.remove(id);
    assert_eq!(payload["isBase64Encoded"], false);
    assert!(payload.get("cookies").is_none_or(|cookies| *cookies == json!([])), "{payload}");
    let status = u16::try_from(payload["statusCode"].as_u64().unwrap()).unwrap();
    (Response { status, body: payload["body"].as_str().unwrap().to_owned(), headers }, id)
}
