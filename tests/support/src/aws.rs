//! A fake AWS: embedded DynamoDB and Secrets Manager behind a proxy, which records calls and makes them fail.

use std::{
    error::Error,
    fmt::Display,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::{
    config::Credentials, operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue,
};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, sync::Notify};
use userdocks::{
    api::Services,
    aws::{Clients, Configuration, DynamoDb, Resources, SecretsManager},
};
use userdocks_local::{embedded, fixtures};

use crate::{binary, confidential, function};

pub const TABLE: &str = "table";
pub const SECRET_PREFIX: &str = "prefix";

/// The reply to a call.
#[derive(Clone)]
pub enum Reply {
    /// The service's own response.
    Forward,
    /// The service's own response, but the call waits until [`FakeAws::while_held`] has done its work.
    Hold,
    /// No response, although the service carries out the call. [`FakeAws::response_lost`] waits for it.
    Lose,
    /// The service's own response, with each occurrence of the first text replaced by the second.
    Edit(&'static str, &'static str),
    /// This status and body. The service is not called.
    Send(u16, String),
    /// No response. The service is not called.
    Never,
    /// The beginning of a response. The connection stays open.
    Stall,
    /// The beginning of a response. The connection is closed after it.
    Cut,
}

impl Reply {
    /// Returns an AWS service's error with that code.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::Send(status, json!({ "__type": code, "message": "no" }).to_string())
    }

    /// Returns DynamoDB's error for a transaction that is cancelled for these reasons.
    #[must_use]
    pub fn cancelled_transaction(reasons: &[&str]) -> Self {
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            reasons.join(", ")
        );
        let reasons: Vec<Value> = reasons.iter().map(|reason| json!({"Code": reason})).collect();
        let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        Self::Send(400, json!({"__type": code, "Message": message, "CancellationReasons": reasons}).to_string())
    }
}

type Interceptor = Box<dyn Fn(&Call) -> Reply + Send + Sync>;

#[derive(Clone)]
pub struct Call {
    /// For example `BatchGetItem`.
    pub operation: String,
    /// The number of earlier calls since calls were last intercepted or taken.
    pub index: usize,
    pub body: String,
}

impl Call {
    /// Returns the request's body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns DynamoDB's response to a `BatchGetItem` that it has not processed at all.
    #[must_use]
    pub fn unprocessed(&self) -> Reply {
        let response = json!({"Responses": {}, "UnprocessedKeys": self.json()["RequestItems"]});
        Reply::Send(200, response.to_string())
    }
}

/// Both services, in memory, at one endpoint.
pub struct FakeAws {
    pub endpoint: String,
    sdk: SdkConfig,
    state: Arc<Proxy>,
}

struct Proxy {
    dynamodb: String,
    secrets_manager: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    interceptor: Mutex<Interceptor>,
    response_lost: Notify,
    held: Notify,
    released: Notify,
}

impl FakeAws {
    /// Starts both services with an empty table, and the proxy. All of them listen on free ports.
    pub async fn start() -> Self {
        let (dynamodb, secrets_manager) = start_embedded().await.unwrap();
        let proxy = TcpListener::bind(FREE_PORT).await.unwrap();
        let endpoint = format!("http://{}", proxy.local_addr().unwrap());
        let state = Arc::new(Proxy {
            dynamodb: format!("http://{dynamodb}"),
            secrets_manager: format!("http://{secrets_manager}"),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            calls: Mutex::default(),
            interceptor: Mutex::new(Box::new(|_| Reply::Forward)),
            response_lost: Notify::new(),
            held: Notify::new(),
            released: Notify::new(),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(proxy, router).await });
        let sdk = sdk_config(&endpoint);
        let aws = Self { endpoint, sdk, state };
        aws.services().store.create_table().await.unwrap();
        aws
    }

    /// Starts both services with the fixtures' apps.
    pub async fn with_fixtures() -> Self {
        let aws = Self::start().await;
        fixtures::provision(&aws.services(), &aws.dynamodb(), TABLE).await.unwrap();
        let _ = aws.take_calls();
        aws
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.endpoint.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Returns the environment of a function or of `userdocks-admin` that calls the fake.
    #[must_use]
    pub fn environment(&self) -> function::Environment {
        function::Environment::new(&[
            ("TABLE_NAME", TABLE),
            ("SECRET_PREFIX", SECRET_PREFIX),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
        ])
    }

    /// Returns the library's services. All calls go through the SDK, whose attempts have no timeout.
    #[must_use]
    pub fn services(&self) -> Services {
        let dynamodb = DynamoDb::from_sdk(self.dynamodb(), None);
        Services::new(dynamodb, SecretsManager::from_sdk(self.secrets_manager(), None), resources(TABLE))
    }

    /// Returns the library's services as a function has them: signed calls for reads, and timeouts.
    #[must_use]
    pub fn signed_services(&self) -> Services {
        signed_services(&self.endpoint, &self.endpoint, TABLE)
    }

    /// Returns a client that can inspect and corrupt the table.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk)
    }

