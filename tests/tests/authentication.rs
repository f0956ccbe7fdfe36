//! Every combination of what the three headers can be × the app's states × the routes, against a model of the contract's
//! table that was written without the code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use userdocks::domain::{ApiKeyType, ApiKeyValue, AppId};
use userdocks_admin::{api_key, app};
use userdocks_test_support::{
    backend::Backend,
    contract::{self, FUNCTIONS, READING, read_payload},
    function::{Function, environment},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    Absent,
    Blank,
    /// Well-formed, and nobody's.
    Wrong,
    /// With this system's prefix and another checksum.
    WrongChecksum,
    OtherApps,
    OtherTypes,
    Revoked,
    Expired,
    Repeated,
    OverLong,
    Right,
    /// Of another shape, imported.
    Imported,
}

const PRESENTED: [Presented; 12] = [
    Presented::Absent,
    Presented::Blank,
    Presented::Wrong,
    Presented::WrongChecksum,
    Presented::OtherApps,
    Presented::OtherTypes,
    Presented::Revoked,
    Presented::Expired,
    Presented::Repeated,
    Presented::OverLong,
    Presented::Right,
    Presented::Imported,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    Absent,
    Blank,
    Wrong,
    OtherTypes,
    OtherCase,
    Padded,
    Repeated,
    OverLong,
    Right,
}

const DECLARED: [Declared; 9] = [
    Declared::Absent,
    Declared::Blank,
    Declared::Wrong,
    Declared::OtherTypes,
    Declared::OtherCase,
    Declared::Padded,
    Declared::Repeated,
    Declared::OverLong,
    Declared::Right,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Absent,
    Blank,
    Wrong,
    OtherApps,
    WithoutHyphens,
    Repeated,
    OverLong,
    Right,
    UpperCase,
}

const CLIENTS: [Client; 9] = [
    Client::Absent,
    Client::Blank,
    Client::Wrong,
    Client::OtherApps,
    Client::WithoutHyphens,
    Client::Repeated,
    Client::OverLong,
    Client::Right,
    Client::UpperCase,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Malformed,
    Absent,
    Disabled,
    Enabled,
}

const PATHS: [Path; 4] = [Path::Malformed, Path::Absent, Path::Disabled, Path::Enabled];

/// The contract's checks in its order; `None` lets in. The second is whether anything is looked up.
fn model(presented: Presented, declared: Declared, client: Client, path: Path) -> (Option<&'static str>, bool) {
    use Presented as Key;
    // 1. `x-api-key` or `x-client-id` missing or blank
    if matches!(presented, Key::Absent | Key::Blank) || matches!(client, Client::Absent | Client::Blank) {
        return (Some("E4010"), false);
    }
    // 2. `x-api-key-type` missing, or anything but the route's type, exactly
    if declared != Declared::Right {
        return (Some("E4011"), false);
    }
    // 3. the path's app id is not a UUID
    if path == Path::Malformed {
        return (Some("E4000"), false);
    }
    // 4. `x-client-id` is not the path's app id
    if !matches!(client, Client::Right | Client::UpperCase) {
        return (Some("E4010"), false);
    }
    // 5. over 256 characters, or this system's prefix and a wrong checksum. A repeated key ends in another key's
    // checksum, which is not that of all before it.
    if matches!(presented, Key::OverLong | Key::WrongChecksum | Key::Repeated) {
        return (Some("E4010"), false);
    }
    // 6. no such app; no such key of this app; revoked; expired
    if path == Path::Absent || matches!(presented, Key::Wrong | Key::OtherApps | Key::Revoked | Key::Expired) {
        return (Some("E4010"), true);
    }
    // 7. the key's real type is not the route's
    if presented == Key::OtherTypes {
        return (Some("E4011"), true);
    }
    // 8. the app is disabled
    if path == Path::Disabled {
        return (Some("E4030"), true);
    }
    (None, true)
}

/// An app's keys for routes of one type.
type Keys = BTreeMap<&'static str, String>;

