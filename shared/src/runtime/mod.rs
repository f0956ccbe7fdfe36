//! What makes a handler a Lambda function: configuration, clients, logs, and an answer to every event.

mod clients;
mod core_dumps;
mod endpoint;
mod environment;
mod logs;
mod trust;

use std::{convert::Infallible, env, io, panic::AssertUnwindSafe, process::ExitCode, sync::Arc, time::Duration};

use futures_util::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

pub use self::{
    clients::{Clients, Services},
    core_dumps::disable_core_dumps,
    endpoint::{Endpoint, MalformedEndpoint},
    environment::{Environment, EnvironmentError, Names},
    trust::CaBundleError,
};
use zeroize::Zeroizing;

use crate::{
    domain::{ApiKeyType, AppId, Timestamp},
    http::{Envelope, Failure, FailureKind, Payload, Request, Response},
    store::Store,
};

/// What sets a route apart from the others before its handler runs.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method and path, for the log.
    pub name: &'static str,
    /// The form of its answers.
    pub envelope: Envelope,
    /// Whether scripts of any origin may read its answers. It lets nobody in: a handler that wants a caller authenticates it.
    pub is_public: bool,
    /// Whether its handler calls Secrets Manager, so that a connection is made at start.
    pub calls_secrets_manager: bool,
    /// After this time the answer is the contract's 500; well inside the function's own timeout.
    pub deadline: Duration,
}

impl Route {
    /// The deadline of a route that only waits for its services; a change whose answer comes too late is safe to repeat.
    pub const DEADLINE: Duration = Duration::from_millis(3500);

    /// The event of a request that gets as far as the table, for an app that does not exist.
    fn rehearsal(&self) -> String {
        let app = AppId::random();
        let kind = if self.name.starts_with("GET ") { ApiKeyType::Read } else { ApiKeyType::Write };
        format!(
            r#"{{"headers":{{"x-api-key":"rehearsal-rehearsal","x-api-key-type":"{}","x-client-id":"{app}"}},"pathParameters":{{"appId":"{app}","appUuid":"{app}"}}}}"#,
            kind.name()
        )
    }
}

/// A route with its handler and what the handler works with.
pub struct Function<H> {
    route: Route,
    handler: H,
    services: Arc<Services>,
}

