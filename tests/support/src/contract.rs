//! The contract, written a second time and without the code: the response to each fixture under `events/`.

use std::{fs, path::PathBuf};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{event::Event, project};

/// A route of the API.
pub struct Route {
    /// Its function.
    pub function: &'static str,
    /// Its HTTP method.
    pub method: &'static str,
    /// Its path, as the template has it.
    pub path: &'static str,
    /// The type of API key that it requires; none if it is public.
    pub key_type: Option<&'static str>,
}

const fn route(
    function: &'static str,
    method: &'static str,
    path: &'static str,
    key_type: Option<&'static str>,
) -> Route {
    Route { function, method, path, key_type }
}

/// All routes.
pub const ROUTES: [Route; 12] = [
    route("get-app-secrets", "GET", "/api/v1/apps/{appId}/secrets", Some("read")),
    route("get-app-keys", "GET", "/api/v1/apps/{appUuid}/keys", Some("read")),
    route("get-app-jwks", "GET", "/api/v1/apps/{appUuid}/jwks.json", None),
    route("post-app-keys", "POST", "/api/v1/apps/{appUuid}/keys", Some("write")),
    route("put-app-key", "PUT", "/api/v1/apps/{appUuid}/keys/{keyUuid}", Some("write")),
    route("delete-app-key", "DELETE", "/api/v1/apps/{appUuid}/keys/{keyUuid}", Some("write")),
    route("post-app-secrets", "POST", "/api/v1/apps/{appId}/secrets", Some("write")),
    route("delete-previous-app-secret", "DELETE", "/api/v1/apps/{appId}/secrets/previous", Some("write")),
    route("get-app-api-keys", "GET", "/api/v1/apps/{appUuid}/api-keys", Some("read")),
    route("post-app-api-keys", "POST", "/api/v1/apps/{appUuid}/api-keys", Some("write")),
    route("delete-app-api-key", "DELETE", "/api/v1/apps/{appUuid}/api-keys/{apiKeyUuid}", Some("write")),
    route("post-leaks", "POST", "/api/v1/leaks", None),
];

impl Route {
    /// The route of a function.
    #[must_use]
    pub fn of(function: &str) -> &'static Self {
        ROUTES.iter().find(|route| route.function == function).unwrap_or_else(|| panic!("no function {function}"))
    }

    /// The route of a `routeKey`, such as `GET /path`.
    #[must_use]
    pub fn of_key(key: &str) -> &'static Self {
        let found = key
            .split_once(' ')
            .and_then(|(method, path)| ROUTES.iter().find(|route| route.method == method && route.path == path));
        found.unwrap_or_else(|| panic!("no route {key}"))
    }
}

/// The functions of all routes.
pub const FUNCTIONS: [&str; 8] = [
    "get-app-secrets",
    "get-app-keys",
    "get-app-jwks",
    "post-app-keys",
    "put-app-key",
    "delete-app-key",
    "post-app-secrets",
    "delete-previous-app-secret",
];

/// The functions of the routes that a read key opens.
pub const READING: [&str; 2] = ["get-app-secrets", "get-app-keys"];

/// An event of a function.
pub struct Fixture {
    /// The function it is for.
    pub function: String,
    /// The file's name without its ending. It begins with the response's status and code.
    pub case: String,
    /// The event, as it is in the file.
    pub event: String,
}

impl Fixture {
    /// All fixtures of all functions.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut fixtures = Vec::new();
        for function in FUNCTIONS {
            let mut files: Vec<PathBuf> = fs::read_dir(project().join("events").join(function))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            fixtures
                .extend(files.iter().map(|file| Self::named(function, &file.file_stem().unwrap().to_string_lossy())));
        }
        fixtures
    }

    /// The fixture of one case.
    #[must_use]
    pub fn named(function: &str, case: &str) -> Self {
        let file = project().join("events").join(function).join(format!("{case}.json"));
        let event = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { function: function.to_owned(), case: case.to_owned(), event }
    }

    /// The first fixture of a function that is a success.
    #[must_use]
    pub fn success(function: &str) -> Self {
        Self::of(function).into_iter().find(|fixture| fixture.status() < 300).unwrap()
    }

    /// All fixtures of one function.
    #[must_use]
    pub fn of(function: &str) -> Vec<Self> {
        Self::all().into_iter().filter(|fixture| fixture.function == function).collect()
    }

    /// The event of one case.
    #[must_use]
    pub fn event(function: &str, case: &str) -> String {
        Self::named(function, case).event
    }

    /// The event as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.event).unwrap()
    }

    /// The event, to be changed.
    #[must_use]
    pub fn to_event(&self) -> Event {
        self.json().into()
    }

    /// The contract's response: exact, but with forms in the place of random values and times.
    #[must_use]
    pub fn expected(&self) -> Response {
        match self.status() {
            status @ (200 | 201 | 304) => success(&self.function, &self.case, status),
            _ => failure(&self.function, &self.case[4..9]),
        }
    }

    /// Whether a function can read the event. An event that it can't read is a request without headers, id and address.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !["401-E4010-api-key-not-text", "401-E4010-no-request-context"].contains(&self.case.as_str())
    }

    /// The status that the file's name says.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.case[..3].parse().unwrap()
    }

    /// Fails unless the response is exactly the contract's, except for random values and times of the right form.
    pub fn assert_response(&self, mut response: Response) {
        if self.status() == 201 {
            response.body = without_new_values(&response.body);
        }
        assert_eq!(response, self.expected(), "{} {}", self.function, self.case);
    }
}

