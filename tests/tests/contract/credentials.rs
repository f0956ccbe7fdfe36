//! Every combination of values of the three headers, states of the app and routes, against a model of the contract's table
//! that was written without the code.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use userdocks::domain::{ApiKeyType, AppId};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::FakeAws,
    contract::{self, FUNCTIONS, READING, Route, read_payload},
    event::Event,
    function::Function,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    Absent,
    Blank,
    /// Well-formed, and of no app.
    Wrong,
    /// With this system's prefix and a wrong checksum.
    WrongChecksum,
    OtherApps,
    OtherTypes,
    Revoked,
    Expired,
    /// With an allow list without the caller's address.
    NotAllowed,
    Repeated,
    OverLong,
    Right,
    /// Of another shape, imported.
    Imported,
    /// With an allow list with the caller's address.
    Allowed,
}

const PRESENTED: [Presented; 14] = [
    Presented::Absent,
    Presented::Blank,
    Presented::Wrong,
    Presented::WrongChecksum,
    Presented::OtherApps,
    Presented::OtherTypes,
    Presented::Revoked,
    Presented::Expired,
    Presented::NotAllowed,
    Presented::Repeated,
    Presented::OverLong,
    Presented::Right,
    Presented::Imported,
    Presented::Allowed,
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

/// The failure by the contract's checks, in its order, and whether the table is read.
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
    // 6. no such app; no such key of this app; revoked; expired; not allowed at the caller's address
    let is_invalid = matches!(presented, Key::Wrong | Key::OtherApps | Key::Revoked | Key::Expired | Key::NotAllowed);
    if path == Path::Absent || is_invalid {
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

/// The API keys to present to routes of one type.
type Keys = BTreeMap<&'static str, String>;

/// An enabled and a disabled app with every kind of key, by the state of the app and the type of the route.
struct Apps {
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

impl Apps {
    async fn create(aws: &FakeAws) -> Self {
        let (mut created, mut all) = (Vec::new(), BTreeMap::new());
        for path in [Path::Enabled, Path::Disabled] {
            let mut stored = Vec::new();
            for own_type in ApiKeyType::ALL {
                let imported = format!("imported-elsewhere-{path:?}-{}", own_type.name());
                let keys = [
                    ("right", TestKey::new(own_type)),
                    ("other type's", TestKey::new(other(own_type))),
                    ("imported", TestKey::imported(&imported, own_type)),
                    ("revoked", TestKey::new(own_type).revoked()),
                    ("expired", TestKey::new(own_type).expired()),
                    ("not allowed", TestKey::new(own_type).allowing(&["198.51.100.0/24", "2001:db8::/32"])),
                    ("allowed", TestKey::new(own_type).allowing(&["198.51.100.0/24", "192.0.2.0/24"])),
                ];
                let values = keys.iter().map(|(name, key)| (*name, key.value.expose().to_owned()));
                all.insert((path, own_type.name()), values.collect::<Keys>());
                stored.extend(keys.map(|(_, key)| key));
            }
            created.push(TestApp::builder().keys(stored).create(&aws.services()).await.id());
        }
        for own_type in ApiKeyType::ALL.map(ApiKeyType::name) {
            let [enabled, disabled] = [Path::Enabled, Path::Disabled].map(|path| all[&(path, own_type)].clone());
            for (path, own, others) in [(Path::Enabled, &enabled, &disabled), (Path::Disabled, &disabled, &enabled)] {
                let keys = Keys::from_iter(own.clone()).into_iter().chain([("other app's", others["right"].clone())]);
                all.insert((path, own_type), keys.collect());
            }
            all.insert((Path::Absent, own_type), all[&(Path::Enabled, own_type)].clone());
        }
        let (enabled, disabled) = (created[0], created[1]);
        assert_eq!(aws.run_admin(&["app", "disable", &disabled.to_string()]).await.0, 0);
        Self { enabled, disabled, keys: all }
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
        function: &str,
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
            Presented::Wrong => Some(TestKey::new(own_type).value.expose().to_owned()),
            Presented::WrongChecksum => {
                let last = if right.ends_with('0') { "1" } else { "0" };
                Some(format!("{}{last}", &right[..right.len() - 1]))
            }
            Presented::OtherApps => Some(keys["other app's"].clone()),
            Presented::OtherTypes => Some(keys["other type's"].clone()),
            Presented::Revoked => Some(keys["revoked"].clone()),
            Presented::Expired => Some(keys["expired"].clone()),
            Presented::NotAllowed => Some(keys["not allowed"].clone()),
            Presented::Repeated => Some(format!("{right},{right}")),
            Presented::OverLong => Some("x".repeat(257)),
            Presented::Right => Some(right),
            Presented::Imported => Some(keys["imported"].clone()),
            Presented::Allowed => Some(keys["allowed"].clone()),
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
        // Neither the key's id nor the body is valid, so that an accepted write changes nothing.
        let event = Event::new(function).app(&app).source_ip("192.0.2.1");
        let mut event = event.key("no key's id").api_key("no key's id").body("[]");
        for (name, value) in headers {
            if let Some(value) = value {
                event = event.header(name, value);
            }
        }
        event.to_string()
    }
}

/// The failure of an accepted request, whose body and key are not valid.
fn accepted(function: &str) -> Option<&'static str> {
    if READING.contains(&function) { None } else { Some("E4000") }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_credentials_gets_response_of_contract() {
    let with_credentials = FUNCTIONS.into_iter().filter(|name| Route::of(name).key_type.is_some());
    let compared = join_all(with_credentials.map(compare)).await;
    println!("{} combinations compared", compared.iter().sum::<usize>());
}

async fn compare(name: &'static str) -> usize {
    let aws = FakeAws::start().await;
    let apps = Apps::create(&aws).await;
    let kind = if READING.contains(&name) { ApiKeyType::Read } else { ApiKeyType::Write };
    let mut function = Function::start(name, &aws.environment()).await;
    let _ = aws.take_operations();
    let mut compared = 0;
    for presented in PRESENTED {
        for declared in DECLARED {
            for client in CLIENTS {
                for path in PATHS {
                    let combination = format!("{name}: {presented:?}, {declared:?}, {client:?}, {path:?}");
                    let event = apps.event(name, kind, presented, declared, client, path);
                    let (response, _) = read_payload(&function.invoke(&event).await);
                    let (code, is_read) = model(presented, declared, client, path);
                    match code.or(accepted(name)) {
                        Some(code) => {
                            let log = || function.lines().pop();
                            assert_eq!(response, contract::failure(name, code), "{combination}: {:?}", log());
                        }
                        None => assert_eq!(response.status, 200, "{combination}"),
                    }
                    let mut calls = aws.take_operations();
                    // An accepted request also notes the key's use, and may read the secret.
                    if code.is_none() {
                        calls.retain(|call| call == "BatchGetItem");
                    }
                    assert_eq!(calls, vec!["BatchGetItem"; usize::from(is_read)], "{combination}");
                    compared += 1;
                }
            }
        }
    }
    compared
}
