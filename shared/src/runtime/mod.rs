//! What makes a handler a Lambda function: configuration, clients, logs, and an answer to every event.

mod clients;
mod config;
mod logs;

use std::{convert::Infallible, panic::AssertUnwindSafe, process::ExitCode, sync::Arc, time::Duration};

use futures_util::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::time::timeout;

pub use self::{
    clients::{Services, sdk_defaults},
    config::{Config, ConfigError},
};
use crate::{
    domain::Timestamp,
    http::{Envelope, Failure, Payload, Request, Response},
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
    /// After this time the answer is the contract's 500; well inside the function's own timeout.
    pub deadline: Duration,
}

impl Route {
    /// The deadline of a route that only reads.
    pub const READ_DEADLINE: Duration = Duration::from_millis(3500);
    /// The deadline of a route that makes a change, of several calls one after the other.
    pub const WRITE_DEADLINE: Duration = Duration::from_secs(8);
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
        // Boxed, because the compiler gives up on nesting the SDK's futures any deeper.
        let handling = Box::pin((self.handler)(Arc::clone(&request), Arc::clone(&self.services)));
        let outcome = match AssertUnwindSafe(timeout(self.route.deadline, handling)).catch_unwind().await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::internal(format_args!("no answer after {:?}", self.route.deadline))),
            Err(_) => Err(Failure::internal("the handler panicked; the line before says where")),
        };
        request.use_noted().await;
        logs::request(&self.route, &request, &outcome);
        let response = outcome.unwrap_or_else(|failure| Response::failure(self.route.envelope, failure.kind));
        response.into_payload(request.id(), self.route.is_public)
    }
}

/// Runs a function until Lambda ends it; several requests at a time where Lambda offers that.
pub async fn run<H, F>(route: Route, handler: H) -> ExitCode
where
    H: Fn(Arc<Request>, Arc<Services>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Failure>> + Send,
{
    logs::start();
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(cause = %error, "the function can't start");
            return ExitCode::FAILURE;
        }
    };
    let function = Arc::new(Function::new(route, handler, Services::for_function(config).await));
    let serve = move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move { Ok::<_, Infallible>(function.respond(event.payload.get(), &event.context.request_id).await) }
    };
    match lambda_runtime::run_concurrent(service_fn(serve)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "the Lambda runtime API failed");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FailureKind;

    const ROUTE: Route =
        Route { name: "GET /test", envelope: Envelope::List, is_public: false, deadline: Duration::from_millis(1) };

    async fn respond<F: Future<Output = Result<Response, Failure>>>(handler: fn() -> F) -> serde_json::Value {
        let function = Function::new(ROUTE, |_, _| handler(), Services::unreachable());
        serde_json::to_value(function.respond("{}", "id").await).unwrap()
    }

    #[tokio::test]
    async fn a_panic_and_a_missed_deadline_are_answered_with_the_contracts_500() {
        let expected = Envelope::List.failure(FailureKind::Internal);
        let panicked = respond(|| async { panic!("expected by this test") }).await;
        assert_eq!((&panicked["statusCode"], &panicked["body"]), (&500.into(), &expected.clone().into()));
        let late = respond(std::future::pending).await;
        assert_eq!((&late["statusCode"], &late["body"]), (&500.into(), &expected.into()));
    }
}
