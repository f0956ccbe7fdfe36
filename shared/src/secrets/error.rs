use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    aws::FailedCall,
    domain::{Secret, SecretVersionId},
};

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("cannot access secret {name} in Secrets Manager: {cause}")]
    Failed { name: String, cause: String },
    #[error("cannot access secret {name} in Secrets Manager: {cause}")]
    Throttled { name: String, cause: String },
    /// The secret or the version does not exist, or is not visible yet.
    #[error("cannot access secret {name} in Secrets Manager: {cause}")]
    Missing { name: String, cause: String },
    #[error(
        "cannot store a version of secret {name}: {cause}; Secrets Manager deletes an unused version a day after it was \
         created: see docs/OPERATIONS.md, \"Too many versions\""
    )]
    TooManyVersions { name: String, cause: String },
    #[error(
        "cannot rotate secret {name}: {count} of its versions are younger than a day; `userdocks-admin secret rotate` \
         is not bound by this limit"
    )]
    TooManyNewVersions { name: String, count: usize },
    /// A concurrent change has moved the label.
    #[error("cannot move a staging label of secret {name}: {cause}")]
    LabelMoved { name: String, cause: String },
    #[error("cannot read version {version} of secret {name}: it holds no text")]
    NoText { name: String, version: SecretVersionId },
}

impl SecretsError {
    /// The error code for a secret or a version that does not exist.
    pub(super) const MISSING: &str = "ResourceNotFoundException";

    /// The error code for a reached quota: versions or labels of a secret, or secrets of a region.
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

    /// Converts the error of a call that stores a version with `value`.
    pub(super) fn from_put(name: &str, error: FailedCall, value: &Secret) -> Self {
        let failed = match error.code.as_deref() {
            Some(Self::LIMIT_REACHED) => Self::TooManyVersions { name: name.to_owned(), cause: error.cause },
            _ => Self::new(name, error),
        };
        failed.without(value)
    }

    /// Converts the error of a call that moves a label.
    pub(super) fn from_label_change(name: &str, error: FailedCall) -> Self {
        match error.code.as_deref() {
            Some("InvalidParameterException") => Self::LabelMoved { name: name.to_owned(), cause: error.cause },
            _ => Self::new(name, error),
        }
    }

    /// Creates the error for a successful response without the name of the stored secret or version.
    pub(super) fn unnamed(name: &str) -> Self {
        let cause = "the AWS response does not name the stored secret or version".to_owned();
        Self::Failed { name: name.to_owned(), cause }
    }

    /// Hides a cause that contains the stored value, because an AWS response may quote the request.
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
