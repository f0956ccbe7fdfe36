//! Values that no log may contain: all API keys, secrets and private keys that a test has seen, valid or not. The same is
//! true of everything that looks like one.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

static VALUES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static LINES: AtomicUsize = AtomicUsize::new(0);

/// Shorter values may be in a log for other reasons.
const SHORTEST: usize = 8;

/// Beginnings of confidential values that no test has seen.
const SIGNS: [&str; 7] =
    ["ud_read_", "ud_write_", "PRIVATE KEY", "AWS4-HMAC", "SecretString", "x-api-key", "authorization"];

/// Returns the words of a text that a log does not escape.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_graphic() || "\"'\\,:;{}[]()".contains(character)).collect()
}

fn note(value: &str) {
    let parts = words(value).into_iter().filter(|part| part.trim_matches('-').len() >= SHORTEST).map(str::to_owned);
    VALUES.lock().unwrap().extend(parts);
}

/// Remembers the API key in an event and the tokens of a leak report. Header names are case-insensitive.
pub fn note_event(event: &str) {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let report: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default()).unwrap_or_default();
    for leak in report.as_array().into_iter().flatten() {
        note(leak["token"].as_str().unwrap_or_default());
    }
    for (name, value) in event["headers"].as_object().into_iter().flatten() {
        if ["x-api-key", "authorization"].contains(&name.to_lowercase().as_str()) {
            note(value.as_str().unwrap_or_default());
        }
    }
}

/// Remembers the secrets in a function's response, or in a Secrets Manager call or response.
pub fn note_response(response: &str) {
    let response: Value = serde_json::from_str(response).unwrap_or_default();
    for pointer in ["/data/secret", "/data/previousSecret", "/SecretString"] {
        note(response.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    }
}

/// Fails if a log contains a confidential value.
pub fn assert_absent(log: &str) {
    for sign in SIGNS {
        assert!(!log.contains(sign), "{sign} is in a log: {log}");
    }
    // A copy: other tests' services wait for the lock.
    let values = VALUES.lock().unwrap().clone();
    for word in words(log) {
        for value in &values {
            assert!(!word.contains(value.as_str()), "{value} is in a log: {word}");
        }
    }
    let lines = LINES.fetch_add(log.lines().count(), Ordering::Relaxed) + log.lines().count();
    println!("searched {lines} lines of logs for {} values", values.len());
}
