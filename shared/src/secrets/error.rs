use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    aws::FailedCall,
    domain::{Secret, SecretVersionId},
};

/// An operation of Secrets Manager that failed; `cause` is the whole cause.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager refused or failed, or was unreachable.
    #[error("Secrets Manager, secret {name}: {cause}")]
    Failed { name: String, cause: String },
    #[error("Secrets Manager, secret {name}: {cause}")]
    Throttled { name: String, cause: String },
    /// The secret or the version is missing, possibly only for a moment after it was stored.
    #[error("Secrets Manager, secret {name}: {cause}")]
    Missing { name: String, cause: String },
    /// The secret has as many versions or labels as Secrets Manager allows.
    #[error(
        "cannot store a version of secret {name}: {cause}; Secrets Manager deletes an unused version a day after it was \
         created: see docs/OPERATIONS.md, \"Too many versions\""
    )]
    TooManyVersions { name: String, cause: String },
    /// The secret has as many new versions as the API may create in a day.
    #[error(
        "cannot rotate secret {name}: {count} of its versions are younger than a day; `userdocks-admin secret rotate` \
         still can"
    )]
    TooManyNewVersions { name: String, count: usize },
    /// Another change has moved the label in the meantime.
    #[error("Secrets Manager, secret {name}: {cause}")]
    LabelMoved { name: String, cause: String },
    #[error("Secrets Manager, secret {name}: its version {version} holds no text")]
    NoText { name: String, version: SecretVersionId },
}

impl SecretsError {
    /// The error code for a secret or a version that is not there.
    pub(super) const MISSING: &str = "ResourceNotFoundException";

    /// The error code of Secrets Manager's quotas: versions and labels of a secret, secrets of a region.
    pub(super) const LIMIT_REACHED: &str = "LimitExceededException";

    pub(super) fn new(name: &str, error: FailedCall) -> Self {
        let name = name.to_owned();
        let is_throttling = error.is_throttling();
        let FailedCall { code, cause } = error;
        match code.as_deref() {
            Some(Self::MISSING) => Self::Missing { name, cause },
            _ if is_throttling => Self::Throttled { name, cause },
            _ => Self::Failed { name, cause },
        }
    }

    /// The error of a call that stored a version with `value`.
    pub(super) fn from_put(name: &str, error: FailedCall, value: &Secret) -> Self {
        let failed = match error.code.as_deref() {
            Some(Self::LIMIT_REACHED) => Self::TooManyVersions { name: name.to_owned(), cause: error.cause },
            _ => Self::new(name, error),
        };
        failed.without(value)
    }

    /// The error of a call that moved a label.
    pub(super) fn from_label_change(name: &str, error: FailedCall) -> Self {
        match error.code.as_deref() {
            Some("InvalidParameterException") => Self::LabelMoved { name: name.to_owned(), cause: error.cause },
            _ => Self::new(name, error),
        }
    }

    /// The response to a call that stored something does not name what was stored.
    pub(super) fn unnamed(name: &str) -> Self {
        let cause = "the response does not name what was stored".to_owned();
        Self::Failed { name: name.to_owned(), cause }
    }

    /// Removes a cause that repeats the value that was sent: an AWS response may quote the request.
    pub(super) fn without(mut self, value: &Secret) -> Self {
        if let Self::Failed { cause, .. }
        | Self::Throttled { cause, .. }
        | Self::Missing { cause, .. }
        | Self::TooManyVersions { cause, .. } = &mut self
        {
            let escaped = Zeroizing::new(json!(value.expose()).to_string());
            if [value.expose(), escaped.trim_matches('"')].into_iter().any(|value| cause.contains(value)) {
                "the AWS response is not shown, because it repeats the secret".clone_into(cause);
            }
        }
        self
    }
}