/// Apps with every kind of key: for each state of the app and each type of route, what to present.
struct World {
    enabled: AppId,
    disabled: AppId,
    keys: BTreeMap<(Path, &'static str), Keys>,
}

fn other(kind: ApiKeyType) -> ApiKeyType {
    match kind {
        ApiKeyType::Read => ApiKeyType::Write,
        ApiKeyType::Write => ApiKeyType::Read,
    }
}

impl World {
    async fn make(backend: &Backend) -> Self {
        let (enabled, disabled) = (make_app(backend).await, make_app(backend).await);
        let mut keys = BTreeMap::new();
        for (path, app, other_app) in
            [(Path::Enabled, enabled, disabled), (Path::Disabled, disabled, enabled), (Path::Absent, enabled, disabled)]
        {
            for own_type in ApiKeyType::ALL {
                let kind = own_type.name();
                let mut made = Keys::new();
                made.insert("right", issue(backend, app, own_type).await.0);
                made.insert("other type's", issue(backend, app, other(own_type)).await.0);
                made.insert("other app's", issue(backend, other_app, own_type).await.0);
                let imported = format!("imported-elsewhere-{path:?}-{kind}");
                Box::pin(api_key::import(&backend.services(), app, own_type, "imported".to_owned(), &imported))
                    .await
                    .unwrap();
                made.insert("imported", imported);
                let (revoked, id) = issue(backend, app, own_type).await;
                Box::pin(api_key::revoke(&backend.services(), app, id.parse().unwrap())).await.unwrap();
                made.insert("revoked", revoked);
                let (expired, _) = issue(backend, app, own_type).await;
                expire(backend, app, &expired, own_type).await;
                made.insert("expired", expired);
                keys.insert((path, kind), made);
            }
        }
        Box::pin(app::set_disabled(&backend.services(), disabled, true)).await.unwrap();
        Self { enabled, disabled, keys }
    }

    fn app(&self, path: Path) -> String {
        match path {
            Path::Malformed => "no-uuid".to_owned(),
            Path::Absent => "99999999-aaaa-4bbb-8ccc-dddddddddddd".to_owned(),
            Path::Disabled => self.disabled.to_string(),
            Path::Enabled => self.enabled.to_string(),
        }
    }

