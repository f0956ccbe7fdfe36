//! Every combination of credentials, compared with a second implementation of the contract's checks. A combination is a
//! value of each of the three headers, a caller's address, a state of the app, and a route.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use userdocks::domain::{ApiKeyType, AppId};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::FakeAws,
    contract::{self, ROUTES, read_payload},
    event::Event,
    function::Function,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    Absent,
    Blank,
    /// Well-formed, but no app has it.
    Wrong,
    /// With this system's prefix and a wrong checksum.
    WrongChecksum,
    OtherApps,
    OtherTypes,
    Revoked,
    Expired,
    Repeated,
    OverLong,
    Right,
    /// An imported key without the system's prefix.
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

/// The allow list of all keys, and the address of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    /// The keys have no list.
    Unrestricted,
    Listed,
    /// As an IPv4-mapped IPv6 address.
    ListedMapped,
    NotListed,
    Absent,
}

const ADDRESSES: [Address; 5] =
    [Address::Unrestricted, Address::Listed, Address::ListedMapped, Address::NotListed, Address::Absent];

/// Returns the failure of the first of the contract's checks that applies, and whether the table is read.
fn model(Request { presented, declared, client, path, address }: Request) -> (Option<&'static str>, bool) {
    use Presented as Key;
    // 1. `x-api-key` or `x-client-id` missing or blank
    if matches!(presented, Key::Absent | Key::Blank) || matches!(client, Client::Absent | Client::Blank) {
        return (Some("E4010"), false);
    }
    // 2. `x-api-key-type` missing, or not exactly the route's type
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
    // 5. over 256 characters, or this system's prefix and a wrong checksum. API Gateway joins a repeated key with a comma,
    // and the joined text has a wrong checksum.
    if matches!(presented, Key::OverLong | Key::WrongChecksum | Key::Repeated) {
        return (Some("E4010"), false);
    }
    // 6. no such app; no such key of this app; revoked; expired; an address that is not on the key's list
    if path == Path::Absent
        || matches!(presented, Key::Wrong | Key::OtherApps | Key::Revoked | Key::Expired)
        || matches!(address, Address::NotListed | Address::Absent)
    {
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

#[derive(Debug, Clone, Copy)]
struct Request {
    presented: Presented,
    declared: Declared,
    client: Client,
    path: Path,
    address: Address,
}

impl Request {
    /// Returns all combinations. If an earlier check fails without reading the table, the address does not matter, and only
    /// one address is taken.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for presented in PRESENTED {
            for declared in DECLARED {
                for client in CLIENTS {
                    for path in PATHS {
                        let with = |address| Self { presented, declared, client, path, address };
                        if model(with(Address::Unrestricted)).1 {
                            all.extend(ADDRESSES.map(with));
                        } else {
                            all.push(with(ADDRESSES[all.len() % ADDRESSES.len()]));
                        }
                    }
                }
            }
        }
        all
    }
}

/// The API keys to present to routes of one type.
type Keys = BTreeMap<&'static str, String>;

