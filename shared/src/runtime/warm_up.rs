//! Warm-up: does the slow work of a first request while the function starts.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{function::Function, logs};
use crate::{
    api::{Access, Context, Failure, FailureKind, Route},
    aws::BatchGetItemOutput,
    domain::{ApiKeyType, AppId},
    http::Response,
    store,
};

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

    /// Handles a request that is rejected, because its app does not exist, and changes nothing.
    ///
    /// A signed read is only rehearsed. A read with the SDK is real, so that it opens the connection, and costs two read
    /// units.
    async fn handle_synthetic_request(&self) -> Result<(), String> {
        decode_records().map_err(|error| error.to_string())?;
        let services = Arc::new(self.services.rehearsal());
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

/// Decodes a canned response of an app and an API key, so that this code is already loaded.
fn decode_records() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    const RESPONSE: &[u8] = include_bytes!("warm_up.json");
    for item in BatchGetItemOutput::from_json(RESPONSE)?.items {
        store::decode(item)?;
    }
    Ok(())
}

/// Returns an event whose request passes all checks before the first read of the table.
fn synthetic_event(route: &Route) -> String {
    let app = AppId::random();
    let api_key_type = match route.access() {
        Access::ApiKey(requirement) => requirement.api_key_type,
        Access::Public => ApiKeyType::Read,
    };
    let (method, api_key_type) = (route.method(), api_key_type.name());
    format!(
        r#"{{"version":"2.0","requestContext":{{"http":{{"method":"{method}"}}}},"headers":{{"x-api-key":"synthetic-request","x-api-key-type":"{api_key_type}","x-client-id":"{app}"}},"pathParameters":{{"appId":"{app}","appUuid":"{app}"}},"body":"[{{\"token\":\"{app}\"}}]"}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canned_response_is_decoded() {
        decode_records().unwrap();
    }
}
