//! Placeholders for random values and times in responses.

use std::fs;

use serde_json::Value;

use super::signing_keys::{key_id, pem};
use crate::project;

pub const NEW_KEY: &str = r#"{"uuid":"<key id>","createdAt":"<time>","updatedAt":"<time>","type":{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"},"value":"<RSA-4096>","state":"standby"}"#;

/// Replaces random values and times with placeholders. Fails unless they are well-formed.
#[must_use]
pub fn without_new_values(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    if body["data"].is_object() {
        replace(&mut body["data"]["secret"], "<64 characters>", |text| text.len() == 64);
        replace(&mut body["data"]["previousExpiresAt"], "<time>", is_time);
    } else if body["kind"] == "appApiKeys" {
        body["items"].as_array_mut().unwrap().iter_mut().for_each(api_key_without_new_values);
    } else {
        let key = &mut body["items"][0];
        replace(&mut key["uuid"], "<key id>", |text| text.len() == 43 && text.starts_with("appkey_"));
        replace(&mut key["createdAt"], "<time>", is_time);
        replace(&mut key["updatedAt"], "<time>", is_time);
        replace(&mut key["value"], "<RSA-4096>", |pem| {
            pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.len() == 800
        });
    }
    body.to_string()
}

fn api_key_without_new_values(key: &mut Value) {
    let fixtures = fs::read_to_string(project().join("events/apps.json")).unwrap();
    for name in ["createdAt", "updatedAt", "expiresAt", "revokedAt"] {
        let is_new = !key[name].is_null() && !fixtures.contains(&key[name].to_string());
        if is_new {
            replace(&mut key[name], "<time>", is_time);
        }
    }
    // The last use depends on earlier requests.
    if !key["lastUsedAt"].is_null() {
        replace(&mut key["lastUsedAt"], "<time>", is_time);
        key["lastUsedAt"] = Value::Null;
    }
    let Some(value) = key["value"].as_str().map(str::to_owned) else { return };
    let kind = key["type"]["name"].as_str().unwrap();
    let random = value.strip_prefix(&format!("ud_{kind}_")).unwrap_or_default();
    assert!(random.len() == 38 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "not a {kind} key");
    assert_eq!(key["hint"], value[value.len() - 4..]);
    key["value"] = format!("<{kind} key>").into();
    key["hint"] = "<hint>".into();
    replace(&mut key["uuid"], "<API key id>", |text| text.len() == 43 && text.starts_with("apikey_"));
}

fn replace(value: &mut Value, placeholder: &str, is_well_formed: fn(&str) -> bool) {
    assert!(value.as_str().is_some_and(is_well_formed), "{value} is not {placeholder}");
    *value = placeholder.into();
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.as_bytes()[19] == b'.' && text.ends_with('Z')
}

/// Replaces placeholders with sample values.
#[must_use]
pub fn with_sample_values(body: &str) -> String {
    let key = key_id("9");
    let samples = [
        ("<time>", "2026-02-01T00:00:00.000Z"),
        ("<64 characters>", "EXAMPLE-of-64-characters-000000000000000000000000000000000000000"),
        ("<key id>", &key),
        ("<RSA-4096>", &pem(&key)),
        ("<API key id>", "apikey_99999999-9999-4999-8999-999999999999"),
        ("<read key>", "ud_read_TESTKEYbackend0000000000000000004Q69av"),
        ("<write key>", "ud_write_TESTKEYwrite000000000000000000003HU8xA"),
        ("<hint>", "69av"),
    ];
    let quoted = |text: &str| Value::from(text).to_string();
    samples
        .iter()
        .fold(body.to_owned(), |body, (placeholder, sample)| body.replace(&quoted(placeholder), &quoted(sample)))
}
