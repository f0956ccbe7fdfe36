//! Apps with API keys and signing keys, which the library stores.

use std::{sync::OnceLock, time::Duration};

use userdocks::{
    api::Services,
    domain::{
        AllowList, ApiKey, ApiKeyType, ApiKeyValue, App, AppId, GeneratedSigningKey, PublicKey, Secret,
        SecretVersionId, SigningKeyId, SigningKeyLimits, SigningKeys, Timestamp,
    },
};

use crate::{contract::Route, event::Event};

/// An RSA-2048 public key without its private half.
pub const RSA_2048: &str = include_str!("../../../shared/src/domain/testdata/rsa-2048.pem");

/// An app with a read key, a write key and a signing key in use.
pub struct TestApp {
    /// The record as it was created.
    pub record: App,
    pub read: TestKey,
    pub write: TestKey,
}

/// An API key, whether or not it is stored.
#[derive(Clone)]
pub struct TestKey {
    pub value: ApiKeyValue,
    /// The record as it was created.
    pub record: ApiKey,
}

pub struct AppBuilder {
    name: String,
    secret: Option<String>,
    has_private_key: bool,
    standby_keys: usize,
    keys: Vec<TestKey>,
}

impl TestApp {
    /// Describes an app with a random secret and an imported signing key.
    #[must_use]
    pub fn builder() -> AppBuilder {
        AppBuilder {
            name: "Test".to_owned(),
            secret: None,
            has_private_key: false,
            standby_keys: 0,
            keys: ApiKeyType::ALL.map(TestKey::new).into(),
        }
    }

    /// Creates an app with a random secret and an imported signing key.
    pub async fn create(services: &Services) -> Self {
        Self::builder().create(services).await
    }

    #[must_use]
    pub fn id(&self) -> AppId {
        self.record.id
    }

    /// Reads the app's record.
    pub async fn stored(&self, services: &Services) -> App {
        services.store.find_app(self.id()).await.unwrap().unwrap()
    }

    /// Builds a request for the function's route with the app's API key of the required type.
    #[must_use]
    pub fn event(&self, function: &str) -> Event {
        let key = if Route::of(function).key_type == Some("write") { &self.write } else { &self.read };
        Event::new(function).caller(self.id(), key.value.expose())
    }
}

impl TestKey {
    /// Returns a new key that is not stored.
    #[must_use]
    pub fn new(kind: ApiKeyType) -> Self {
        Self::with_value(ApiKeyValue::issue(kind).unwrap(), kind)
    }

    /// Returns an imported key that is not stored.
    #[must_use]
    pub fn imported(value: &str, kind: ApiKeyType) -> Self {
        Self::with_value(ApiKeyValue::import(value, kind).unwrap(), kind)
    }

    fn with_value(value: ApiKeyValue, kind: ApiKeyType) -> Self {
        let record = ApiKey::new(&value, kind, kind.name().to_owned(), Timestamp::now(), None);
        Self { value, record }
    }

    /// Sets the revocation to a minute ago.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        self.record.revoked_at = Some(one_minute_ago());
        self
    }

    /// Restricts the key to these networks.
    #[must_use]
    pub fn allowing(mut self, networks: &[&str]) -> Self {
        self.record.allow_list = AllowList::parse(networks).unwrap();
        self
    }

    /// Sets the expiry to a minute ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.record.expires_at = Some(one_minute_ago());
        self
    }

    /// Limits the key's lifetime, which begins at its creation.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.record.lifetime = Some(lifetime);
        self.record.expires_at = Some(self.record.created_at + lifetime);
        self
    }
}

fn one_minute_ago() -> Timestamp {
    Timestamp::now().before(Duration::from_secs(60))
}

impl AppBuilder {
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Gives the app a generated signing key and stores its private half. Generating takes a second, once per process.
    #[must_use]
    pub fn private_key(mut self) -> Self {
        self.has_private_key = true;
        self
    }

    /// Adds imported standby keys.
    #[must_use]
    pub fn standby_keys(mut self, count: usize) -> Self {
        self.standby_keys = count;
        self
    }

    /// Adds API keys besides the first read key and the first write key.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = TestKey>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Stores the app with its secret and keys.
    pub async fn create(self, services: &Services) -> TestApp {
        let secret = self.secret.clone().map_or_else(|| Secret::random().unwrap(), Secret::from);
        let private_key = self.has_private_key.then(|| generated().private_key.expose().to_owned());
        let (app, keys) = self.create_record(services).await;
        services.secrets.create_app_secret(app.id, app.secret_version_id, &secret).await.unwrap();
        if let Some(private_key) = private_key {
            let key = app.signing_keys.in_use().unwrap().id;
            services.secrets.create_signing_key(app.id, key, &private_key.into()).await.unwrap().settled();
        }
        let mut keys = keys.into_iter();
        let (read, write) = (keys.next().unwrap(), keys.next().unwrap());
        TestApp { record: app, read, write }
    }

    /// Stores the app's record and its API keys, but no secret and no private key.
    pub async fn create_record(self, services: &Services) -> (App, Vec<TestKey>) {
        let app = self.record();
        let keys: Vec<ApiKey> = self.keys.iter().map(|key| key.record.clone()).collect();
        services.store.create_app(&app, &keys).await.unwrap();
        (app, self.keys)
    }

    fn record(&self) -> App {
        let now = Timestamp::now();
        let imported = || PublicKey::import(RSA_2048).unwrap();
        let mut signing_keys = SigningKeys::default();
        if self.has_private_key {
            signing_keys.add_in_use(SigningKeyId::random(), generated().public_key.clone(), now);
        } else {
            signing_keys.import(SigningKeyId::random(), imported(), now);
        }
        for _ in 0..self.standby_keys {
            signing_keys.add_standby(SigningKeyLimits::OPERATOR, SigningKeyId::random(), imported(), now).unwrap();
        }
        App::new(AppId::random(), self.name.clone(), SecretVersionId::random(), signing_keys, now)
    }
}

/// Returns a signing key that all apps of this process share.
fn generated() -> &'static GeneratedSigningKey {
    static GENERATED: OnceLock<GeneratedSigningKey> = OnceLock::new();
    GENERATED.get_or_init(|| GeneratedSigningKey::generate().unwrap())
}
