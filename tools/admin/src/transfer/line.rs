use std::time::Duration;

use serde::{Deserialize, Serialize};
use userdocks::domain::{
    AllowList, ApiKey, ApiKeyHash, ApiKeyId, ApiKeyType, App, AppId, Name, PublicKey, SecretVersionId, SigningKey,
    SigningKeyId, SigningKeyState, SigningKeys, Timestamp,
};

/// The format of exports.
const FORMAT: u32 = 2;
/// The format of earlier versions, without the lifetime, issuer and allow list of API keys.
const FORMAT_1: u32 = 1;

#[derive(Deserialize)]
struct LineFormat {
    format: u32,
}

/// One app as a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppLine {
    format: u32,
    #[serde(with = "text")]
    uuid: AppId,
    name: String,
    is_disabled: bool,
    #[serde(with = "text")]
    created_at: Timestamp,
    #[serde(with = "text")]
    updated_at: Timestamp,
    signing_keys: Vec<SigningKeyLine>,
    api_keys: Vec<ApiKeyLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SigningKeyLine {
    #[serde(with = "text")]
    uuid: SigningKeyId,
    state: String,
    public_key: String,
    #[serde(with = "text")]
    created_at: Timestamp,
    #[serde(with = "text")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApiKeyLine {
    #[serde(with = "text")]
    uuid: ApiKeyId,
    name: String,
    r#type: String,
    sha256: String,
    hint: String,
    #[serde(with = "text")]
    created_at: Timestamp,
    #[serde(with = "text")]
    updated_at: Timestamp,
    #[serde(with = "optional_text")]
    expires_at: Option<Timestamp>,
    #[serde(with = "optional_text")]
    revoked_at: Option<Timestamp>,
    #[serde(with = "optional_text")]
    last_used_at: Option<Timestamp>,
    /// Null for a key that was issued without an expiry.
    #[serde(default)]
    lifetime_seconds: Option<u64>,
    #[serde(default, with = "optional_text")]
    issued_by: Option<ApiKeyId>,
    #[serde(default)]
    allowed_cidrs: Vec<String>,
}

/// Ids and times as text, in the same form as in the API.
mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

mod optional_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| text.parse()).transpose().map_err(Error::custom)
    }
}

impl AppLine {
    pub fn new(app: App, api_keys: Vec<ApiKey>) -> Self {
        let signing_keys = app.signing_keys.iter().map(|key| SigningKeyLine {
            uuid: key.id,
            state: key.state.name().to_owned(),
            public_key: key.public_key.as_pem().to_owned(),
            created_at: key.created_at,
            updated_at: key.updated_at,
        });
        let api_keys = api_keys.into_iter().map(|key| ApiKeyLine {
            uuid: key.id,
            name: key.name,
            r#type: key.kind.name().to_owned(),
            sha256: key.hash.as_str().to_owned(),
            hint: key.hint,
            created_at: key.created_at,
            updated_at: key.updated_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            // A lifetime below one second must not become an unlimited one.
            lifetime_seconds: key.lifetime.map(|lifetime| lifetime.as_secs().max(1)),
            issued_by: key.issued_by,
            allowed_cidrs: key.allow_list.networks().map(|network| network.to_string()).collect(),
        });
        Self {
            format: FORMAT,
            uuid: app.id,
            created_at: app.created_at,
            updated_at: app.updated_at,
            is_disabled: app.is_disabled,
            signing_keys: signing_keys.collect(),
            api_keys: api_keys.collect(),
            name: app.name,
        }
    }

    /// Returns the app that the line describes, with another secret, and its API keys.
    ///
    /// # Errors
    /// The problem of the line.
    pub fn read(line: &str) -> Result<(App, Vec<ApiKey>), String> {
        let unreadable = |error: serde_json::Error| error.to_string();
        let LineFormat { format } = serde_json::from_str(line).map_err(unreadable)?;
        if ![FORMAT_1, FORMAT].contains(&format) {
            return Err(format!("its format is {format}; this version reads {FORMAT_1} and {FORMAT}"));
        }
        let line: Self = serde_json::from_str(line).map_err(unreadable)?;
        let signing_keys: Vec<_> =
            line.signing_keys.into_iter().map(SigningKeyLine::into_key).collect::<Result<_, _>>()?;
        let api_keys: Vec<_> = line.api_keys.into_iter().map(|key| key.into_key(format)).collect::<Result<_, _>>()?;
        let signing_keys = SigningKeys::new(signing_keys).map_err(|error| error.to_string())?;
        let name = line.name.parse::<Name>().map_err(|error| error.to_string())?.into();
        let mut app = App::new(line.uuid, name, SecretVersionId::random(), signing_keys, line.created_at);
        app.is_disabled = line.is_disabled;
        app.updated_at = line.updated_at;
        Ok((app, api_keys))
    }
}

