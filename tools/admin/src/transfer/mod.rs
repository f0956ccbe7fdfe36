//! `userdocks-admin app export` and `app import`: apps' records as JSON Lines, one app a line, without any secret.

use std::{
    collections::HashSet,
    fmt::Display,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{
        AllowList, ApiKey, ApiKeyHash, ApiKeyId, ApiKeyType, App, AppId, Name, PublicKey, SecretVersionId, SigningKey,
        SigningKeyId, SigningKeyState, SigningKeys, Timestamp,
    },
};

use crate::{
    AdminError, Answer, Show,
    app::{create_secret, store_new_app},
    find_app,
};

/// The form of a line; another form has another number.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct LineFormat {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppLine {
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
    /// 0 for a key issued without end; absent if the lifetime is the time from creation to expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime_seconds: Option<u64>,
    #[serde(default, with = "optional_text", skip_serializing_if = "Option::is_none")]
    issued_by: Option<ApiKeyId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_cidrs: Vec<String>,
}

/// Ids and times as the texts that they are everywhere else.
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
    fn new(app: App, api_keys: Vec<ApiKey>) -> Self {
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
            lifetime_seconds: (key.lifetime != ApiKey::implied_lifetime(key.created_at, key.expires_at))
                .then(|| key.lifetime.map_or(0, |lifetime| lifetime.as_secs().max(1))),
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

    /// The app that the line describes, with another secret, and its API keys; or what is wrong with the line.
    fn read(line: &str) -> Result<(App, Vec<ApiKey>), String> {
        let unreadable = |error: serde_json::Error| error.to_string();
        let LineFormat { format } = serde_json::from_str(line).map_err(unreadable)?;
        if format != FORMAT {
            return Err(format!("its format is {format}; this version reads {FORMAT}"));
        }
        let line: Self = serde_json::from_str(line).map_err(unreadable)?;
        let signing_keys: Vec<_> =
            line.signing_keys.into_iter().map(SigningKeyLine::into_key).collect::<Result<_, _>>()?;
        let api_keys: Vec<_> = line.api_keys.into_iter().map(ApiKeyLine::into_key).collect::<Result<_, _>>()?;
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
        let state: SigningKeyState = self.state.parse().map_err(|_| wrong("its state is none"))?;
        let public_key = PublicKey::import(&self.public_key).map_err(|error| wrong(&error.to_string()))?;
        if public_key.as_pem() != self.public_key {
            return Err(wrong("its public key is not in the form that the API answers with"));
        }
        Ok(SigningKey {
            id: self.uuid,
            state,
            public_key,
            // Private halves stay where they are.
            is_imported: true,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl ApiKeyLine {
    fn into_key(self) -> Result<ApiKey, String> {
        let wrong = |what: &str| format!("API key {}: {what}", self.uuid);
        let kind: ApiKeyType = self.r#type.parse().map_err(|_| wrong("its type is neither read nor write"))?;
        // Keys without a name were issued once.
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
            lifetime: match self.lifetime_seconds {
                None => ApiKey::implied_lifetime(self.created_at, self.expires_at),
                Some(seconds) => Some(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs),
            },
            issued_by: self.issued_by,
            allow_list: AllowList::parse(&self.allowed_cidrs).map_err(|error| wrong(&error.to_string()))?,
            last_fetch: None,
        })
    }
}

/// What the lines of a file name so far, to find what is not unique in it.
#[derive(Default)]
struct Seen {
    apps: HashSet<AppId>,
    api_key_hashes: HashSet<ApiKeyHash>,
}

impl Seen {
    /// Notes an app and its API keys; says which of them the file has already, or which id stands for two keys of the app.
    fn add(&mut self, app: &App, api_keys: &[ApiKey]) -> Result<(), String> {
        let twice = |what: &str, id: &dyn Display| Err(format!("{what} {id} is there twice"));
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

/// Shows one app, or all, as lines to import, and names the records that can't be read, which are left out.
///
/// # Errors
/// There is no such app; DynamoDB fails; or the lines can't be shown.
pub async fn export(services: &Services, app: Option<AppId>, show: Show<'_>) -> Result<Answer, AdminError> {
    let mut problems = Vec::new();
    if let Some(app) = app {
        let app = find_app(services, app).await?;
        show(vec![line(services, app, &mut problems).await?])?;
        return Ok(Answer { value: json!({}), problems });
    }
    let mut pages = services.store.apps();
    while let Some(apps) = pages.next().await? {
        for app in apps {
            match app {
                Ok(app) => show(vec![line(services, app, &mut problems).await?])?,
                Err(corrupt) => problems.push(corrupt.to_string()),
            }
        }
    }
    Ok(Answer { value: json!({}), problems })
}

async fn line(services: &Services, app: App, problems: &mut Vec<String>) -> Result<Value, AdminError> {
    let (api_keys, corrupt) = services.store.list_api_keys(app.id).await?;
    problems.extend(corrupt.iter().map(ToString::to_string));
    serde_json::to_value(AppLine::new(app, api_keys)).map_err(|error| AdminError::Output(error.to_string()))
}

/// Creates the apps of an exported file (`-` is standard input), each with a new random secret and without private keys. All lines are looked at
/// before the first app is created, and each app is created whole or not at all.
///
/// # Errors
/// The file can't be read, or a line is wrong or names an app that exists (unless `if_not_exists`): nothing is
/// created. A service fails: the apps shown so far are created, and `if_not_exists` goes on from there.
pub async fn import(
    services: &Services,
    file: &Path,
    if_not_exists: bool,
    show: Show<'_>,
) -> Result<Answer, AdminError> {
    let failed = |error: std::io::Error| AdminError::Input(format!("{}: {error}", file.display()));
    // Read once, because a pipe can't be read again.
    let input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(failed)?))
    };
    let (mut apps, mut seen) = (Vec::new(), Seen::default());
    for (index, line) in input.split(b'\n').enumerate() {
        let wrong = |problem| AdminError::ImportLine(index + 1, problem);
        let line = line.map_err(failed)?;
        let line = str::from_utf8(&line).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        // Editors put a byte order mark before the first line.
        let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            continue;
        }
        let (app, api_keys) = AppLine::read(line).map_err(wrong)?;
        seen.add(&app, &api_keys).map_err(wrong)?;
        if !if_not_exists && services.store.find_app(app.id).await?.is_some() {
            return Err(wrong(format!("there is an app {} already; --if-not-exists passes it over", app.id)));
        }
        apps.push((index + 1, app, api_keys));
    }
    for (line, app, api_keys) in apps {
        let imported = import_app(services, &app, &api_keys, if_not_exists).await;
        let is_imported =
            imported.map_err(|cause| AdminError::ImportApp { line, app: app.id, cause: Box::new(cause) })?;
        show(vec![json!({
            "uuid": app.id.to_string(),
            "name": app.name,
            "isImported": is_imported,
            "secretVersionId": is_imported.then(|| app.secret_version_id.to_string()),
        })])?;
    }
    let note = "Each imported app has a new random secret: hand it out, or set the old one with `secret set`. Its \
                signing keys verify, but their private keys are not here: to sign here, `signing-key create`.";
    Ok(json!({ "note": note }).into())
}