    fn event(
        &self,
        own_type: ApiKeyType,
        presented: Presented,
        declared: Declared,
        client: Client,
        path: Path,
    ) -> String {
        let kind = own_type.name();
        let state = if path == Path::Malformed { Path::Enabled } else { path };
        let keys = &self.keys[&(state, kind)];
        let right = keys["right"].clone();
        let api_key = match presented {
            Presented::Absent => None,
            Presented::Blank => Some(" \t".to_owned()),
            Presented::Wrong => Some(ApiKeyValue::issue(own_type).unwrap().expose().to_owned()),
            Presented::WrongChecksum => {
                let last = if right.ends_with('0') { "1" } else { "0" };
                Some(format!("{}{last}", &right[..right.len() - 1]))
            }
            Presented::OtherApps => Some(keys["other app's"].clone()),
            Presented::OtherTypes => Some(keys["other type's"].clone()),
            Presented::Revoked => Some(keys["revoked"].clone()),
            Presented::Expired => Some(keys["expired"].clone()),
            Presented::Repeated => Some(format!("{right},{right}")),
            Presented::OverLong => Some("x".repeat(257)),
            Presented::Right => Some(right),
            Presented::Imported => Some(keys["imported"].clone()),
        };
        let api_key_type = match declared {
            Declared::Absent => None,
            Declared::Blank => Some(" ".to_owned()),
            Declared::Wrong => Some("admin".to_owned()),
            Declared::OtherTypes => Some(other(own_type).name().to_owned()),
            Declared::OtherCase => Some(kind.to_uppercase()),
            Declared::Padded => Some(format!(" {kind}")),
            Declared::Repeated => Some(format!("{kind},{kind}")),
            Declared::OverLong => Some(kind.repeat(100)),
            Declared::Right => Some(kind.to_owned()),
        };
        let app = self.app(path);
        let client_id = match client {
            Client::Absent => None,
            Client::Blank => Some("  ".to_owned()),
            Client::Wrong => Some("nobody".to_owned()),
            Client::OtherApps => Some("12345678-1234-4234-8234-123456789abc".to_owned()),
            Client::WithoutHyphens => Some(app.replace('-', "")),
            Client::Repeated => Some(format!("{app},{app}")),
            Client::OverLong => Some(app.repeat(20)),
            Client::Right => Some(app.clone()),
            Client::UpperCase => Some(app.to_uppercase()),
        };
        let headers = [("x-api-key", api_key), ("x-api-key-type", api_key_type), ("x-client-id", client_id)];
        let headers: Map<String, Value> =
            headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
        let parameters = json!({"appId": app, "appUuid": app, "keyUuid": "no key's id: whoever is let in meets E4000"});
        // A body that no write takes: whoever is let in changes nothing.
        json!({"headers": headers, "pathParameters": parameters, "body": "[]"}).to_string()
    }
}

async fn make_app(backend: &Backend) -> AppId {
    let created = Box::pin(app::create(&backend.services(), None, "Test".to_owned(), false)).await.unwrap();
    created.value["app"]["uuid"].as_str().unwrap().parse().unwrap()
}

/// A new key, and its id.
async fn issue(backend: &Backend, app: AppId, kind: ApiKeyType) -> (String, String) {
    let issued = Box::pin(api_key::issue(&backend.services(), app, kind, "test".to_owned(), None)).await.unwrap();
    let text = |name: &str| issued.value["apiKey"][name].as_str().unwrap().to_owned();
    (text("value"), text("uuid"))
}

/// Lets the time pass that a key lasts.
async fn expire(backend: &Backend, app: AppId, key: &str, kind: ApiKeyType) {
    let hash = ApiKeyValue::import(key, kind).unwrap().hash();
    backend
        .update_item(app, &format!("APIKEY#{}", hash.as_str()))
        .update_expression("SET expiresAt = :then")
        .expression_attribute_values(":then", AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned()))
        .send()
        .await
        .unwrap();
}

/// What someone who is let in is answered with by an event that asks for nothing doable.
fn inside(function: &str) -> Option<&'static str> {
    if READING.contains(&function) { None } else { Some("E4000") }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_credentials_is_answered_as_the_contracts_table_says() {
    let compared = join_all(FUNCTIONS.into_iter().filter(|name| *name != "get-app-jwks").map(compare)).await;
    println!("{} combinations compared", compared.iter().sum::<usize>());
}

async fn compare(name: &'static str) -> usize {
    let backend = Backend::start().await;
    let world = World::make(&backend).await;
    let kind = if READING.contains(&name) { ApiKeyType::Read } else { ApiKeyType::Write };
    let mut function = Function::start(name, &environment(&backend)).await;
    let _ = backend.take_calls();
    let mut compared = 0;
    for presented in PRESENTED {
        for declared in DECLARED {
            for client in CLIENTS {
                for path in PATHS {
                    let combination = format!("{name}: {presented:?}, {declared:?}, {client:?}, {path:?}");
                    let event = world.event(kind, presented, declared, client, path);
                    let (answer, _) = read_payload(&function.invoke(&event).await);
                    let (code, is_looked_up) = model(presented, declared, client, path);
                    match code.or(inside(name)) {
                        Some(code) => {
                            let log = || function.lines().pop();
                            assert_eq!(answer, contract::failure(name, code), "{combination}: {:?}", log());
                        }
                        None => assert_eq!(answer.status, 200, "{combination}"),
                    }
                    let mut calls = backend.take_calls();
                    // Whoever is let in leaves a trace, and may be handed a secret.
                    if code.is_none() {
                        calls.retain(|call| call == "BatchGetItem");
                    }
                    assert_eq!(calls, vec!["BatchGetItem"; usize::from(is_looked_up)], "{combination}");
                    compared += 1;
                }
            }
        }
    }
    compared
}
