//! All functions on embedded services with the fixtures in them, in this process and on the caller's thread.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::config::Credentials;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt};
use userdocks::{
    api::{Context, Failure, Route, Services},
    aws::{Clients, Configuration, Resources},
    domain::{App, KeyLimits, PublicKey, SigningKeyId, Timestamp},
    http::Response,
    rotation::MAX_NEW_VERSIONS,
    runtime::Function,
    store::Store,
};
use userdocks_local::fixtures::{self, APP, CHANGING_APP, ROTATING_APP};

use super::answer::{app_id, assert_no_key};
use crate::{
    backend::{SECRET_PREFIX, TABLE, sdk_config, start_embedded},
    contract::READING,
    function::INVOCATION_ID,
};

/// The same as [`TABLE`], but in each app there is no room for another signing key: making one takes a second.
const FULL_TABLE: &str = "full";

/// The apps that writes can change.
const CHANGED: [&str; 3] = [APP, CHANGING_APP, ROTATING_APP];

/// Each rotation leaves a version in the embedded Secrets Manager: after so many changes, most of them would be refused.
const CHANGES: usize = MAX_NEW_VERSIONS - 5;

type Respond = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Value>>>>;

struct World {
    runtime: Runtime,
    functions: Vec<(&'static str, Respond)>,
    store: Store,
    apps: Vec<App>,
    changes: usize,
    log: Log,
    _logging: DefaultGuard,
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// The function's answer to the event, of payload format 2.0. What it wrote to the log is looked at, and what it changed
/// in the table's apps is undone.
pub fn respond(function: &str, event: &str) -> Value {
    with_world(|world| {
        let answer = world.respond(function, event);
        let is_write = !READING.contains(&function) && function != "get-app-jwks";
        if is_write && is_success(&answer) {
            world.undo(event);
        }
        answer
    })
}

/// The same for a write that is sent again, if it succeeds, before its change is undone.
pub fn respond_and_repeat(function: &str, event: &str) -> (Value, Option<Value>) {
    with_world(|world| {
        let answer = world.respond(function, event);
        let again = is_success(&answer).then(|| world.respond(function, event));
        if again.is_some() {
            world.undo(event);
        }
        (answer, again)
    })
}

fn is_success(answer: &Value) -> bool {
    answer["statusCode"].as_u64().unwrap() < 300
}

/// Fails where the app is not as the fixtures have it.
pub fn assert_unchanged(app: &str) {
    with_world(|world| {
        let original = world.apps.iter().find(|known| known.id.to_string() == app).unwrap();
        let found = world.runtime.block_on(world.store.find_app(original.id)).unwrap();
        assert_eq!(found.as_ref(), Some(original));
    });
}

/// Takes a new world where the present one is worn out.
pub fn renew() {
    WORLD.with_borrow_mut(|kept| drop(kept.take_if(|world| world.changes >= CHANGES)));
}

fn with_world<T>(work: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|kept| {
        let mut world = kept.take().unwrap_or_else(World::new);
        let result = work(&mut world);
        // Not where the work panicked: what is left then may be anything.
        *kept = Some(world);
        result
    })
}

impl World {
    fn new() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let json = fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
        let filter = Targets::new().with_target("userdocks", tracing::Level::INFO);
        let logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(json));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (services, apps) = runtime.block_on(Box::pin(provide()));
        let store = services(TABLE).store;
        Self { runtime, functions: functions(services), store, apps, changes: 0, log, _logging: logging }
    }

    fn respond(&self, function: &str, event: &str) -> Value {
        let (_, respond) = self.functions.iter().find(|(name, _)| *name == function).unwrap();
        let answer = self.runtime.block_on(respond(event.to_owned()));
        self.assert_logged();
        answer
    }

    /// All lines are JSON without a piece of an API key, and one is about the request. What the gateway calls it is its own.
    fn assert_logged(&self) {
        let logged = std::mem::take(&mut *self.log.0.lock().unwrap());
        let mut about_request = 0;
        for line in str::from_utf8(&logged).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("requestId");
            assert_no_key(&line.to_string());
            about_request += usize::from(line["message"] == "request");
        }
        assert_eq!(about_request, 1);
    }

    /// Puts the event's app back as the fixtures have it.
    fn undo(&mut self, event: &str) {
        self.changes += 1;
        let event = serde_json::from_str(event).unwrap();
        let app = self.apps.iter_mut().find(|app| app_id(&event) == Some(app.id.to_string())).unwrap();
        let read = self.runtime.block_on(self.store.find_app(app.id)).unwrap().unwrap();
        let version = read.version;
        assert!(version <= app.version + 1, "an earlier write was refused, and yet changed {}", app.id);
        if version != app.version {
            let original = app.clone();
            *app = self.runtime.block_on(self.store.update_app(&read, original, Timestamp::now(), None)).unwrap();
        }
    }
}

