use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::time::timeout;

use super::logs;
use crate::{
    api::{self, Context, Failure, Route, Services},
    domain::Timestamp,
    http::{Payload, Request, Response},
};

/// A route with its handler and the services that the handler uses.
pub struct Function<H> {
    pub(super) route: Route,
    pub(super) services: Arc<Services>,
    handler: H,
}

impl<H, F> Function<H>
where
    H: Fn(Arc<Context>) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    pub fn new(route: Route, handler: H, services: Services) -> Self {
        Self { route, handler, services: Arc::new(services) }
    }

    /// Returns a response to any event, even if the handler panics or is too slow, and logs one line.
    pub async fn respond(&self, event: &str, invocation_id: &str) -> Payload {
        let context = self.context(event, invocation_id, &self.services);
        let outcome = self.handle(&context).await;
        context.background.finish().await;
        logs::request(&context, &outcome);
        self.payload(&context, outcome)
    }

    pub(super) fn context(&self, event: &str, invocation_id: &str, services: &Arc<Services>) -> Arc<Context> {
        let request = Request::read(event, invocation_id);
        Arc::new(Context::new(self.route.clone(), request, Arc::clone(services), Timestamp::now()))
    }

    /// Turns a panic and a missed deadline into failures.
    pub(super) async fn handle(&self, context: &Arc<Context>) -> Result<Response, Failure> {
        let deadline = self.route.deadline();
        let handling = timeout(deadline, (self.handler)(Arc::clone(context)));
        match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::internal(format_args!("no response after {deadline:?}"))),
            Err(_) => Err(Failure::internal("the handler panicked; see the line \"panic\" before this one")),
        }
    }

    pub(super) fn payload(&self, context: &Context, outcome: Result<Response, Failure>) -> Payload {
        let response = outcome.unwrap_or_else(|failure| api::failure(self.route.envelope(), failure.kind));
        api::complete(response, &self.route, &context.request, context.api_key_expires_at())
    }
}

#[cfg(test)]
pub mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        time::{Duration, Instant},
    };

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    use tokio::task::yield_now;

    use super::*;
    use crate::{
        api::{Envelope, FailureKind, uncacheable},
        aws::{Protocol, Resources, Service, SignedCalls},
        http::StatusCode,
    };

    const ROUTE: Route = Route::read("/test", Envelope::List).with_deadline(Duration::from_millis(1));

    /// Services of which every call fails.
    pub fn unreachable() -> Services {
        let credentials = Credentials::new("id", "key", None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let (dynamodb, secrets_manager) =
            (aws_sdk_dynamodb::Client::new(&sdk), aws_sdk_secretsmanager::Client::new(&sdk));
        let signed = |protocol| Some(SignedCalls::unreachable(protocol));
        Services::new(
            Service::new(move || dynamodb, signed(Protocol::DYNAMODB), None),
            Service::new(move || secrets_manager, signed(Protocol::SECRETS_MANAGER), None),
            Resources { table: "table".to_owned(), secret_prefix: "prefix".parse().unwrap(), secrets_kms_key: None },
        )
    }

    async fn respond<F: Future<Output = Result<Response, Failure>>>(handler: fn() -> F) -> serde_json::Value {
        let function = Function::new(ROUTE, |_| handler(), unreachable());
        serde_json::to_value(function.respond("{}", "id").await).unwrap()
    }

    #[tokio::test]
    async fn panic_and_missed_deadline_return_contracts_500() {
        let expected = Envelope::List.failure(FailureKind::Internal);
        let panicked = respond(|| async { panic!("expected by this test") }).await;
        assert_eq!((&panicked["statusCode"], &panicked["body"]), (&500.into(), &expected.clone().into()));
        let late = respond(pending).await;
        assert_eq!((&late["statusCode"], &late["body"]), (&500.into(), &expected.into()));
    }

    #[tokio::test]
    async fn background_work_ends_before_response_and_has_no_deadline() {
        let is_done = Arc::new(AtomicBool::new(false));
        let handler = |context: Arc<Context>| {
            let (begun, is_done) = (Instant::now(), Arc::clone(&is_done));
            context.background.start(async move {
                while begun.elapsed() < 2 * ROUTE.deadline() {
                    yield_now().await;
                }
                is_done.store(true, Relaxed);
            });
            async { Ok(uncacheable(StatusCode::OK, String::new())) }
        };
        let payload = Function::new(ROUTE, handler, unreachable()).respond("{}", "id").await;
        assert_eq!(serde_json::to_value(payload).unwrap()["statusCode"], 200);
        assert!(is_done.load(Relaxed));
    }
}
