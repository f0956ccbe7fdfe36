//! All functions on embedded services with the fixtures' apps. They run on the caller's thread.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt};
use userdocks::{
    api::Services,
    domain::{App, PublicKey, SigningKeyId, SigningKeyLimits, Timestamp},
    rotation::MAX_NEW_VERSIONS,
    store::Store,
};

use super::response::{app_id, assert_no_key};
use crate::{
    aws::{TABLE, sdk_config, signed_services, start_embedded},
    contract::{FUNCTIONS, Route},
    fixtures::*,
    in_process::InProcess,
};

/// A table like [`TABLE`] in which no app has room for another signing key, because generating one takes a second.
const FULL_TABLE: &str = "full";

/// The apps that writes can change.
const CHANGED: [&str; 7] = [APP, CHANGING_APP, ROTATING_APP, LISTED_APP, ISSUING_APP, LAST_APP, PARTLY_CORRUPT_APP];

/// The number of changes after which the services are replaced. Each rotation leaves a version, and after too many versions
/// rotations are refused.
const MAX_CHANGES: usize = MAX_NEW_VERSIONS - 5;

struct Functions {
    runtime: Runtime,
    functions: Vec<(&'static str, InProcess)>,
    store: Store,
    dynamodb: Client,
    apps: Vec<App>,
    api_keys: Vec<Item>,
    changes: usize,
    log: Log,
    _logging: DefaultGuard,
}

/// The log lines since the last check.
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
    static FUNCTIONS_OF_THREAD: RefCell<Option<Functions>> = const { RefCell::new(None) };
}

/// Returns the function's response to the event. Checks the log and undoes a successful write.
pub fn respond(function: &str, event: &str) -> Value {
    with_functions(|functions| {
        let (response, _) = functions.respond(function, event);
        if Route::of(function).method != "GET" && is_success(&response) {
            functions.undo(function, event);
        }
        response
    })
}

/// Returns the function's responses to a write and, if it changed something, to its repetition. Then undoes the write.
pub fn respond_and_repeat(function: &str, event: &str) -> (Value, Option<Value>) {
    with_functions(|functions| {
        let (response, repeats_earlier_input) = functions.respond(function, event);
        let changed = is_success(&response) && !repeats_earlier_input;
        let repeated = changed.then(|| functions.respond(function, event).0);
        if changed {
            functions.undo(function, event);
        }
        (response, repeated)
    })
}

fn is_success(response: &Value) -> bool {
    response["statusCode"].as_u64().unwrap() < 300
}

/// Fails if the app differs from the fixtures.
pub fn assert_unchanged(app: &str) {
    with_functions(|functions| {
        let original = functions.apps.iter().find(|known| known.id.to_string() == app).unwrap();
        let found = functions.runtime.block_on(functions.store.find_app(original.id)).unwrap();
        assert_eq!(found.as_ref(), Some(original));
    });
}

/// Replaces functions and services after [`MAX_CHANGES`].
pub fn renew() {
    FUNCTIONS_OF_THREAD.with_borrow_mut(|kept| drop(kept.take_if(|functions| functions.changes >= MAX_CHANGES)));
}

fn with_functions<T>(work: impl FnOnce(&mut Functions) -> T) -> T {
    FUNCTIONS_OF_THREAD.with_borrow_mut(|kept| {
        let mut functions = kept.take().unwrap_or_else(Functions::new);
        let result = work(&mut functions);
        // A panic may leave them in any state, so they are kept only after a success.
        *kept = Some(functions);
        result
    })
}

