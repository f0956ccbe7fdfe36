use super::{ApiKeyStatus, MalformedApiKeyRequest};
use crate::domain::NoRandomness;

/// Why an API key is not created or revoked, in the order of the contract's checks.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyChangeError {
    #[error(transparent)]
    Malformed(#[from] MalformedApiKeyRequest),
    #[error("there is no such API key")]
    NoSuchKey,
    #[error("the replaced API key is of the other type")]
    TypeMismatch,
    #[error(transparent)]
    Refused(#[from] ApiKeyChangeRefused),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Why a well-formed change of an app's API keys is not allowed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyChangeRefused {
    #[error("the API key is {}", .0.name())]
    NotActive(ApiKeyStatus),
    #[error("the API key's id stands for several keys; revoke it instead")]
    AmbiguousId,
    #[error("the app has {0} active API keys, which is the limit")]
    TooManyActive(usize),
    #[error("the app has {0} API keys with those that ended in the last 30 days, which is the limit")]
    TooManyListed(usize),
    #[error("the write key's allow list is not inside that of the key that creates it")]
    WiderAllowList,
    #[error("the write key would outlive the key that creates it")]
    LongerLifetime,
    #[error("the replaced key has a lifetime, so the new one needs one too")]
    EndlessLifetime,
    #[error("no other write key of the app is active")]
    LastWriteKey,
}