impl<H, F> Function<H>
where
    H: Fn(Arc<Request>, Arc<Services>) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    /// Puts the three together.
    pub fn new(route: Route, handler: H, services: Services) -> Self {
        Self { route, handler, services: Arc::new(services) }
    }

    /// Answers an event, whatever it is and whatever happens, and logs one line about it.
    pub async fn respond(&self, event: &str, invocation_id: &str) -> Payload {
        let request = Arc::new(Request::read(event, invocation_id, Timestamp::now()));
        let outcome = self.handle(&request).await;
        request.use_noted().await;
        logs::request(&self.route, &request, &outcome);
        self.payload(&request, outcome)
    }

    fn payload(&self, request: &Request, outcome: Result<Response, Failure>) -> Payload {
        let response = outcome.unwrap_or_else(|failure| Response::failure(self.route.envelope, failure.kind));
        response.into_payload(request, self.route.is_public)
    }

    async fn handle(&self, request: &Arc<Request>) -> Result<Response, Failure> {
        // Boxed, because the compiler gives up on nesting the SDK's futures any deeper.
        let handling = Box::pin((self.handler)(Arc::clone(request), Arc::clone(&self.services)));
        match AssertUnwindSafe(timeout(self.route.deadline, handling)).catch_unwind().await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::internal(format_args!("no answer after {:?}", self.route.deadline))),
            Err(_) => Err(Failure::internal("the handler panicked; the line before says where")),
        }
    }

    /// Makes the connections before the first request needs them, all at once. Nothing depends on it: a failure is logged,
    /// and the first request then connects by itself.
    async fn warm_up(&self) {
        /// Far longer than it takes on AWS, and short beside what a request may take.
        const LIMIT: Duration = Duration::from_millis(500);
        let connect = async {
            let secrets_manager =
                async { if self.route.calls_secrets_manager { self.services.secrets.connect().await } else { Ok(()) } };
            let (secrets_manager, dynamodb) = tokio::join!(secrets_manager, self.rehearse());
            dynamodb.and(secrets_manager.map_err(|error| format!("Secrets Manager: {error}")))
        };
        match timeout(LIMIT, connect).await.unwrap_or_else(|_| Err(format!("not done after {LIMIT:?}"))) {
            Ok(()) => logs::ready(&self.route),
            Err(cause) => tracing::warn!(cause, "the first request will have to connect by itself"),
        }
    }

    /// Handles a request of an app that nobody has, at the price of two read units. It is not let in, and changes nothing;
    /// but what the first real one would have to load, connect to and compute is then there.
    async fn rehearse(&self) -> Result<(), String> {
        Store::rehearse().map_err(|error| error.to_string())?;
        let request = Arc::new(Request::read(&self.route.rehearsal(), "rehearsal", Timestamp::now()));
        match self.handle(&request).await {
            Err(Failure { kind: FailureKind::Internal, cause, .. }) => Err(cause.unwrap_or_default()),
            outcome => {
                serde_json::to_vec(&self.payload(&request, outcome)).map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// Runs a function until Lambda ends it; several requests at a time where Lambda offers that.
pub fn run<H, F>(route: Route, handler: H) -> ExitCode
where
    H: Fn(Arc<Request>, Arc<Services>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Failure>> + Send,
{
    let core_dumps = disable_core_dumps();
    logs::start();
    if let Err(error) = core_dumps {
        tracing::warn!(cause = %error, "a crash may leave a core dump");
    }
    let ended = tokio_runtime().map_err(StartError::from).and_then(|runtime| runtime.block_on(serve(route, handler)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "the function ends");
            ExitCode::FAILURE
        }
    }
}

/// Why a function can't start or go on.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    CaBundle(#[from] CaBundleError),
    #[error("no threads: {0}")]
    Threads(#[from] io::Error),
    #[error("the Lambda runtime API failed: {0}")]
    RuntimeApi(lambda_runtime::Error),
}

/// One thread for one request at a time, which costs a cold start least; one for each processor where Lambda sends
/// several at a time (Lambda Managed Instances).
fn tokio_runtime() -> io::Result<Runtime> {
    let is_concurrent = env::var_os("AWS_LAMBDA_MAX_CONCURRENCY").is_some_and(|limit| limit != "1");
    let mut builder = if is_concurrent { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}

async fn serve<H, F>(route: Route, handler: H) -> Result<(), StartError>
where
    H: Fn(Arc<Request>, Arc<Services>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Failure>> + Send,
{
    let environment = Environment::of_process()?;
    let clients = Clients::new(&environment)?;
    let mut services = clients.services(environment.names);
    services.secrets = services.secrets.with_kms_key(environment.secrets_kms_key);
    let function = Arc::new(Function::new(route, handler, services));
    function.warm_up().await;
    let respond = move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move {
            // The event holds the presented API key.
            let text = Zeroizing::new(Box::<str>::from(event.payload));
            Ok::<_, Infallible>(function.respond(&text, &event.context.request_id).await)
        }
    };
    lambda_runtime::run_concurrent(service_fn(respond)).await.map_err(StartError::RuntimeApi)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use aws_config::{BehaviorVersion, SdkConfig};

    use super::*;

    const ROUTE: Route = Route {
        name: "GET /test",
        envelope: Envelope::List,
        is_public: false,
        calls_secrets_manager: false,
        deadline: Duration::from_millis(1),
    };

    /// Clients of which every call fails.
    fn unreachable() -> Services {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        let names = Names { table: "table".to_owned(), secret_prefix: "prefix".parse().unwrap() };
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
        Services::new(dynamodb, aws_sdk_secretsmanager::Client::new(&sdk), names)
    }

    async fn respond<F: Future<Output = Result<Response, Failure>>>(handler: fn() -> F) -> serde_json::Value {
        let function = Function::new(ROUTE, |_, _| handler(), unreachable());
        serde_json::to_value(function.respond("{}", "id").await).unwrap()
    }

    #[tokio::test]
    async fn a_panic_and_a_missed_deadline_are_answered_with_the_contracts_500() {
        let expected = Envelope::List.failure(FailureKind::Internal);
        let panicked = respond(|| async { panic!("expected by this test") }).await;
        assert_eq!((&panicked["statusCode"], &panicked["body"]), (&500.into(), &expected.clone().into()));
        let late = respond(pending).await;
        assert_eq!((&late["statusCode"], &late["body"]), (&500.into(), &expected.into()));
    }
}