impl Functions {
    fn new() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let json = fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
        let filter = Targets::new().with_target("userdocks", tracing::Level::INFO);
        let logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(json));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (services, dynamodb, apps) = runtime.block_on(provide());
        let functions = FUNCTIONS.map(|function| {
            let table = if function == "post-app-keys" { FULL_TABLE } else { TABLE };
            (function, InProcess::new(function, services(table)))
        });
        let store = services(TABLE).store;
        let api_keys = runtime.block_on(read_api_keys(&dynamodb));
        let functions = functions.into();
        Self { runtime, functions, store, dynamodb, apps, api_keys, changes: 0, log, _logging: logging }
    }

    /// Also returns whether the response is a replay, according to the log.
    fn respond(&self, function: &str, event: &str) -> (Value, bool) {
        let (_, function) = self.functions.iter().find(|(name, _)| *name == function).unwrap();
        let response = self.runtime.block_on(function.respond(event));
        (response, self.assert_logged()["replayed"] == true)
    }

    /// Returns the request's line. Fails unless there is one, and all lines are JSON without a part of an API key. A request
    /// id and the URL of a leak may contain anything.
    fn assert_logged(&self) -> Value {
        let logged = std::mem::take(&mut *self.log.0.lock().unwrap());
        let mut about_request = Vec::new();
        for line in str::from_utf8(&logged).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            for name in ["requestId", "untrustedUrl"] {
                line.as_object_mut().unwrap().remove(name);
            }
            assert_no_key(&line.to_string());
            if line["message"] == "request" {
                about_request.push(line);
            }
        }
        assert_eq!(about_request.len(), 1);
        about_request.remove(0)
    }

    /// Restores the event's app and all API keys from the fixtures.
    fn undo(&mut self, function: &str, event: &str) {
        self.changes += 1;
        if function.contains("api-key") || function == "post-leaks" {
            self.runtime.block_on(restore_api_keys(&self.dynamodb, &self.api_keys));
        }
        if function == "post-leaks" {
            return;
        }
        let event = serde_json::from_str(event).unwrap();
        let app = self.apps.iter_mut().find(|app| app_id(&event) == Some(app.id.to_string())).unwrap();
        let read = self.runtime.block_on(self.store.find_app(app.id)).unwrap().unwrap();
        let version = read.version;
        assert!(version <= app.version + 1, "an earlier refused write changed {}", app.id);
        if version != app.version {
            let original = app.clone();
            *app = self.runtime.block_on(self.store.update_app(&read, original, Timestamp::now())).unwrap();
        }
    }
}

/// An item of the table.
type Item = HashMap<String, AttributeValue>;

async fn read_api_keys(dynamodb: &Client) -> Vec<Item> {
    let scan = dynamodb.scan().table_name(TABLE).filter_expression("begins_with(sk, :prefix)");
    let scan = scan.expression_attribute_values(":prefix", AttributeValue::S("APIKEY#".to_owned()));
    scan.into_paginator().items().send().try_collect().await.unwrap()
}

async fn restore_api_keys(dynamodb: &Client, original: &[Item]) {
    let found = read_api_keys(dynamodb).await;
    for added in found.iter().filter(|item| original.iter().all(|known| known["sk"] != item["sk"])) {
        let deletion = dynamodb.delete_item().table_name(TABLE).key("pk", added["pk"].clone());
        deletion.key("sk", added["sk"].clone()).send().await.unwrap();
    }
    for changed in original.iter().filter(|item| !found.contains(item)) {
        dynamodb.put_item().table_name(TABLE).set_item(Some(changed.clone())).send().await.unwrap();
    }
}

/// Starts the services with the fixtures in both tables. Returns the services by table, a client, and the apps that writes
/// can change.
async fn provide() -> (impl Fn(&str) -> Services, Client, Vec<App>) {
    let (dynamodb, secrets_manager) = start_embedded().await.unwrap();
    let [dynamodb, secrets_manager] = [dynamodb, secrets_manager].map(|address| format!("http://{address}"));
    let sdk = sdk_config(&dynamodb);
    let services = move |table: &str| signed_services(&dynamodb, &secrets_manager, table);
    for table in [TABLE, FULL_TABLE] {
        services(table).store.create_table().await.unwrap();
        let dynamodb = Client::new(&sdk);
        userdocks_local::fixtures::provision(&services(table), &dynamodb, table).await.unwrap();
    }
    let (store, full) = (services(TABLE).store, services(FULL_TABLE).store);
    let mut apps = Vec::new();
    for app in CHANGED {
        let id = app.parse().unwrap();
        apps.push(store.find_app(id).await.unwrap().unwrap());
        let read = full.find_app(id).await.unwrap().unwrap();
        let mut app = read.clone();
        let (key, now) = (PublicKey::from_stored(PUBLIC_KEY.to_owned()).unwrap(), Timestamp::now());
        // A loop without an end would hang the tests if the limit were missing.
        let mut add =
            || app.signing_keys.add_standby(SigningKeyLimits::API, SigningKeyId::random(), key.clone(), now).is_ok();
        assert!((0..100).any(|_| !add()), "no limit of signing keys");
        full.update_app(&read, app, now).await.unwrap();
    }
    (services, Client::new(&sdk), apps)
}

/// The shortest key that the table accepts.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
