//! Random values and times of responses, and their forms.

use std::fs;

use serde_json::Value;

use super::signing_keys::{key_id, pem};
use crate::project;

pub const NEW_KEY: &str = r#"{"uuid":"<key id>","createdAt":"<time>","updatedAt":"<time>","type":{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"},"value":"<RSA-4096>","state":"standby"}"#;

/// Replaces random values and times by their forms.
#[must_use]
pub fn without_new_values(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    if body["data"].is_object() {
        form(&mut body["data"]["secret"], "<64 characters>", |text| text.len() == 64);
        form(&mut body["data"]["previousExpiresAt"], "<time>", is_time);
    } else if body["kind"] == "appApiKeys" {
        body["items"].as_array_mut().unwrap().iter_mut().for_each(api_key_without_new_values);
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

fn api_key_without_new_values(key: &mut Value) {
    let of_fixtures = fs::read_to_string(project().join("events/apps.json")).unwrap();
    for name in ["createdAt", "updatedAt", "expiresAt", "revokedAt"] {
        let is_new = !key[name].is_null() && !of_fixtures.contains(&key[name].to_string());
        if is_new {
            form(&mut key[name], "<time>", is_time);
        }
    }
    // It depends on the requests before.
    if !key["lastUsedAt"].is_null() {
        form(&mut key["lastUsedAt"], "<time>", is_time);
        key["lastUsedAt"] = Value::Null;
    }
    let Some(value) = key["value"].as_str().map(str::to_owned) else { return };
    let kind = key["type"]["name"].as_str().unwrap();
    let random = value.strip_prefix(&format!("ud_{kind}_")).unwrap_or_default();
    assert!(random.len() == 38 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "not a {kind} key");
    assert_eq!(key["hint"], value[value.len() - 4..]);
    key["value"] = format!("<{kind} key>").into();
    key["hint"] = "<hint>".into();
    form(&mut key["uuid"], "<API key id>", |text| text.len() == 43 && text.starts_with("apikey_"));
}

fn form(value: &mut Value, form: &str, is_good: fn(&str) -> bool) {
    assert!(value.as_str().is_some_and(is_good), "{value} is not {form}");
    *value = form.into();
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.as_bytes()[19] == b'.' && text.ends_with('Z')
}

/// Replaces forms by values that have them.
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
    samples.iter().fold(body.to_owned(), |body, (form, sample)| body.replace(&quoted(form), &quoted(sample)))
}
