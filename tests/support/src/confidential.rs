//! What may be in no log: every API key, right or wrong, every secret and every private key that the tests come across, and
//! whatever looks like one.

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

/// Shorter ones are words that may stand in a log for other reasons.
const SHORTEST: usize = 8;

/// What begins a value that no test has to have come across.
const SIGNS: [&str; 7] =
    ["ud_read_", "ud_write_", "PRIVATE KEY", "AWS4-HMAC", "SecretString", "x-api-key", "authorization"];

/// Text as the words that a log would have of it, whichever way it escapes the rest.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_graphic() || "\"'\\,:;{}[]()".contains(character)).collect()
}

fn note(value: &str) {
    let parts = words(value).into_iter().filter(|part| part.trim_matches('-').len() >= SHORTEST).map(str::to_owned);
    VALUES.lock().unwrap().extend(parts);
}

/// Notes the API key that an event carries, under whatever spelling of the header.
pub fn note_event(event: &str) {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    for (name, value) in event["headers"].as_object().into_iter().flatten() {
        if ["x-api-key", "authorization"].contains(&name.to_lowercase().as_str()) {
            note(value.as_str().unwrap_or_default());
        }
    }
}

/// Notes every secret in an answer of a function, or in what passes between a function and Secrets Manager.
pub fn note_answer(answer: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    for pointer in ["/data/secret", "/data/previousSecret", "/SecretString"] {
        note(answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    }
}

/// Fails where a log holds what it may not.
pub fn assert_absent(log: &str) {
    for sign in SIGNS {
        assert!(!log.contains(sign), "{sign} is in a log: {log}");
    }
    // A copy: whoever waits for the original is a service that somebody waits for.
    let values = VALUES.lock().unwrap().clone();
    for word in words(log) {
        for value in &values {
            assert!(!word.contains(value.as_str()), "{value} is in a log: {word}");
        }
    }
    let lines = LINES.fetch_add(log.lines().count(), Ordering::Relaxed) + log.lines().count();
    println!("searched {lines} lines of logs for {} values", values.len());
}
