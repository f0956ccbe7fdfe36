//! The contract, written a second time and without the code: what each fixture under `events/` is answered with.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::project;

/// Both routes' functions.
pub const FUNCTIONS: [&str; 2] = ["get-app-secrets", "get-app-keys"];

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
            fixtures.extend(files.iter().map(|file| Self {
                function: function.to_owned(),
                case: file.file_stem().unwrap().to_string_lossy().into_owned(),
                event: fs::read_to_string(file).unwrap(),
            }));
        }
        fixtures
    }

    /// The event as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.event).unwrap()
    }

    /// What the contract says it is answered with.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let status: u16 = self.case[..3].parse().unwrap();
        match status {
            200 | 304 => success(&self.function, &self.case, status),
            _ => failure(&self.function, &self.case[4..9]),
        }
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
        "E0000" => (500, "Internal Server Error"),
        _ => panic!("no such code: {code}"),
    };
    let body = if function.contains("secret") {
        format!(r#"{{"success":false,"error":"{message}","message":null,"data":null}}"#)
    } else {
        format!(r#"{{"errors":[{{"validation":"error","code":"[{code}]","message":"{message}"}}]}}"#)
    };
    let mut headers = vec![("cache-control", "no-store"), ("content-type", "application/json")];
    if status == 401 {
        headers.push(("www-authenticate", r#"ApiKey realm="userdocks""#));
    }
    Expected { status, body, headers: owned(&headers) }
}

fn success(function: &str, case: &str, status: u16) -> Expected {
    let json = ("content-type", "application/json");
    if function == "get-app-secrets" {
        let body = r#"{"success":true,"message":"OK","error":null,"data":{"secret":"test-secret-of-the-fixture-app"}}"#;
        return Expected { status, body: body.to_owned(), headers: owned(&[("cache-control", "no-store"), json]) };
    }
    let revalidated = |etag| owned(&[("cache-control", "private, no-cache"), json, ("etag", etag)]);
    match case {
        "200-no-keys" | "200-upper-case-ids" => Expected {
            status,
            body: r#"{"kind":"appKeys","totalItems":0,"itemsLength":0,"items":[]}"#.to_owned(),
            headers: revalidated("\"c1f518da31a94116d592aa3db86a57cb\""),
        },
        _ => Expected {
            status,
            body: if status == 304 { String::new() } else { listed_keys() },
            headers: revalidated("\"3af615c8ec2b0fecae8094e915d72b37\""),
        },
    }
}

/// The key in use first, then the previous one; neither the standby nor the revoked one.
fn listed_keys() -> String {
    let item = |uuid: &str, created: &str, file: &str| {
        let pem = fs::read_to_string(project().join("tools/local/src/fixtures").join(file)).unwrap();
        let pem = Value::from(pem);
        format!(
            r#"{{"uuid":"{uuid}","createdAt":"{created}","updatedAt":"2026-02-01T00:00:00.000Z","type":{{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}},"value":{pem}}}"#
        )
    };
    let in_use = item("appkey_99999999-9999-4999-8999-999999999999", "2026-02-01T00:00:00.000Z", "in-use.pem");
    let previous = item("appkey_88888888-8888-4888-8888-888888888888", "2026-01-01T00:00:00.000Z", "previous.pem");
    format!(r#"{{"kind":"appKeys","totalItems":2,"itemsLength":2,"items":[{in_use},{previous}]}}"#)
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
    assert_eq!((&payload["isBase64Encoded"], &payload["cookies"]), (&json!(false), &json!([])));
    let status = u16::try_from(payload["statusCode"].as_u64().unwrap()).unwrap();
    (Expected { status, body: payload["body"].as_str().unwrap().to_owned(), headers }, id)
}
