//! What DynamoDB and Secrets Manager answer with, whoever wrote it there.

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
use userdocks_local::fixtures::{APP, READ_KEY};

/// The first byte picks what is asked for and the answer's status, the rest is the answer's body.
pub fn check(input: &[u8]) {
    let Some((form, body)) = input.split_first() else { return };
    let status = if form % 4 < 2 { 200 } else { 400 };
    if waits_for_another(status, body) {
        return;
    }
    let service = Service::answering(status, body);
    if form % 2 == 0 { service.check_caller() } else { service.check_secret(status, body) }
}

/// Whether the call would be repeated, after a while.
fn waits_for_another(status: u16, body: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let has_unprocessed = answer["UnprocessedKeys"].as_object().is_some_and(|keys| !keys.is_empty());
    let code = answer["__type"].as_str().unwrap_or_default();
    let passes = ["Exceeded", "Throttl", "ResourceNotFound"].iter().any(|part| code.contains(part));
    has_unprocessed || status != 200 && passes
}

/// Both services, with one answer to everything.
#[derive(Debug, Clone)]
struct Service {
    answer: Arc<Mutex<(u16, Vec<u8>)>>,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        *self.asked.lock().unwrap() = request.body().bytes().unwrap().to_owned();
        let (status, body) = self.answer.lock().unwrap().clone();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))))
    }
}

fn app() -> AppId {
    APP.parse().unwrap()
}

/// The caller and the write that the answer is about: the first API key of the fixtures, and "key" as `Idempotency-Key`.
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
    fn answering(status: u16, body: &[u8]) -> Self {
        Self { answer: Arc::new(Mutex::new((status, body.to_owned()))), asked: Arc::default() }
    }

    fn answer(&self, body: &Value) {
        *self.answer.lock().unwrap() = (200, body.to_string().into_bytes());
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

    /// What is accepted as the records of a caller can be written back, and is then read as the same.
    fn check_caller(&self) {
        let store = self.store();
        let Ok(Some(found)) = run(find(&store)) else { return };
        let CallerRecords { api_key, app: Ok(app), stored_result } = found else { return };
        for key in app.signing_keys.published() {
            let _ = key.public_key.jwk_components();
        }

        self.answer(&json!({}));
        run(store.create_app(&app, std::slice::from_ref(&api_key))).unwrap();
        let written = self.written();
        self.answer(&json!({"Responses": {"table": written}}));
        let read = run(find(&store)).unwrap().unwrap();
        assert_eq!((&read.api_key, read.app.as_ref()), (&api_key, Ok(&app)));

        let Some(Ok(done)) = stored_result else { return };
        self.answer(&json!({}));
        let now = Timestamp::now();
        let changed = run(store.update_app(&app, app.clone(), now, Some(&done))).unwrap();
        assert_eq!(changed, App { version: app.version + 1, updated_at: now, ..app });
        let asked = self.asked();
        let mut record = written[0].clone();
        for attribute in ["version", "updatedAt"] {
            record[attribute] = asked[0]["Update"]["ExpressionAttributeValues"][format!(":{attribute}")].clone();
        }
        let again = [&[record, asked[1]["Put"]["Item"].clone()], &written[1..]].concat();
        self.answer(&json!({"Responses": {"table": again}}));
        let read = run(find(&store)).unwrap().unwrap();
        assert_eq!((read.app, read.stored_result), (Ok(changed), Some(Ok(done))));
    }

    /// What the transaction that was asked for does.
    fn asked(&self) -> Vec<Value> {
        let mut asked: Value = serde_json::from_slice(&take(&mut *self.asked.lock().unwrap())).unwrap();
        asked["TransactItems"].as_array_mut().unwrap().drain(..).collect()
    }

    /// The items that it puts.
    fn written(&self) -> Vec<Value> {
        self.asked().into_iter().map(|mut item| item["Put"]["Item"].take()).collect()
    }

    /// The secret is the one in the answer (which may be an array in place of the object: no service sends that); where there
    /// is none, the error does not show what there is.
    fn check_secret(&self, status: u16, body: &[u8]) {
        let direct = self.direct(Protocol::SECRETS_MANAGER);
        let service = AwsService::new(|| panic!("reads use signed calls"), Some(direct), None);
        let secrets = Secrets::new(service, &"prefix".parse().unwrap(), None);
        // Texts that nobody asks for need not be UTF-8.
        let answer: Option<Value> = serde_json::from_str(&String::from_utf8_lossy(body)).ok();
        let secret = answer.as_ref().and_then(|answer| answer.get("SecretString").or(answer.get(0))?.as_str());
        match run(secrets.app_secret(app(), SecretVersionId::random())) {
            // Nor need their surrogates be pairs.
            Ok(_) if answer.is_none() => assert_eq!(status, 200),
            Ok(read) => assert_eq!((status, Some(read.expose())), (200, secret)),
            // What Secrets Manager says when it refuses is shown; shorter texts may be words of the error's own.
            Err(error) if status == 200 => {
                let shown = secret.filter(|secret| secret.len() > 64 && error.to_string().contains(secret));
                assert_eq!(shown, None, "{error}");
            }
            Err(_) => {}
        }
    }
}
