use serde_json::{Value, json};

use userdocks::domain::sha256_hex;

use super::{
    api_keys, apps,
    fixture::Fixture,
    new_values::NEW_KEY,
    signing_keys::{item, jwks},
};
use userdocks_local::fixtures::SECRET_VERSION;

/// A response without its `x-request-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: String,
    /// Sorted by name.
    pub headers: Vec<(String, String)>,
}

/// Returns the failure with that code in the envelope of the function's route.
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

/// Returns the success of a fixture, with placeholders for random values and times.
pub fn success(fixture: &Fixture) -> Response {
    let (event, status) = (fixture.json(), fixture.status());
    let json = ("content-type", "application/json");
    let no_store = owned(&[("cache-control", "no-store"), json]);
    let tagged = |etag: &str| owned(&[("cache-control", "no-store"), json, ("etag", etag)]);
    let revalidated = |body: &str| owned(&[("cache-control", "private, no-cache"), json, ("etag", &etag(body))]);
    let public = |body: &str| {
        let cached = ("cache-control", "public, max-age=600");
        owned(&[("access-control-allow-origin", "*"), cached, json, ("etag", &etag(body))])
    };
    let legacy =
        |message: &str, data: &str| format!(r#"{{"success":true,"message":"{message}","error":null,"data":{data}}}"#);
    let list = |items: &[String]| {
        let length = items.len();
        format!(r#"{{"kind":"appKeys","totalItems":{length},"itemsLength":{length},"items":[{}]}}"#, items.join(","))
    };
    let in_use = |state| item("9", "2026-02-01T00:00:00.000Z", state);
    let previous = item("8", "2026-01-01T00:00:00.000Z", "");
    let (body, headers) = match fixture.function.as_str() {
        "get-app-secrets" if event["queryStringParameters"]["include"] == "previous" => {
            let data = r#"{"secret":"test-secret-of-the-fixture-app","previousSecret":null,"previousExpiresAt":null}"#;
            (legacy("OK", data), tagged(&etag_of_versions(SECRET_VERSION, "", "true")))
        }
        "get-app-secrets" => {
            let data = r#"{"secret":"test-secret-of-the-fixture-app"}"#;
            (legacy("OK", data), tagged(&etag_of_versions(SECRET_VERSION, "", "false")))
        }
        "get-app-keys" => {
            let body = if has_signing_keys(&event) { list(&[in_use(""), previous]) } else { list(&[]) };
            let headers = revalidated(&body);
            (body, headers)
        }
        "get-app-jwks" => {
            let body = if has_signing_keys(&event) { jwks() } else { r#"{"keys":[]}"#.to_owned() };
            let headers = public(&body);
            (body, headers)
        }
        "post-app-keys" => (list(&[NEW_KEY.to_owned()]), no_store),
        "put-app-key" => (list(&[in_use("in_use")]), no_store),
        "delete-app-key" => (list(&[item("7", "2026-01-01T00:00:00.000Z", "revoked")]), no_store),
        "post-app-secrets" => {
            (legacy("Created", r#"{"secret":"<64 characters>","previousExpiresAt":"<time>"}"#), no_store)
        }
        "delete-previous-app-secret" => (legacy("OK", r#"{"previousSecret":null,"previousExpiresAt":null}"#), no_store),
        "get-app-api-keys" => (api_keys::listed(&event), no_store),
        "post-app-api-keys" => (api_keys::created(&event), no_store),
        "delete-app-api-key" => (api_keys::revoked(&event), no_store),
        "post-leaks" => {
            let report: Vec<Value> = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            (format!(r#"{{"received":{}}}"#, report.len()), no_store)
        }
        other => panic!("no function {other}"),
    };
    Response { status, body: if status == 304 { String::new() } else { body }, headers }
}

/// Returns the tag of a response that may be cached: the first half of the body's SHA-256.
fn etag(body: &str) -> String {
    tag(body.as_bytes())
}

/// Returns the tag of the secret, from the versions that the response returns and from the query's `include`.
fn etag_of_versions(current: &str, previous: &str, includes_previous: &str) -> String {
    let parts = [current, previous, includes_previous];
    let with_length = |part: &str| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat();
    tag(&parts.map(with_length).concat())
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &sha256_hex(bytes)[..32])
}

/// Returns whether the app in the event's path has signing keys.
fn has_signing_keys(event: &Value) -> bool {
    let parameters = event["pathParameters"].as_object().unwrap();
    let id = parameters.values().next().unwrap().as_str().unwrap().to_lowercase();
    let app = apps().into_iter().find(|app| app["uuid"] == *id).unwrap();
    !app["signingKeys"].as_array().unwrap().is_empty()
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads a payload of format 2.0. Returns the response and its `x-request-id`.
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
