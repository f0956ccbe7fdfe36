//! Embedded DynamoDB and Secrets Manager behind a proxy that counts calls and can go wrong in every way.

use std::{
    error::Error,
    fmt::Display,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::{net::TcpListener, process::Command, sync::Notify};
use userdocks::{
    api::Services,
    aws::{DynamoDb, Resources, SecretsManager},
};
use userdocks_local::{embedded, fixtures};

use crate::{binary, confidential, function::environment};

/// The table's name.
pub const TABLE: &str = "table";
/// What the names of all secrets begin with.
pub const SECRET_PREFIX: &str = "prefix";

/// What becomes of a call.
#[derive(Clone)]
pub enum Fate {
    /// It reaches the service, and its answer comes back.
    Forwarded,
    /// It reaches the service, but there is never an answer; [`Backend::unanswered`] tells.
    Unanswered,
    /// It reaches the service, whose answer has each of the first text replaced by the second.
    Mangled(&'static str, &'static str),
    /// The service is not asked; this is the answer.
    Answered(u16, String),
    /// There is never an answer.
    Ignored,
    /// The answer begins, and never ends.
    Stalled,
    /// The connection breaks in the middle of the answer.
    Cut,
}

type Judge = Box<dyn Fn(&Call) -> Fate + Send + Sync>;

/// A call that arrived.
#[derive(Clone)]
pub struct Call {
    /// The operation, such as `BatchGetItem`.
    pub operation: String,
    /// Which call it was, counted from 0 since the proxy started or was last told what to do.
    pub index: usize,
    /// The request's body.
    pub body: String,
}

/// Both services, in memory, behind one endpoint.
pub struct Backend {
    /// The endpoint of both.
    pub endpoint: String,
    sdk: SdkConfig,
    state: Arc<Proxy>,
}

struct Proxy {
    dynamodb: String,
    secrets_manager: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    judge: Mutex<Judge>,
    unanswered: Notify,
}

impl Backend {
    /// Starts both services and the proxy on free ports.
    pub async fn start() -> Self {
        let (dynamodb, secrets_manager) = start_embedded().await.unwrap();
        let proxy = TcpListener::bind(FREE_PORT).await.unwrap();
        let endpoint = format!("http://{}", proxy.local_addr().unwrap());
        let state = Arc::new(Proxy {
            dynamodb: format!("http://{dynamodb}"),
            secrets_manager: format!("http://{secrets_manager}"),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            calls: Mutex::default(),
            judge: Mutex::new(Box::new(|_| Fate::Forwarded)),
            unanswered: Notify::new(),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(proxy, router).await });
        let sdk = sdk_config(&endpoint);
        let backend = Self { endpoint, sdk, state };
        backend.services().store.create_table().await.unwrap();
        backend
    }

    /// The same with the fixtures in it.
    pub async fn with_fixtures() -> Self {
        let backend = Self::start().await;
        Box::pin(fixtures::provision(&backend.services(), &backend.dynamodb(), TABLE)).await.unwrap();
        let _ = backend.take_calls();
        backend
    }

    /// The functions' own way to the services.
    #[must_use]
    pub fn services(&self) -> Services {
        let secret_prefix = SECRET_PREFIX.parse().unwrap();
        let resources = Resources { table: TABLE.to_owned(), secret_prefix, secrets_kms_key: None };
        let dynamodb = DynamoDb::from_sdk(self.dynamodb(), None);
        Services::new(dynamodb, SecretsManager::from_sdk(self.secrets_manager(), None), resources)
    }

    /// DynamoDB, for looking at the table and breaking it.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk)
    }

    /// A change of an item behind the store's back: of the app's own where `sk` is `APP`.
    #[must_use]
    pub fn update_item(&self, app: impl Display, sk: &str) -> UpdateItemFluentBuilder {
        let update = self.dynamodb().update_item().table_name(TABLE);
        update.key("pk", AttributeValue::S(format!("APP#{app}"))).key("sk", AttributeValue::S(sk.to_owned()))
    }

    /// Secrets Manager, for looking at the secrets.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.sdk)
    }

    /// `userdocks-admin` on the backend.
    #[must_use]
    pub fn admin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("userdocks-admin"));
        command.args(arguments).env_clear().envs(environment(self));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command of `userdocks-admin`: its exit code, the JSON that it printed, and its errors, in which nothing is
    /// confidential.
    pub async fn run_admin(&self, arguments: &[&str]) -> (i32, Value, String) {
        let output = self.admin(&[&["--output", "json"], arguments].concat()).output().await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        confidential::assert_absent(&errors);
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), errors)
    }

    /// Waits for a call that was left [`Fate::Unanswered`] to have reached its service.
    pub async fn unanswered(&self) {
        self.state.unanswered.notified().await;
    }

    /// Decides what becomes of all calls from now on, and counts from 0 again.
    pub fn judge(&self, judge: impl Fn(&Call) -> Fate + Send + Sync + 'static) {
        *self.state.judge.lock().unwrap() = Box::new(judge);
        self.state.calls.lock().unwrap().clear();
    }

    /// The operations called since the last [`Backend::judge`] or [`Backend::take_calls`].
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        self.take_whole_calls().into_iter().map(|call| call.operation).collect()
    }

    /// The same calls with their bodies.
    #[must_use]
    pub fn take_whole_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state.calls.lock().unwrap())
    }
}

