//! AWS responses with any content.

use std::{
    mem::take,
    sync::{Arc, Mutex},
};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use userdocks::{
    aws::{Protocol, Service as AwsService, SignedCalls},
    domain::{ApiKeyValue, App, AppId, SecretVersionId, Timestamp, WriteId},
    secrets::Secrets,
    store::{CallerRecords, Store, StoreError},
};

use crate::fixtures::{APP, READ_KEY};

/// The first byte chooses the call and the AWS response's status. The rest is the response's body.
pub fn check(input: &[u8]) {
    let Some((form, body)) = input.split_first() else { return };
    let status = if form % 4 < 2 { 200 } else { 400 };
    if is_retried(status, body) {
        return;
    }
    let service = Service::new(status, body);
    if form % 2 == 0 { service.check_caller() } else { service.check_secret(status, body) }
}

/// Returns whether the library would repeat the call after a delay.
fn is_retried(status: u16, body: &[u8]) -> bool {
    let response: Value = serde_json::from_slice(body).unwrap_or_default();
    let has_unprocessed = response["UnprocessedKeys"].as_object().is_some_and(|keys| !keys.is_empty());
    let code = response["__type"].as_str().unwrap_or_default();
    let is_transient = ["Exceeded", "Throttl", "ResourceNotFound"].iter().any(|part| code.contains(part));
    has_unprocessed || status != 200 && is_transient
}

/// Services that return the same AWS response to every call.
#[derive(Debug, Clone)]
struct Service {
    response: Arc<Mutex<(u16, Vec<u8>)>>,
    request: Arc<Mutex<Vec<u8>>>,
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        *self.request.lock().unwrap() = request.body().bytes().unwrap().to_owned();
        let (status, body) = self.response.lock().unwrap().clone();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))))
    }
}

fn app() -> AppId {
    APP.parse().unwrap()
}

/// Looks up the fixtures' first API key and the stored result of the `Idempotency-Key` "key".
async fn find(store: &Store) -> Result<Option<CallerRecords>, StoreError> {
    let hash = READ_KEY.parse::<ApiKeyValue>().unwrap().hash();
    let write = WriteId::new(&hash, &"key".parse().unwrap());
    store.find_caller(app(), &hash, Some(&write)).await
}

const ENDPOINT: &str = "http://service";
const REGION: &str = "us-east-1";

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

impl Service {
    fn new(status: u16, body: &[u8]) -> Self {
        Self { response: Arc::new(Mutex::new((status, body.to_owned()))), request: Arc::default() }
    }

    fn set_response(&self, body: &Value) {
        *self.response.lock().unwrap() = (200, body.to_string().into_bytes());
    }

    fn direct(&self, protocol: Protocol) -> SignedCalls {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let connector = SharedHttpConnector::new(self.clone());
        SignedCalls::new(protocol, ENDPOINT.to_owned(), REGION.to_owned(), credentials, connector)
    }

    fn store(&self) -> Store {
        let connector = SharedHttpConnector::new(self.clone());
        let client = move || {
            let config = aws_sdk_dynamodb::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .endpoint_url(ENDPOINT)
                .build();
            aws_sdk_dynamodb::Client::from_conf(config)
        };
        Store::new(AwsService::new(client, Some(self.direct(Protocol::DYNAMODB)), None), "table".to_owned())
    }

    /// Fails unless each accepted record can be written back and is then read unchanged.
    fn check_caller(&self) {
        let store = self.store();
        let Ok(Some(found)) = run(find(&store)) else { return };
        let CallerRecords { api_key, app: Ok(app), stored_result } = found else { return };
        for key in app.signing_keys.published() {
            let _ = key.public_key.jwk_components();
        }

        self.set_response(&json!({}));
        run(store.create_app(&app, std::slice::from_ref(&api_key))).unwrap();
        let written = self.written_items();
        self.set_response(&json!({"Responses": {"table": written}}));
        let read = run(find(&store)).unwrap().unwrap();
        assert_eq!((&read.api_key, read.app.as_ref()), (&api_key, Ok(&app)));

        let Some(Ok(done)) = stored_result else { return };
        self.set_response(&json!({}));
        let now = Timestamp::now();
        let changed = run(store.update_app_and_api_keys(&app, app.clone(), now, &[], Some(&done))).unwrap();
        assert_eq!(changed, App { version: app.version + 1, updated_at: now, ..app });
        let transaction = self.transaction();
        let mut record = written[0].clone();
        for attribute in ["version", "updatedAt"] {
            record[attribute] = transaction[0]["Update"]["ExpressionAttributeValues"][format!(":{attribute}")].clone();
        }
        let again = [&[record, transaction[1]["Put"]["Item"].clone()], &written[1..]].concat();
        self.set_response(&json!({"Responses": {"table": again}}));
        let read = run(find(&store)).unwrap().unwrap();
        assert_eq!((read.app, read.stored_result), (Ok(changed), Some(Ok(done))));
    }

    /// Returns the actions of the last transaction.
    fn transaction(&self) -> Vec<Value> {
        let mut request: Value = serde_json::from_slice(&take(&mut *self.request.lock().unwrap())).unwrap();
        request["TransactItems"].as_array_mut().unwrap().drain(..).collect()
    }

    /// Returns the items that the last transaction writes.
    fn written_items(&self) -> Vec<Value> {
        self.transaction().into_iter().map(|mut item| item["Put"]["Item"].take()).collect()
    }

    /// Fails unless the secret is the one in the AWS response and an error contains no secret.
    fn check_secret(&self, status: u16, body: &[u8]) {
        let direct = self.direct(Protocol::SECRETS_MANAGER);
        let service = AwsService::new(|| panic!("reads use signed calls"), Some(direct), None);
        let secrets = Secrets::new(service, &"prefix".parse().unwrap(), None);
        // Other members of the response may contain invalid UTF-8.
        let response: Option<Value> = serde_json::from_str(&String::from_utf8_lossy(body)).ok();
        let secret = response.as_ref().and_then(|response| response.get("SecretString").or(response.get(0))?.as_str());
        match run(secrets.app_secret(app(), SecretVersionId::random())) {
            // They may also contain unpaired surrogates.
            Ok(_) if response.is_none() => assert_eq!(status, 200),
            Ok(read) => assert_eq!((status, Some(read.expose())), (200, secret)),
            // The error contains Secrets Manager's own message. A short secret may be a word of the error.
            Err(error) if status == 200 => {
                let shown = secret.filter(|secret| secret.len() > 64 && error.to_string().contains(secret));
                assert_eq!(shown, None, "{error}");
            }
            Err(_) => {}
        }
    }
}
