use crate::{
    domain::{ApiKey, ApiKeyId, App, StoredResult, WriteId},
    store::StoreError,
};

/// An authenticated caller of an enabled app. Only [`authenticate`](super::authenticate) creates one.
#[derive(Debug)]
pub struct Caller {
    pub(super) app: App,
    pub(super) api_key: ApiKey,
    pub(super) write_id: Option<WriteId>,
    pub(super) stored_result: Option<StoredResult>,
}

impl Caller {
    /// Returns the app, as read when the caller was authenticated.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    #[must_use]
    pub fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    /// Returns the id of the write; `None` without an `Idempotency-Key`.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.write_id.as_ref()
    }

    /// Returns the result of the first write with this `Idempotency-Key`, if this request is a replay.
    #[must_use]
    pub fn stored_result(&self) -> Option<&StoredResult> {
        self.stored_result.as_ref()
    }
}

/// A rejected request, with the id of the API key if the table has it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("a browser sent the API key: the request has the header {0}")]
    Browser(&'static str),
    #[error("no valid credentials for this app")]
    InvalidCredentials(Option<ApiKeyId>),
    #[error("the API key's allow list does not include the caller's address")]
    AddressNotAllowed(ApiKeyId),
    #[error("the declared or the real type of the API key is not the route's")]
    WrongType(Option<ApiKeyId>),
    #[error("the path's app id is not a UUID")]
    MalformedAppId,
    #[error("the app is disabled")]
    AppDisabled(ApiKeyId),
    #[error("the Idempotency-Key is malformed")]
    MalformedIdempotencyKey(ApiKeyId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthError {
    #[must_use]
    pub fn api_key(&self) -> Option<ApiKeyId> {
        match self {
            Self::InvalidCredentials(key) | Self::WrongType(key) => *key,
            Self::AddressNotAllowed(key) | Self::AppDisabled(key) | Self::MalformedIdempotencyKey(key) => Some(*key),
            Self::Browser(_) | Self::MalformedAppId | Self::Store(_) => None,
        }
    }
}