/// An enabled and a disabled app with every kind of key. The map's key is the state of the app, the type of the route, and
/// whether the keys have an allow list.
struct Apps {
    enabled: AppId,
    disabled: AppId,
    keys: BTreeMap<(Path, &'static str, bool), Keys>,
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
                for is_listed in [false, true] {
                    let imported = format!("imported-elsewhere-{path:?}-{}-{is_listed}", own_type.name());
                    let networks = if is_listed { &["192.0.2.0/24", "2001:db8::/32"][..] } else { &[] };
                    let keys = [
                        ("right", TestKey::new(own_type)),
                        ("other type's", TestKey::new(other(own_type))),
                        ("imported", TestKey::imported(&imported, own_type)),
                        ("revoked", TestKey::new(own_type).revoked()),
                        ("expired", TestKey::new(own_type).expired()),
                    ];
                    let keys = keys.map(|(name, key)| (name, key.allowing(networks)));
                    let values = keys.iter().map(|(name, key)| (*name, key.value.expose().to_owned()));
                    all.insert((path, own_type.name(), is_listed), values.collect::<Keys>());
                    stored.extend(keys.map(|(_, key)| key));
                }
            }
            created.push(TestApp::builder().keys(stored).create(&aws.services()).await.id());
        }
        let kinds = ApiKeyType::ALL.map(ApiKeyType::name).into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
        for (kind, is_listed) in kinds {
            let keys = |path| Keys::clone(&all[&(path, kind, is_listed)]);
            let [mut enabled, mut disabled] = [Path::Enabled, Path::Disabled].map(keys);
            enabled.insert("other app's", disabled["right"].clone());
            disabled.insert("other app's", enabled["right"].clone());
            for (path, keys) in [(Path::Absent, enabled.clone()), (Path::Enabled, enabled), (Path::Disabled, disabled)]
            {
                all.insert((path, kind, is_listed), keys);
            }
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
        Request { presented, declared, client, path, address }: Request,
    ) -> String {
        let kind = own_type.name();
        let state = if path == Path::Malformed { Path::Enabled } else { path };
        let keys = &self.keys[&(state, kind, address != Address::Unrestricted)];
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
            Client::Wrong => Some("no-app".to_owned()),
            Client::OtherApps => Some("12345678-1234-4234-8234-123456789abc".to_owned()),
            Client::WithoutHyphens => Some(app.replace('-', "")),
            Client::Repeated => Some(format!("{app},{app}")),
            Client::OverLong => Some(app.repeat(20)),
            Client::Right => Some(app.clone()),
            Client::UpperCase => Some(app.to_uppercase()),
        };
        let headers = [("x-api-key", api_key), ("x-api-key-type", api_key_type), ("x-client-id", client_id)];
        // An accepted write must change nothing, so the key's id and the body are invalid.
        let event = Event::new(function).app(&app).key("no key's id");
        let mut event = event.api_key("no key's id").body("[]");
        event = match address {
            Address::Listed => event.source_ip("192.0.2.7"),
            Address::ListedMapped => event.source_ip("::ffff:192.0.2.7"),
            Address::NotListed | Address::Unrestricted => event.source_ip("198.51.100.7"),
            Address::Absent => event,
        };
        for (name, value) in headers {
            if let Some(value) = value {
                event = event.header(name, value);
            }
        }
        event.to_string()
    }
}

/// Returns the failure of an accepted request, which has an invalid body and an invalid key id.
fn accepted(kind: ApiKeyType) -> Option<&'static str> {
    match kind {
        ApiKeyType::Read => None,
        ApiKeyType::Write => Some("E4000"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_credentials_gets_response_of_contract() {
    let compared = join_all(ROUTES.iter().filter_map(|route| Some(compare(route.function, route.key_type?)))).await;
    println!("{} combinations compared", compared.iter().sum::<usize>());
}

async fn compare(name: &'static str, key_type: &str) -> usize {
    let aws = FakeAws::start().await;
    let apps = Apps::create(&aws).await;
    let kind: ApiKeyType = key_type.parse().unwrap();
    let mut function = Function::start(name, &aws.environment()).await;
    let _ = aws.take_operations();
    let mut compared = 0;
    for request in Request::all() {
        let combination = format!("{name}: {request:?}");
        let event = apps.event(name, kind, request);
        let (response, _) = read_payload(&function.invoke(&event).await);
        let (code, is_read) = model(request);
        match code.or(accepted(kind)) {
            Some(code) => {
                let log = || function.lines().pop();
                assert_eq!(response, contract::failure(name, code), "{combination}: {:?}", log());
            }
            None => assert_eq!(response.status, 200, "{combination}"),
        }
        let mut calls = aws.take_operations();
        // An accepted request makes other calls, too, for example to record the key's use.
        if code.is_none() {
            calls.retain(|call| call == "BatchGetItem");
        }
        assert_eq!(calls, vec!["BatchGetItem"; usize::from(is_read)], "{combination}");
        compared += 1;
    }
    compared
}
