use std::{collections::HashSet, fmt::Display};

use userdocks::domain::{ApiKey, ApiKeyHash, App, AppId};

/// The ids and values read from a file so far.
#[derive(Default)]
pub struct SeenRecords {
    apps: HashSet<AppId>,
    api_key_hashes: HashSet<ApiKeyHash>,
}

impl SeenRecords {
    /// Adds an app and its API keys.
    ///
    /// # Errors
    /// The app, a key's value, or the id of a key of the app is repeated.
    pub fn add(&mut self, app: &App, api_keys: &[ApiKey]) -> Result<(), String> {
        let twice = |what: &str, id: &dyn Display| Err(format!("{what} {id} is repeated"));
        let (mut signing_key_ids, mut api_key_ids) = (HashSet::new(), HashSet::new());
        if !self.apps.insert(app.id) {
            return twice("app", &app.id);
        }
        if let Some(key) = app.signing_keys.iter().find(|key| !signing_key_ids.insert(key.id)) {
            return twice("signing key", &key.id);
        }
        for key in api_keys {
            if !api_key_ids.insert(key.id) {
                return twice("API key", &key.id);
            }
            if !self.api_key_hashes.insert(key.hash.clone()) {
                return twice("the value of API key", &key.id);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use userdocks::domain::ApiKeyId;

    use super::*;
    use crate::transfer::line::{AppLine, tests::line};

    #[test]
    fn repeated_id_or_value_is_refused() {
        let seen = |lines: &[&Value]| {
            let mut seen = SeenRecords::default();
            lines.iter().try_for_each(|line| {
                let (app, api_keys) = AppLine::read(&line.to_string()).unwrap();
                seen.add(&app, &api_keys)
            })
        };
        let assert_refused = |lines: &[&Value], what: &str| {
            let refused = seen(lines).unwrap_err();
            assert!(refused.starts_with(&format!("{what} ")) && refused.ends_with(" is repeated"), "{refused}");
        };
        let (first, mut other) = (line(), line());
        other["apiKeys"][0]["sha256"] = json!("1".repeat(64));
        assert_eq!(seen(&[&first, &other]), Ok(()));
        for (place, what) in [("/uuid", "app"), ("/apiKeys/0/sha256", "the value of API key")] {
            let mut same = other.clone();
            *same.pointer_mut(place).unwrap() = first.pointer(place).unwrap().clone();
            assert_refused(&[&first, &same], what);
        }
        for (list, change, what) in [
            ("/signingKeys", ("state", json!("previous")), "signing key"),
            ("/apiKeys", ("sha256", json!("2".repeat(64))), "API key"),
            ("/apiKeys", ("uuid", json!(ApiKeyId::random().to_string())), "the value of API key"),
        ] {
            let mut twice = first.clone();
            let keys = twice.pointer_mut(list).unwrap().as_array_mut().unwrap();
            let mut key = keys[0].clone();
            key[change.0] = change.1;
            keys.push(key);
            assert_refused(&[&twice], what);
        }
    }
}
