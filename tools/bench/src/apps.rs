//! Apps that change under load: their secrets rotate and their API keys are revoked. Checks every response against these
//! changes.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};
use userdocks::{
    api::{ListSuccess, ListedSigningKey, Services},
    domain::{ApiKeyType, AppId, Secret, Timestamp},
    rotation::PreparedRotation,
};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    contract::{self, Fixture, Response},
    event::Event,
    runtime_api::Outcome,
};

use crate::Failure;

const APPS: usize = 4;
/// The API keys that an app's requests present, in turn. One of them is revoked.
const KEYS_EACH: usize = 8;
/// The time between two changes. A change is the rotation of one app's secret and the revocation of one of its API keys.
const CHANGE_INTERVAL: Duration = Duration::from_millis(500);

/// The apps, and what the contract says about responses to their requests.
pub struct Apps {
    apps: Vec<Arc<App>>,
    services: Arc<Services>,
    /// An event of the function, without an app's values.
    event: Event,
    /// The headers of a success, except the etag and the request's id.
    headers: Vec<(String, String)>,
    rejection: Response,
    /// Whether the function returns the secret, which rotates.
    returns_secret: bool,
    is_stopped: AtomicBool,
}

struct App {
    id: AppId,
    versions: Mutex<Vec<Version>>,
    keys: Mutex<VecDeque<Arc<Key>>>,
}

/// A version of the body that the function returns.
struct Version {
    body: String,
    etag: OnceLock<String>,
    /// The time after which older versions are stale.
    committed: OnceLock<Instant>,
}

struct Key {
    key: TestKey,
    /// The time at which its revocation began.
    revoking: OnceLock<Instant>,
    /// The time after which it must be rejected.
    revoked: OnceLock<Instant>,
}

pub struct Request {
    app: Arc<App>,
    key: Arc<Key>,
    /// The request's id, in the event and in its response.
    pub id: String,
    pub event: String,
}