impl SigningKeyLine {
    fn into_key(self) -> Result<SigningKey, String> {
        let wrong = |what: &str| format!("signing key {}: {what}", self.uuid);
        let state: SigningKeyState = self.state.parse().map_err(|_| wrong("its state is not a valid one"))?;
        let public_key = PublicKey::import(&self.public_key).map_err(|error| wrong(&error.to_string()))?;
        if public_key.as_pem() != self.public_key {
            return Err(wrong("its public key is not in the form that the API returns"));
        }
        Ok(SigningKey {
            id: self.uuid,
            state,
            public_key,
            // Private keys are not exported.
            is_imported: true,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl ApiKeyLine {
    fn into_key(self, format: u32) -> Result<ApiKey, String> {
        let wrong = |what: &str| format!("API key {}: {what}", self.uuid);
        let kind: ApiKeyType = self.r#type.parse().map_err(|_| wrong("its type is neither read nor write"))?;
        // Earlier versions issued keys without a name.
        let name = if self.name.is_empty() { kind.name() } else { &self.name };
        Ok(ApiKey {
            id: self.uuid,
            kind,
            hash: self.sha256.parse::<ApiKeyHash>().map_err(|error| wrong(&error.to_string()))?,
            name: name.parse::<Name>().map_err(|error| wrong(&error.to_string()))?.into(),
            hint: self.hint,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
            lifetime: if format == FORMAT_1 {
                ApiKey::implied_lifetime(self.created_at, self.expires_at)
            } else {
                self.lifetime_seconds.map(Duration::from_secs)
            },
            issued_by: self.issued_by,
            allow_list: AllowList::parse(&self.allowed_cidrs).map_err(|error| wrong(&error.to_string()))?,
            last_fetch: None,
        })
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub fn line() -> Value {
        let key = include_str!("../../../../shared/src/domain/testdata/rsa-2048.pem");
        let at = "2026-01-01T00:00:00.000Z";
        json!({
            "format": 2, "uuid": AppId::random().to_string(), "name": "App", "isDisabled": true, "createdAt": at,
            "updatedAt": at,
            "signingKeys": [{"uuid": SigningKeyId::random().to_string(), "state": "in_use", "publicKey": key,
                "createdAt": at, "updatedAt": at}],
            "apiKeys": [{"uuid": ApiKeyId::random().to_string(), "name": "a", "type": "read", "sha256": "0".repeat(64),
                "hint": "abcd", "createdAt": at, "updatedAt": at, "expiresAt": at, "revokedAt": null, "lastUsedAt": at,
                "lifetimeSeconds": 60, "issuedBy": ApiKeyId::random().to_string(), "allowedCidrs": ["192.0.2.0/24"]}],
        })
    }

    #[test]
    fn exported_line_equals_imported_one() {
        let line = line();
        let (app, api_keys) = AppLine::read(&line.to_string()).unwrap();
        assert!(app.signing_keys.iter().all(|key| key.is_imported));
        assert_eq!(serde_json::to_value(AppLine::new(app, api_keys)).unwrap(), line);
    }

    #[test]
    fn api_key_of_format_1_has_implied_lifetime() {
        let mut line = line();
        line["format"] = json!(1);
        let key = line["apiKeys"][0].as_object_mut().unwrap();
        for field in ["lifetimeSeconds", "issuedBy", "allowedCidrs"] {
            key.remove(field);
        }
        key["expiresAt"] = json!("2026-01-01T01:00:00.000Z");
        let read = |line: &Value| AppLine::read(&line.to_string()).unwrap().1.remove(0);
        let key = read(&line);
        assert_eq!((key.lifetime, key.issued_by), (Some(Duration::from_secs(3600)), None));
        assert!(key.allow_list.is_unrestricted());
        line["format"] = json!(2);
        assert_eq!(read(&line).lifetime, None, "format 2 states the lifetime");
    }

    #[test]
    fn malformed_line_is_rejected_with_problem() {
        let wrong: [(&str, Value, &str); 15] = [
            ("/format", json!(3), "its format is 3"),
            ("/uuid", json!("x"), "not a UUID"),
            ("/createdAt", json!("x"), "not an RFC 3339 time"),
            ("/isDisabled", Value::Null, "invalid type: null"),
            ("/signingKeys/0/state", json!("lost"), "its state is not a valid one"),
            ("/signingKeys/0/publicKey", json!("x"), "no public key in PEM"),
            ("/name", json!("a\nb"), "control characters"),
            ("/name", json!(""), "1 to 100 characters"),
            ("/apiKeys/0/name", json!("\u{202e}"), "control characters"),
            ("/apiKeys/0/type", json!("x"), "neither read nor write"),
            ("/apiKeys/0/sha256", json!("x"), "not a SHA-256"),
            ("/apiKeys/0/expiresAt", json!("x"), "not an RFC 3339 time"),
            ("/apiKeys/0/issuedBy", json!("x"), "apikey_"),
            ("/apiKeys/0/allowedCidrs/0", json!("192.0.2.1"), "canonical form"),
            ("/apiKeys/0", json!({"secret": "x"}), "unknown field `secret`"),
        ];
        for (place, value, problem) in wrong {
            let mut line = line();
            *line.pointer_mut(place).unwrap() = value;
            let error = AppLine::read(&line.to_string()).unwrap_err();
            assert!(error.contains(problem), "{place}: {error}");
        }
        assert!(AppLine::read("").is_err());
    }

    #[test]
    fn unnamed_api_key_is_named_by_its_type() {
        let mut line = line();
        line["apiKeys"][0]["name"] = json!("");
        assert_eq!(AppLine::read(&line.to_string()).unwrap().1[0].name, "read");
    }
}
