//! Exceptions from the SDK's rules for retries of Secrets Manager calls.

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

/// The waits for a secret or a version that was just stored: Secrets Manager is eventually consistent. Together they
/// are shorter than a route's deadline.
const UNTIL_VISIBLE: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

/// Repeats a call while it fails with [`SecretsError::Missing`].
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

/// Returns a configuration for a call that is not retried after a quota was reached.
pub(super) fn one_attempt_at_a_limit() -> Builder {
    Builder::new().retry_classifier(OneAttemptAtALimit)
}

/// The SDK treats every [`SecretsError::LIMIT_REACHED`] as throttling, which is temporary. A reached quota is not, and
/// each retry counts against the rate that all apps share.
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