/// A violation of the contract, in a few words.
pub enum Violation {
    /// The response shows the state before a change that was committed before the request.
    Stale(&'static str),
    Other(&'static str),
}

impl Apps {
    /// Creates apps for the requests of one function.
    pub async fn create(services: &Arc<Services>, function: &str) -> Result<Self, Failure> {
        let fixture = Fixture::named(function, "200-ok");
        let mut headers = fixture.expected().headers;
        headers.retain(|(name, _)| name != "etag");
        let returns_secret = function == "get-app-secrets";
        let mut apps = Vec::with_capacity(APPS);
        for _ in 0..APPS {
            let keys: Vec<_> = (0..KEYS_EACH).map(|_| TestKey::new(ApiKeyType::Read)).collect();
            let secret = Secret::random()?;
            let app = TestApp::builder().secret(secret.expose()).keys(keys.clone()).create(services).await;
            let body = if returns_secret {
                secret_body(&secret)
            } else {
                let listed = app.record.signing_keys.listed().into_iter().map(ListedSigningKey::new).collect();
                serde_json::to_string(&ListSuccess::new("appKeys", listed))?
            };
            apps.push(Arc::new(App {
                id: app.id(),
                versions: Mutex::new(vec![Version::new(body)]),
                keys: Mutex::new(keys.into_iter().map(Key::new).collect()),
            }));
        }
        Ok(Self {
            apps,
            services: Arc::clone(services),
            event: fixture.to_event(),
            headers,
            rejection: contract::failure(function, "E4010"),
            returns_secret,
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Returns the next request: apps in turn, and in each app its keys in turn.
    pub fn request(&self, number: usize) -> Result<Request, Failure> {
        let app = self.apps.get(number % APPS).ok_or("an app is missing")?;
        let key = Arc::clone(lock(&app.keys).get(number / APPS % KEYS_EACH).ok_or("an API key is missing")?);
        let id = number.to_string();
        let event = self.event.clone().caller(app.id, key.key.value.expose()).request_id(&id).to_string();
        Ok(Request { app: Arc::clone(app), key, id, event })
    }

    /// Changes one app after another until [`Apps::stop`] is called. Returns the number of changes.
    pub async fn change(&self) -> Result<usize, Failure> {
        let mut ticks = interval(CHANGE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = 0;
        for app in self.apps.iter().cycle() {
            ticks.tick().await;
            if self.is_stopped.load(Ordering::Relaxed) {
                break;
            }
            self.rotate(app).await?;
            self.revoke(app).await?;
            changes += 1;
        }
        Ok(changes)
    }

    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    async fn rotate(&self, app: &App) -> Result<(), Failure> {
        /// The API's default.
        const OVERLAP: Duration = Duration::from_secs(24 * 3600);
        let (store, secrets, now) = (&self.services.store, &self.services.secrets, Timestamp::now());
        let read = store.find_app(app.id).await?.ok_or("an app is missing")?;
        let secret = Secret::random()?;
        let prepared = PreparedRotation::new(secrets, read.clone(), &secret, OVERLAP, now).await?;
        if self.returns_secret {
            lock(&app.versions).push(Version::new(secret_body(&secret)));
        }
        store.update_app(&read, prepared.app.clone(), now).await?;
        if let Some(version) = lock(&app.versions).last() {
            version.committed.get_or_init(Instant::now);
        }
        prepared.finish(secrets).await;
        Ok(())
    }

    /// Replaces the key that was revoked last with a new one, and revokes the oldest of the others.
    async fn revoke(&self, app: &App) -> Result<(), Failure> {
        let store = &self.services.store;
        let has_revoked_key = lock(&app.keys).front().is_some_and(|key| key.revoked.get().is_some());
        if has_revoked_key {
            let new = TestKey::new(ApiKeyType::Read);
            store.add_api_key(app.id, &new.record).await?;
            let mut keys = lock(&app.keys);
            keys.pop_front();
            keys.push_back(Key::new(new));
        }
        let key = lock(&app.keys).front().cloned().ok_or("an API key is missing")?;
        key.revoking.get_or_init(Instant::now);
        store.revoke_api_key(app.id, &key.key.record, Timestamp::now()).await?;
        key.revoked.get_or_init(Instant::now);
        Ok(())
    }

    /// Checks the status, headers and body of a response.
    pub fn check(&self, request: &Request, outcome: &Outcome, response: &Value) -> Result<(), Violation> {
        // The function received the event after this moment.
        let sent = outcome.at - outcome.took;
        if response["isBase64Encoded"] != false {
            return Err(Violation::Other("wrong encoding"));
        }
        match response["statusCode"].as_u64() {
            Some(200) => self.check_success(request, response, sent),
            Some(401) => self.check_rejection(request, response, outcome.at),
            _ => Err(Violation::Other("wrong status")),
        }
    }

    fn check_success(&self, request: &Request, response: &Value, sent: Instant) -> Result<(), Violation> {
        if is_before(&request.key.revoked, sent) {
            return Err(Violation::Stale("accepted a revoked API key"));
        }
        let etag = response["headers"]["etag"].as_str().ok_or(Violation::Other("no etag"))?;
        if !has_headers(response, &self.headers, &[("x-request-id", &request.id), ("etag", etag)]) {
            return Err(Violation::Other("wrong headers"));
        }
        let versions = lock(&request.app.versions);
        let committed = versions.iter().rposition(|version| is_before(&version.committed, sent)).unwrap_or(0);
        let found = versions.iter().enumerate().rev().find(|(_, version)| response["body"] == version.body);
        let (found, version) = found.ok_or(Violation::Other("wrong body"))?;
        if found < committed {
            return Err(Violation::Stale("returned a version that was replaced before"));
        }
        if version.etag.get_or_init(|| etag.to_owned()) != etag {
            return Err(Violation::Other("two etags for one version"));
        }
        Ok(())
    }

    fn check_rejection(&self, request: &Request, response: &Value, received: Instant) -> Result<(), Violation> {
        if !is_before(&request.key.revoking, received) {
            return Err(Violation::Other("rejected an active API key"));
        }
        let has_headers = has_headers(response, &self.rejection.headers, &[("x-request-id", &request.id)]);
        if has_headers && response["body"] == self.rejection.body {
            Ok(())
        } else {
            Err(Violation::Other("wrong headers or body"))
        }
    }
}

impl Version {
    fn new(body: String) -> Self {
        Self { body, etag: OnceLock::new(), committed: OnceLock::new() }
    }
}

impl Key {
    fn new(key: TestKey) -> Arc<Self> {
        Arc::new(Self { key, revoking: OnceLock::new(), revoked: OnceLock::new() })
    }
}

fn secret_body(secret: &Secret) -> String {
    let secret = secret.expose();
    format!(r#"{{"success":true,"message":"OK","error":null,"data":{{"secret":"{secret}"}}}}"#)
}

/// Returns whether the response has these headers and no others.
fn has_headers(response: &Value, expected: &[(String, String)], of_this_response: &[(&str, &str)]) -> bool {
    let expected = expected.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut expected = expected.chain(of_this_response.iter().copied());
    let headers = &response["headers"];
    headers.as_object().is_some_and(|headers| headers.len() == expected.clone().count())
        && expected.all(|(name, value)| headers[name] == value)
}

fn is_before(event: &OnceLock<Instant>, moment: Instant) -> bool {
    event.get().is_some_and(|event| *event < moment)
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