    /// Builds an update of an item of the app that bypasses the store. The app's record has the sort key `APP`.
    #[must_use]
    pub fn update_item(&self, app: impl Display, sk: &str) -> UpdateItemFluentBuilder {
        let update = self.dynamodb().update_item().table_name(TABLE);
        update.key("pk", AttributeValue::S(format!("APP#{app}"))).key("sk", AttributeValue::S(sk.to_owned()))
    }

    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.sdk)
    }

    /// Returns a `userdocks-admin` command that calls the fake.
    #[must_use]
    pub fn admin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("userdocks-admin"));
        command.args(arguments).env_clear().envs(self.environment().variables());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs `userdocks-admin`. Returns its exit code, its output as JSON, and its errors. Checks that the errors contain
    /// nothing confidential.
    pub async fn run_admin(&self, arguments: &[&str]) -> (i32, Value, String) {
        let output = self.admin(&[&["--output", "json"], arguments].concat()).output().await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        confidential::assert_absent(&errors);
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), errors)
    }

    /// Runs `userdocks-admin`, which must succeed, and returns its output as JSON.
    pub async fn admin_json(&self, arguments: &[&str]) -> Value {
        let (code, printed, errors) = self.run_admin(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {errors}");
        printed
    }

    /// Waits until a service has carried out a call whose reply is [`Reply::Lose`].
    pub async fn response_lost(&self) {
        self.state.response_lost.notified().await;
    }

    /// Waits for a call whose reply is [`Reply::Hold`], does `work`, and then forwards this call and all later ones.
    ///
    /// The caller must wait without a timeout, as [`FakeAws::services`] and `userdocks-admin` do.
    pub async fn while_held(&self, work: impl Future<Output = ()>) {
        self.state.held.notified().await;
        work.await;
        self.forward();
        self.state.released.notify_one();
    }

    /// Decides the reply to every call from now on. Restarts the calls' index at 0.
    pub fn intercept(&self, interceptor: impl Fn(&Call) -> Reply + Send + Sync + 'static) {
        *self.state.interceptor.lock().unwrap() = Box::new(interceptor);
        self.state.calls.lock().unwrap().clear();
    }

    /// Decides the reply to every call of one operation, and forwards all others.
    pub fn intercept_operation(&self, operation: &str, reply: Reply) {
        let operation = operation.to_owned();
        self.intercept(move |call| if call.operation == operation { reply.clone() } else { Reply::Forward });
    }

    /// Forwards all calls from now on.
    pub fn forward(&self) {
        self.intercept(|_| Reply::Forward);
    }

    /// Takes the operations of all calls since calls were last intercepted or taken.
    #[must_use]
    pub fn take_operations(&self) -> Vec<String> {
        self.take_calls().into_iter().map(|call| call.operation).collect()
    }

    /// Takes all calls since calls were last intercepted or taken.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state.calls.lock().unwrap())
    }
}

/// Returns the SDK's configuration for embedded services at that endpoint.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(50));
    userdocks_local::sdk_config(endpoint).unwrap().to_builder().retry_config(retries).build()
}

/// Returns the library's services as a function has them, at these endpoints.
#[must_use]
pub fn signed_services(dynamodb: &str, secrets_manager: &str, table: &str) -> Services {
    let configuration = Configuration {
        resources: resources(table),
        region: "us-east-1".to_owned(),
        dynamodb_endpoint: dynamodb.parse().ok(),
        secrets_manager_endpoint: secrets_manager.parse().ok(),
        credentials: Some(Credentials::new("test", "test", None, None, "test")),
        ca_bundle: None,
    };
    let clients = Clients::new(&configuration).unwrap();
    Services::new(clients.dynamodb(), clients.secrets_manager(), configuration.resources)
}

fn resources(table: &str) -> Resources {
    let secret_prefix = SECRET_PREFIX.parse().unwrap();
    Resources { table: table.to_owned(), secret_prefix, secrets_kms_key: None }
}

const FREE_PORT: &str = "127.0.0.1:0";

/// Starts both services in memory on free ports. Returns the addresses of DynamoDB and Secrets Manager.
///
/// # Errors
/// There is no free port or no memory.
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
    let target = parts.headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    // A function's warm-up only opens a connection: its request names no operation, and is not recorded.
    let (service, operation) = target.as_deref().and_then(|target| target.split_once('.')).unwrap_or_default();
    let call = {
        let mut calls = proxy.calls.lock().unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        confidential::note_response(&body);
        let call = Call { operation: operation.to_owned(), index: calls.len(), body };
        if target.is_some() {
            calls.push(call.clone());
        }
        call
    };
    let reply = (proxy.interceptor.lock().unwrap())(&call);
    match reply {
        Reply::Send(status, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        }
        Reply::Never => std::future::pending().await,
        Reply::Stall => Response::new(Body::from_stream(stream::iter([beginning()]).chain(stream::pending()))),
        Reply::Cut => Response::new(Body::from_stream(stream::iter([beginning(), Err(std::io::Error::other("cut"))]))),
        _ if target.is_none() => Response::new(Body::empty()),
        Reply::Forward | Reply::Hold | Reply::Lose | Reply::Edit(..) => {
            if matches!(reply, Reply::Hold) {
                proxy.held.notify_one();
                proxy.released.notified().await;
            }
            let upstream = if service.starts_with("DynamoDB") { &proxy.dynamodb } else { &proxy.secrets_manager };
            let mut headers = parts.headers;
            headers.remove("host");
            let received = proxy.client.post(upstream).headers(headers).body(body).send().await.unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = received.status();
            *response.headers_mut() = received.headers().clone();
            let mut body = received.bytes().await.unwrap();
            if let Reply::Edit(from, to) = reply {
                body = String::from_utf8_lossy(&body).replace(from, to).into();
                // These headers describe the body before the change.
                response.headers_mut().remove("x-amz-crc32");
                response.headers_mut().remove("content-length");
            }
            confidential::note_response(&String::from_utf8_lossy(&body));
            *response.body_mut() = Body::from(body);
            if matches!(reply, Reply::Lose) {
                proxy.response_lost.notify_one();
                std::future::pending::<()>().await;
            }
            response
        }
    }
}

fn beginning() -> Result<Bytes, std::io::Error> {
    Ok(Bytes::from_static(b"{\"Respo"))
}