/// `false`: there is such an app. As when an app is made, its record comes last.
async fn import_app(
    services: &Services,
    app: &App,
    api_keys: &[ApiKey],
    if_not_exists: bool,
) -> Result<bool, AdminError> {
    if if_not_exists && services.store.find_app(app.id).await?.is_some() {
        return Ok(false);
    }
    let created = match create_secret(services, app.id, app.secret_version_id).await {
        Ok(()) => store_new_app(services, app, api_keys).await,
        failed => failed,
    };
    match created {
        Err(AdminError::AppExists(_)) if if_not_exists => Ok(false),
        created => created.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Value {
        let key = include_str!("../../../shared/src/domain/testdata/rsa-2048.pem");
        let at = "2026-01-01T00:00:00.000Z";
        json!({
            "format": 1, "uuid": AppId::random().to_string(), "name": "App", "isDisabled": true, "createdAt": at,
            "updatedAt": at,
            "signingKeys": [{"uuid": SigningKeyId::random().to_string(), "state": "in_use", "publicKey": key,
                "createdAt": at, "updatedAt": at}],
            "apiKeys": [{"uuid": ApiKeyId::random().to_string(), "name": "a", "type": "read", "sha256": "0".repeat(64),
                "hint": "abcd", "createdAt": at, "updatedAt": at, "expiresAt": at, "revokedAt": null, "lastUsedAt": at}],
        })
    }

    #[test]
    fn what_is_exported_is_what_was_read() {
        let line = line();
        let (app, api_keys) = AppLine::read(&line.to_string()).unwrap();
        assert!(app.signing_keys.iter().all(|key| key.is_imported));
        assert_eq!(serde_json::to_value(AppLine::new(app, api_keys)).unwrap(), line);
    }

    #[test]
    fn lifetime_lineage_and_allow_list_are_kept() {
        let mut line = line();
        line["apiKeys"][0]["lifetimeSeconds"] = json!(0);
        line["apiKeys"][0]["issuedBy"] = json!(ApiKeyId::random().to_string());
        line["apiKeys"][0]["allowedCidrs"] = json!(["192.0.2.0/24"]);
        let (app, api_keys) = AppLine::read(&line.to_string()).unwrap();
        assert_eq!(api_keys[0].lifetime, None);
        assert_eq!(serde_json::to_value(AppLine::new(app, api_keys)).unwrap(), line);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let wrong: [(&str, Value, &str); 13] = [
            ("/format", json!(2), "its format is 2"),
            ("/uuid", json!("x"), "not a UUID"),
            ("/createdAt", json!("x"), "not an RFC 3339 time"),
            ("/isDisabled", Value::Null, "invalid type: null"),
            ("/signingKeys/0/state", json!("lost"), "its state is none"),
            ("/signingKeys/0/publicKey", json!("x"), "no public key in PEM"),
            ("/name", json!("a\nb"), "control characters"),
            ("/name", json!(""), "1 to 100 characters"),
            ("/apiKeys/0/name", json!("\u{202e}"), "control characters"),
            ("/apiKeys/0/type", json!("x"), "neither read nor write"),
            ("/apiKeys/0/sha256", json!("x"), "not a SHA-256"),
            ("/apiKeys/0/expiresAt", json!("x"), "not an RFC 3339 time"),
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
    fn repeated_id_or_value_is_refused() {
        let seen = |lines: &[&Value]| {
            let mut seen = Seen::default();
            lines.iter().try_for_each(|line| {
                let (app, api_keys) = AppLine::read(&line.to_string()).unwrap();
                seen.add(&app, &api_keys)
            })
        };
        let assert_refused = |lines: &[&Value], what: &str| {
            let refused = seen(lines).unwrap_err();
            assert!(refused.starts_with(&format!("{what} ")) && refused.ends_with(" is there twice"), "{refused}");
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

    #[test]
    fn unnamed_api_key_is_named_by_its_type() {
        let mut line = line();
        line["apiKeys"][0]["name"] = json!("");
        assert_eq!(AppLine::read(&line.to_string()).unwrap().1[0].name, "read");
    }
}
