use super::ApiKeyStatus;
use crate::domain::NoRandomness;

/// The reason that an API key is not created or revoked, in the order of the contract's checks.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyChangeError {
    #[error("there is no such API key")]
    NoSuchKey,
    #[error("the replaced API key is of the other type")]
    TypeMismatch,
    #[error(transparent)]
    Refused(#[from] ApiKeyChangeRefused),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The reason that a well-formed change of an app's API keys is not allowed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyChangeRefused {
    #[error("the API key is {}", .0.name())]
    NotActive(ApiKeyStatus),
    #[error("several API keys have this id, so none of them can be replaced; revoke them instead")]
    AmbiguousId,
    #[error("the app has {0} active API keys, which is the limit")]
    TooManyActive(usize),
    #[error(
        "the app has {0} API keys, counting those that expired or were revoked in the last 30 days, which is the limit"
    )]
    TooManyListed(usize),
    #[error("the new write key's allow list is not inside the allow list of the key that creates it")]
    WiderAllowList,
    #[error("the new write key would outlive the key that creates it")]
    LongerLifetime,
    #[error("the replaced key has a lifetime, so the new key needs one, too")]
    EndlessLifetime,
    #[error("no other write key of the app is active")]
    LastWriteKey,
}
