//! The functions' binaries on a fake AWS.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{PublicKey, SigningKeyId, SigningKeyLimits, Timestamp};
use userdocks_test_support::{
    app::{RSA_2048, TestApp},
    aws::{FakeAws, SECRET_PREFIX},
    contract::read_payload,
    event::Event,
    function::Function,
};

/// The functions that change an app's secret or its signing keys.
pub const WRITES: [&str; 5] =
    ["post-app-keys", "post-app-secrets", "put-app-key", "delete-app-key", "delete-previous-app-secret"];

/// The functions. Each call starts a new process.
pub struct Api {
    pub aws: FakeAws,
}

impl Api {
    pub async fn start() -> Self {
        Self { aws: FakeAws::start().await }
    }

    /// Creates an app with a generated signing key.
    pub async fn create_app(&self) -> TestApp {
        TestApp::builder().private_key().create(&self.aws.services()).await
    }

    /// Calls a function in a new process. Returns the status and the body.
    pub async fn call(&self, function: &str, event: &Event) -> (u16, Value) {
        let mut function = Function::start(function, &self.aws.environment()).await;
        let (response, _) = read_payload(&function.invoke(&event).await);
        (response.status, serde_json::from_str(&response.body).unwrap())
    }

    pub async fn secret(&self, app: &TestApp) -> String {
        let (status, body) = self.call("get-app-secrets", &app.event("get-app-secrets")).await;
        assert_eq!(status, 200, "{body}");
        body["data"]["secret"].as_str().unwrap().to_owned()
    }

    /// Returns the labels of each labelled version of the app's secret.
    pub async fn labels(&self, app: &TestApp) -> BTreeMap<String, Vec<String>> {
        let name = format!("{SECRET_PREFIX}/apps/{}/secret", app.id());
        let versions = self.aws.secrets_manager().list_secret_version_ids().secret_id(name).send().await.unwrap();
        let labelled = versions.versions().iter().filter(|version| !version.version_stages().is_empty());
        labelled.map(|version| (version.version_id().unwrap().to_owned(), version.version_stages().to_vec())).collect()
    }

    pub async fn secret_with_previous(&self, app: &TestApp) -> Value {
        let (status, body) =
            self.call("get-app-secrets", &app.event("get-app-secrets").query("include", "previous")).await;
        assert_eq!(status, 200, "{body}");
        body["data"].clone()
    }

    /// Returns the ids that the keys route lists. The key in use is the first.
    pub async fn listed(&self, app: &TestApp) -> Vec<String> {
        let (status, body) = self.call("get-app-keys", &app.event("get-app-keys")).await;
        assert_eq!(status, 200, "{body}");
        body["items"].as_array().unwrap().iter().map(|key| key["uuid"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the ids in the JWKS.
    pub async fn published(&self, app: &TestApp) -> Vec<String> {
        let (status, body) = self.call("get-app-jwks", &app.event("get-app-jwks")).await;
        assert_eq!(status, 200, "{body}");
        body["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn create_key(&self, app: &TestApp) -> String {
        let (status, body) = self.call("post-app-keys", &app.event("post-app-keys")).await;
        assert_eq!(status, 201, "{body}");
        body["items"][0]["uuid"].as_str().unwrap().to_owned()
    }

    pub async fn put_in_use(&self, app: &TestApp, key: &str, force: bool) -> (u16, Value) {
        let body = json!({"state": "in_use", "force": force});
        self.call("put-app-key", &app.event("put-app-key").key(key).body(body)).await
    }

    pub async fn revoke(&self, app: &TestApp, key: &str) -> (u16, Value) {
        self.call("delete-app-key", &app.event("delete-app-key").key(key)).await
    }

    /// Changes attributes of the app's record, for example its times.
    pub async fn update(&self, app: &TestApp, expression: &str, values: &[(&str, &str)]) {
        let mut update = self.aws.update_item(app.id(), "APP").update_expression(expression);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, AttributeValue::S((*value).to_owned()));
        }
        update.send().await.unwrap();
    }

    /// Adds an imported standby key.
    pub async fn add_standby(&self, app: &TestApp) -> String {
        let store = self.aws.services().store;
        let read = store.find_app(app.id()).await.unwrap().unwrap();
        let mut changed = read.clone();
        let (id, key) = (SigningKeyId::random(), PublicKey::import(RSA_2048).unwrap());
        changed.signing_keys.add_standby(SigningKeyLimits::API, id, key, Timestamp::now()).unwrap();
        store.update_app(&read, changed, Timestamp::now()).await.unwrap();
        id.to_string()
    }

    /// Fails if a pinned version or the private half of a generated key is missing.
    pub async fn assert_nothing_is_lost(&self, app: &TestApp, generated: &[String]) {
        self.secret(app).await;
        self.secret_with_previous(app).await;
        let listed = self.listed(app).await;
        let published = self.published(app).await;
        assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), published.len(), "each key once");
        assert!(!listed.is_empty() && listed[..] == published[..listed.len()], "the key in use is first in both");
        for key in generated.iter().filter(|key| published.contains(key)) {
            let name = format!("{SECRET_PREFIX}/apps/{}/signing-keys/{key}", app.id());
            let private = self.aws.secrets_manager().get_secret_value().secret_id(name).send().await.unwrap();
            assert!(private.secret_string().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        }
    }
}
