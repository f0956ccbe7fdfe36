//! Warm-up: does the slow work of a first request while the function starts.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{function::Function, logs};
use crate::{
    api::{Access, Context, Failure, FailureKind, Route},
    domain::ApiKeyType,
    http::Response,
};

/// The response to reads of a rehearsal: an app, and its API key `synthetic-request`, whose use and fetch need no note.
const RECORDS: &str = include_str!("warm_up.json");
const SECRET: &str = r#"{"SecretString":"synthetic-secret"}"#;
const APP: &str = "00000000-0000-4000-8000-000000000000";

impl<H, F> Function<H>
where
    H: Fn(Arc<Context>) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    /// Opens all connections in parallel and, while they wait for the network, loads the code of a request. A failure is
    /// only logged.
    pub async fn warm_up(&self) {
        /// Far longer than a warm-up takes on AWS, and short compared with a route's deadline.
        const WARM_UP_TIMEOUT: Duration = Duration::from_millis(500);
        let warm_up = async {
            let (dynamodb, secrets_manager, rehearsal) =
                tokio::join!(self.connect_dynamodb(), self.connect_secrets_manager(), self.handle_synthetic_request());
            dynamodb.and(secrets_manager).and(rehearsal)
        };
        match timeout(WARM_UP_TIMEOUT, warm_up)
            .await
            .unwrap_or_else(|_| Err(format!("not done after {WARM_UP_TIMEOUT:?}")))
        {
            Ok(()) => logs::ready(&self.route),
            Err(cause) => tracing::warn!(cause, "warm-up failed; the first request will connect"),
        }
    }

    async fn connect_dynamodb(&self) -> Result<(), String> {
        self.services.store.connect().await.map_err(|error| format!("DynamoDB: {error}"))
    }

    async fn connect_secrets_manager(&self) -> Result<(), String> {
        if self.route.calls_secrets_manager() {
            self.services.secrets.connect().await.map_err(|error| format!("Secrets Manager: {error}"))
        } else {
            Ok(())
        }
    }

    /// Handles a request that changes nothing: its API key is a read key, so routes that write reject it.
    ///
    /// Its calls are only rehearsed. If reads use the SDK, they are real and find nothing, because the app does not exist.
    async fn handle_synthetic_request(&self) -> Result<(), String> {
        let services = Arc::new(self.services.rehearsal(RECORDS, SECRET));
        let context = self.context(&synthetic_event(&self.route), "warm-up", &services);
        match self.handle(&context).await {
            Err(Failure { kind: FailureKind::Internal, cause, .. }) => Err(cause.unwrap_or_default()),
            outcome => {
                let payload = serde_json::to_vec(&self.payload(&context, outcome));
                payload.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// Returns an event whose request passes all checks before the first read of the table. A leak report's token is no key,
/// because the table's index cannot be rehearsed.
fn synthetic_event(route: &Route) -> String {
    let api_key_type = match route.access() {
        Access::ApiKey(requirement) => requirement.api_key_type,
        Access::Public => ApiKeyType::Read,
    };
    let (method, api_key_type) = (route.method(), api_key_type.name());
    format!(
        r#"{{"version":"2.0","requestContext":{{"http":{{"method":"{method}"}}}},"headers":{{"x-api-key":"synthetic-request","x-api-key-type":"{api_key_type}","x-client-id":"{APP}"}},"pathParameters":{{"appId":"{APP}","appUuid":"{APP}"}},"body":"[{{\"token\":\"\"}}]"}}"#
    )
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        api::{Envelope, uncacheable},
        http::{Method, StatusCode},
        runtime::function::tests::unreachable,
    };

    /// Rehearses a handler that makes a call of each kind. Returns the kind of its failure.
    async fn rehearse(route: Route) -> Result<(), FailureKind> {
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        let handler = move |cx: Arc<Context>| {
            let sender = sender.clone();
            async move {
                let read_secret = async {
                    let caller = cx.authenticate().await?;
                    let app = caller.app();
                    cx.api_keys(app.id).await?;
                    Ok::<_, Failure>(cx.services.secrets.app_secret(app.id, app.secret_version_id).await?)
                };
                let outcome = read_secret.await;
                sender.send(outcome.as_ref().map(drop).map_err(|failure| failure.kind)).unwrap();
                outcome.map(|secret| uncacheable(StatusCode::OK, secret.expose().to_owned()))
            }
        };
        Function::new(route, handler, unreachable()).handle_synthetic_request().await.unwrap();
        outcomes.recv().await.unwrap()
    }

    #[tokio::test]
    async fn rehearsed_read_succeeds_and_rehearsed_write_is_rejected() {
        assert_eq!(rehearse(Route::read("/test", Envelope::List)).await, Ok(()));
        let write = Route::write(Method::POST, "/test", Envelope::List);
        assert_eq!(rehearse(write).await, Err(FailureKind::WrongKeyType));
    }
}