/// Starts the services, with the fixtures in both tables; how to reach a table, and the apps that writes can change.
async fn provide() -> (impl Fn(&str) -> Services, Vec<App>) {
    let (dynamodb, secrets_manager) = start_embedded().await.unwrap();
    let [dynamodb, secrets_manager] = [dynamodb, secrets_manager].map(|address| format!("http://{address}"));
    let sdk = sdk_config(&dynamodb);
    let secret_prefix = SECRET_PREFIX.parse().unwrap();
    let configuration = Configuration {
        resources: Resources { table: TABLE.to_owned(), secret_prefix, secrets_kms_key: None },
        region: "us-east-1".to_owned(),
        dynamodb_endpoint: dynamodb.parse().ok(),
        secrets_manager_endpoint: secrets_manager.parse().ok(),
        credentials: Some(Credentials::new("test", "test", None, None, "test")),
        ca_bundle: None,
    };
    let clients = Clients::new(&configuration).unwrap();
    let services = move |table: &str| {
        let resources = Resources { table: table.to_owned(), ..configuration.resources.clone() };
        Services::new(clients.dynamodb(), clients.secrets_manager(), resources)
    };
    for table in [TABLE, FULL_TABLE] {
        services(table).store.create_table().await.unwrap();
        fixtures::provision(&services(table), &aws_sdk_dynamodb::Client::new(&sdk), table).await.unwrap();
    }
    let (store, full) = (services(TABLE).store, services(FULL_TABLE).store);
    let mut apps = Vec::new();
    for app in CHANGED {
        let id = app.parse().unwrap();
        apps.push(store.find_app(id).await.unwrap().unwrap());
        let read = full.find_app(id).await.unwrap().unwrap();
        let mut app = read.clone();
        let (key, now) = (PublicKey::from_stored(PUBLIC_KEY.to_owned()).unwrap(), Timestamp::now());
        while app.signing_keys.add_standby(KeyLimits::API, SigningKeyId::random(), key.clone(), now).is_ok() {}
        full.update_app(&read, app, now, None).await.unwrap();
    }
    (services, apps)
}

/// As short as the table takes it.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";

fn functions(services: impl Fn(&str) -> Services) -> Vec<(&'static str, Respond)> {
    macro_rules! function {
        ($name:literal, $function:ident, $table:ident) => {
            ($name, function($function::ROUTE, $function::handle, services($table)))
        };
    }
    vec![
        function!("get-app-secrets", get_app_secrets, TABLE),
        function!("get-app-keys", get_app_keys, TABLE),
        function!("get-app-jwks", get_app_jwks, TABLE),
        function!("post-app-keys", post_app_keys, FULL_TABLE),
        function!("put-app-key", put_app_key, TABLE),
        function!("delete-app-key", delete_app_key, TABLE),
        function!("post-app-secrets", post_app_secrets, TABLE),
        function!("delete-previous-app-secret", delete_previous_app_secret, TABLE),
    ]
}

fn function<H, F>(route: Route, handler: H, services: Services) -> Respond
where
    H: Fn(Arc<Context>) -> F + 'static,
    F: Future<Output = Result<Response, Failure>> + 'static,
{
    // A machine that stands still for a while is not what is looked for.
    let route = route.with_deadline(Duration::from_secs(60));
    let function = Arc::new(Function::new(route, handler, services));
    Box::new(move |event| {
        let function = Arc::clone(&function);
        Box::pin(async move { serde_json::to_value(function.respond(&event, INVOCATION_ID).await).unwrap() })
    })
}
