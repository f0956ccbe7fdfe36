//! The contract, written a second time and without the code: what each fixture under `events/` is answered with.

use std::{fs, path::PathBuf};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::project;

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
    /// The file's name without its ending; begins with the answer's status and code.
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

    /// The answer that the contract says, to the letter; of what is made anew it has the form.
    #[must_use]
    pub fn expected(&self) -> Expected {
        match self.status() {
            status @ (200 | 201 | 304) => success(&self.function, &self.case, status),
            _ => failure(&self.function, &self.case[4..9]),
        }
    }

    /// The status that the file's name says.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.case[..3].parse().unwrap()
    }

    /// Fails unless the answer is what the contract says, to the letter; of what is made anew, unless it has the form.
    pub fn assert_answered(&self, mut answer: Expected) {
        if self.status() == 201 {
            answer.body = without_what_is_new(&answer.body);
        }
        assert_eq!(answer, self.expected(), "{} {}", self.function, self.case);
    }
}

/// An answer, without its request id.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// The HTTP status.
    pub status: u16,
    /// The exact body.
    pub body: String,
    /// All headers but `x-request-id`, sorted.
    pub headers: Vec<(String, String)>,
}

/// The failure of that code, in the envelope of the function's route.
#[must_use]
pub fn failure(function: &str, code: &str) -> Expected {
    let (status, message) = match code {
        "E4010" => (401, "Unauthorized Token or API key"),
        "E4011" => (401, "Unauthorized API key type"),
        "E4000" => (400, "Bad Request / validation error"),
        "E4030" => (403, "App Is Disabled"),
        "E4040" => (404, "Not Found"),
        "E4090" => (409, "Conflict"),
        "E0000" => (500, "Internal Server Error"),
        _ => panic!("no such code: {code}"),
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
    Expected { status, body, headers: owned(&headers) }
}

fn success(function: &str, case: &str, status: u16) -> Expected {
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
    let in_use = |state| item("9", "2026-02-01T00:00:00.000Z", "in-use.pem", state);
    let previous = item("8", "2026-01-01T00:00:00.000Z", "previous.pem", "");
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
        ("delete-app-key", _) => (list(&[item("7", "2026-01-01T00:00:00.000Z", "revoked.pem", "revoked")]), no_store),
        ("post-app-secrets", _) => {
            (legacy("Created", r#"{"secret":"<64 characters>","previousExpiresAt":"<time>"}"#), no_store)
        }
        ("delete-previous-app-secret", _) => {
            (legacy("OK", r#"{"previousSecret":null,"previousExpiresAt":null}"#), no_store)
        }
        other => panic!("no such case: {other:?}"),
    };
    Expected { status, body: if status == 304 { String::new() } else { body }, headers }
}

const NEW_KEY: &str = r#"{"uuid":"<key id>","createdAt":"<time>","updatedAt":"<time>","type":{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"},"value":"<RSA-4096>","state":"standby"}"#;

/// Replaces what differs from call to call by its form.
#[must_use]
pub fn without_what_is_new(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let form = |value: &mut Value, form: &str, is_good: fn(&str) -> bool| {
        assert!(value.as_str().is_some_and(is_good), "{value} is no {form}");
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

/// A key of the fixtures as the list envelope has it; with its state where one is given.
fn item(digit: &str, created: &str, file: &str, state: &str) -> String {
    let uuid = key_id(digit);
    let pem = Value::from(pem(file));
    let state = if state.is_empty() { String::new() } else { format!(r#","state":"{state}""#) };
    format!(
        r#"{{"uuid":"{uuid}","createdAt":"{created}","updatedAt":"2026-02-01T00:00:00.000Z","type":{{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}},"value":{pem}{state}}}"#
    )
}

fn key_id(digit: &str) -> String {
    format!("appkey_{0}-{1}-4{2}-8{2}-{3}", digit.repeat(8), digit.repeat(4), digit.repeat(3), digit.repeat(12))
}

fn pem(file: &str) -> String {
    fs::read_to_string(project().join("tools/local/src/fixtures").join(file)).unwrap()
}

/// The key in use, the previous and the standby one; the moduli cut by hand from where RSA-4096's SPKI has them.
fn jwks() -> String {
    let key = |digit: &str, file: &str| {
        let encoded: String = pem(file).lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).unwrap();
        // 550 bytes: 33 before the modulus, 512 of it, and 02 03 01 00 01, the exponent.
        assert_eq!((der.len(), &der[545..]), (550, &[2, 3, 1, 0, 1][..]));
        let n = URL_SAFE_NO_PAD.encode(&der[33..545]);
        let kid = key_id(digit);
        format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{kid}","n":"{n}","e":"AQAB"}}"#)
    };
    let keys = [key("9", "in-use.pem"), key("8", "previous.pem"), key("a", "standby.pem")];
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Takes an answer of payload format 2.0 apart: the answer, and its `x-request-id`.
#[must_use]
pub fn read_payload(payload: &Value) -> (Expected, String) {
    let mut headers: Vec<(String, String)> = payload["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let id = headers.iter().position(|(name, _)| name == "x-request-id").expect("every answer has an x-request-id");
    let (_, id) = headers.remove(id);
    assert_eq!(payload["isBase64Encoded"], false);
    assert!(payload.get("cookies").is_none_or(|cookies| *cookies == json!([])), "{payload}");
    let status = u16::try_from(payload["statusCode"].as_u64().unwrap()).unwrap();
    (Expected { status, body: payload["body"].as_str().unwrap().to_owned(), headers }, id)
}