fn beginning() -> Result<Bytes, std::io::Error> {
    Ok(Bytes::from_static(b"{\"Respo"))
}

/// The SDK's configuration for embedded services at that address.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(50));
    userdocks_local::sdk_config(endpoint).to_builder().retry_config(retries).build()
}

const FREE_PORT: &str = "127.0.0.1:0";

/// Starts both services, in memory, on free ports; the addresses of DynamoDB and of Secrets Manager.
///
/// # Errors
/// A port or the services' memory is not to be had.
pub async fn start_embedded() -> Result<(SocketAddr, SocketAddr), Box<dyn Error + Send + Sync>> {
    let (dynamodb, secrets_manager) = (TcpListener::bind(FREE_PORT).await?, TcpListener::bind(FREE_PORT).await?);
    let addresses = (dynamodb.local_addr()?, secrets_manager.local_addr()?);
    embedded::start_dynamodb_in_memory(dynamodb)?;
    embedded::start_secrets_manager(secrets_manager, None).await?;
    Ok(addresses)
}

async fn handle(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    // A function that only makes its connection asks for no operation.
    let Some(target) = parts.headers.get("x-amz-target") else { return Response::new(Body::empty()) };
    let target = target.to_str().unwrap().to_owned();
    let (service, operation) = target.split_once('.').unwrap();
    let call = {
        let mut calls = proxy.calls.lock().unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        confidential::note_answer(&body);
        let call = Call { operation: operation.to_owned(), index: calls.len(), body };
        calls.push(call.clone());
        call
    };
    let fate = (proxy.judge.lock().unwrap())(&call);
    match fate {
        Fate::Forwarded | Fate::Unanswered | Fate::Mangled(..) => {
            let upstream = if service.starts_with("DynamoDB") { &proxy.dynamodb } else { &proxy.secrets_manager };
            let mut headers = parts.headers;
            headers.remove("host");
            let answer = proxy.client.post(upstream).headers(headers).body(body).send().await.unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            let mut answer = answer.bytes().await.unwrap();
            if let Fate::Mangled(from, to) = fate {
                answer = String::from_utf8_lossy(&answer).replace(from, to).into();
                // The service's own is of the answer before.
                response.headers_mut().remove("x-amz-crc32");
                response.headers_mut().remove("content-length");
            }
            confidential::note_answer(&String::from_utf8_lossy(&answer));
            *response.body_mut() = Body::from(answer);
            if matches!(fate, Fate::Unanswered) {
                proxy.unanswered.notify_one();
                std::future::pending::<()>().await;
            }
            response
        }
        Fate::Answered(status, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        }
        Fate::Ignored => std::future::pending().await,
        Fate::Stalled => Response::new(Body::from_stream(stream::iter([beginning()]).chain(stream::pending()))),
        Fate::Cut => Response::new(Body::from_stream(stream::iter([beginning(), Err(std::io::Error::other("cut"))]))),
    }
}
