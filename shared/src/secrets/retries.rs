//! When a call of Secrets Manager is repeated, and when not, beyond what the SDK does.

use std::time::Duration;

use aws_sdk_secretsmanager::{
    config::Builder,
    error::ProvideErrorMetadata,
    operation::{create_secret::CreateSecretError, put_secret_value::PutSecretValueError},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    orchestrator::OrchestratorError,
    retries::classifiers::{ClassifyRetry, RetryAction},
};

use super::error::SecretsError;

/// Secrets Manager is eventually consistent: a version or a secret that was just stored may be missing for a while.
/// All waits together end inside a route's deadline.
const UNTIL_VISIBLE: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

/// Repeats a call while it fails because something is missing that was stored a moment ago.
pub(super) async fn until_visible<T, F>(call: impl Fn() -> F) -> Result<T, SecretsError>
where
    F: Future<Output = Result<T, SecretsError>>,
{
    for wait in UNTIL_VISIBLE {
        match call().await {
            Err(SecretsError::Missing { .. }) => tokio::time::sleep(wait).await,
            outcome => return outcome,
        }
    }
    call().await
}

/// A change of a call's configuration: no retry when a quota is reached.
pub(super) fn one_attempt_at_a_limit() -> Builder {
    Builder::new().retry_classifier(OneAttemptAtALimit)
}

/// The SDK takes every [`SecretsError::LIMIT_REACHED`] for throttling, which passes in a moment. A reached quota does not, and each
/// attempt counts against the rate that all apps share.
#[derive(Debug)]
struct OneAttemptAtALimit;

impl ClassifyRetry for OneAttemptAtALimit {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(|outcome| outcome.err());
        let code = error.and_then(OrchestratorError::as_operation_error).and_then(|error| {
            let put = error.downcast_ref().and_then(|error: &PutSecretValueError| error.code());
            put.or_else(|| error.downcast_ref().and_then(|error: &CreateSecretError| error.code()))
        });
        if code == Some(SecretsError::LIMIT_REACHED) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "one attempt at a limit"
    }
}