/// A response without its request id.
#[derive(Debug, PartialEq, Eq)]
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

fn success(function: &str, case: &str, status: u16) -> Response {
    let json = ("content-type", "application/json");
    let no_store = owned(&[("cache-control", "no-store"), json]);
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
    let (body, headers) = match (function, case) {
        ("get-app-secrets", "200-include-previous") => {
            let data = r#"{"secret":"test-secret-of-the-fixture-app","previousSecret":null,"previousExpiresAt":null}"#;
            (legacy("OK", data), no_store)
        }
        ("get-app-secrets", _) => (legacy("OK", r#"{"secret":"test-secret-of-the-fixture-app"}"#), no_store),
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
        other => panic!("no case {other:?}"),
    };
    Response { status, body: if status == 304 { String::new() } else { body }, headers }
}

const NEW_KEY: &str = r#"{"uuid":"<key id>","createdAt":"<time>","updatedAt":"<time>","type":{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"},"value":"<RSA-4096>","state":"standby"}"#;

/// Replaces random values and times by their forms.
#[must_use]
pub fn without_new_values(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let form = |value: &mut Value, form: &str, is_good: fn(&str) -> bool| {
        assert!(value.as_str().is_some_and(is_good), "{value} is not {form}");
        *value = form.into();
    };
    let is_time = |text: &str| text.len() == 24 && text.as_bytes()[19] == b'.' && text.ends_with('Z');
    if body["data"].is_object() {
        form(&mut body["data"]["secret"], "<64 characters>", |text| text.len() == 64);
        form(&mut body["data"]["previousExpiresAt"], "<time>", is_time);
    } else {
        let key = &mut body["items"][0];
        form(&mut key["uuid"], "<key id>", |text| text.len() == 43 && text.starts_with("appkey_"));
        form(&mut key["createdAt"], "<time>", is_time);
        form(&mut key["updatedAt"], "<time>", is_time);
        form(&mut key["value"], "<RSA-4096>", |pem| {
            pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.len() == 800
        });
    }
    body.to_string()
}

/// A key of the fixtures in the list envelope, with its state if one is given.
fn item(digit: &str, created: &str, state: &str) -> String {
    let uuid = key_id(digit);
    let pem = Value::from(pem(&uuid));
    let state = if state.is_empty() { String::new() } else { format!(r#","state":"{state}""#) };
    format!(
        r#"{{"uuid":"{uuid}","createdAt":"{created}","updatedAt":"2026-02-01T00:00:00.000Z","type":{{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}},"value":{pem}{state}}}"#
    )
}

fn key_id(digit: &str) -> String {
    format!("appkey_{0}-{1}-4{2}-8{2}-{3}", digit.repeat(8), digit.repeat(4), digit.repeat(3), digit.repeat(12))
}

fn pem(key_id: &str) -> String {
    let apps = fs::read_to_string(project().join("events/apps.json")).unwrap();
    let apps: Value = serde_json::from_str(&apps).unwrap();
    let keys = apps.as_array().unwrap().iter().flat_map(|app| app["signingKeys"].as_array().unwrap());
    let key = keys.into_iter().find(|key| key["uuid"] == key_id).unwrap();
    key["publicKey"].as_str().unwrap().to_owned()
}

/// The key in use, the previous and the standby one, with each modulus cut from its place in an RSA-4096 SPKI.
fn jwks() -> String {
    let key = |digit: &str| {
        let kid = key_id(digit);
        let encoded: String = pem(&kid).lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).unwrap();
        // 550 bytes: 33 before the modulus, 512 of it, and 02 03 01 00 01, the exponent.
        assert_eq!((der.len(), &der[545..]), (550, &[2, 3, 1, 0, 1][..]));
        let n = URL_SAFE_NO_PAD.encode(&der[33..545]);
        format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{kid}","n":"{n}","e":"AQAB"}}"#)
    };
    let keys = [key("9"), key("8"), key("a")];
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
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
