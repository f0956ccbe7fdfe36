//! Who is calling, and may they: the contract's eight checks, in its order, in one function.

use crate::{
    domain::{
        ApiKey, ApiKeyId, ApiKeyStatus, ApiKeyType, ApiKeyValue, App, AppId, IdempotencyKey, StoredResult, Timestamp,
        WriteId,
    },
    store::{Found, Store, StoreError},
};

/// What a caller presents; a missing or unreadable part is `None`.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The header `x-api-key`.
    pub api_key: Option<&'a str>,
    /// The header `x-api-key-type`.
    pub api_key_type: Option<&'a str>,
    /// The header `x-client-id`.
    pub client_id: Option<&'a str>,
    /// The app's id in the path.
    pub app_id: Option<&'a str>,
    /// What the caller names a write by.
    pub idempotency_key: Option<&'a IdempotencyKey>,
}

/// An authenticated caller of an enabled app. Only [`authenticate`] makes one.
#[derive(Debug)]
pub struct Caller {
    app: App,
    api_key: ApiKey,
    write_id: Option<WriteId>,
    done_write: Option<StoredResult>,
}

impl Caller {
    /// The write that the caller's idempotency key names.
    #[must_use]
    pub fn write_id(&self) -> Option<&WriteId> {
        self.write_id.as_ref()
    }

    /// That write, where it was done before and is still remembered.
    #[must_use]
    pub fn done_write(&self) -> Option<&StoredResult> {
        self.done_write.as_ref()
    }

    /// The app, as it was when the caller was authenticated.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The key the caller presented.
    #[must_use]
    pub fn api_key(&self) -> &ApiKey {
        &self.api_key
    }
}

/// Why a caller is not let in, with the id of the API key where one was recognised.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No valid credentials for this app (E4010).
    #[error("no valid credentials for this app")]
    InvalidCredentials(Option<ApiKeyId>),
    /// The declared or the real type of the key is not the route's (E4011).
    #[error("the API key's type is not the route's")]
    WrongType(Option<ApiKeyId>),
    /// The path's id is malformed (E4000).
    #[error("the path's app id is not a UUID")]
    MalformedAppId,
    /// Valid credentials of a disabled app (E4030).
    #[error("the app is disabled")]
    AppDisabled(ApiKeyId),
    /// The table could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthError {
    /// The API key that was recognised, if one was.
    #[must_use]
    pub fn api_key(&self) -> Option<ApiKeyId> {
        match self {
            Self::InvalidCredentials(key) | Self::WrongType(key) => *key,
            Self::AppDisabled(key) => Some(*key),
            Self::MalformedAppId | Self::Store(_) => None,
        }
    }
}

/// Lets in who presents a valid key of the `required` type for the path's app; the first check that fails answers.
///
/// # Errors
/// See [`AuthError`]; which of "no such app", "no such key", "revoked" and "expired" it was is not told.
pub async fn authenticate(
    credentials: Credentials<'_>,
    required: ApiKeyType,
    store: &Store,
) -> Result<Caller, AuthError> {
    let (Some(api_key), Some(client_id)) = (given(credentials.api_key), given(credentials.client_id)) else {
        return Err(AuthError::InvalidCredentials(None));
    };
    if credentials.api_key_type != Some(required.name()) {
        return Err(AuthError::WrongType(None));
    }
    let app_id: AppId = credentials.app_id.and_then(|id| id.parse().ok()).ok_or(AuthError::MalformedAppId)?;
    if client_id.parse() != Ok(app_id) {
        return Err(AuthError::InvalidCredentials(None));
    }
    let presented = api_key.parse::<ApiKeyValue>().map_err(|_| AuthError::InvalidCredentials(None))?;
    let hash = presented.hash();
    let write_id = credentials.idempotency_key.map(|key| WriteId::new(&hash, key));
    let Some(Found { api_key, app, done_write }) = store.find_caller(app_id, &hash, write_id.as_ref()).await? else {
        return Err(AuthError::InvalidCredentials(None));
    };
    // The time after the read: a key that was ended just before it is rejected, however long the request has been under way.
    let now = Timestamp::now();
    if api_key.status(now) != ApiKeyStatus::Active {
        return Err(AuthError::InvalidCredentials(Some(api_key.id)));
    }
    if api_key.kind != required {
        return Err(AuthError::WrongType(Some(api_key.id)));
    }
    let app = app.map_err(StoreError::from)?;
    if app.is_disabled {
        return Err(AuthError::AppDisabled(api_key.id));
    }
    let done_write = done_write.transpose().map_err(StoreError::from)?.filter(|done| done.is_kept(now));
    Ok(Caller { app, api_key, write_id, done_write })
}

fn given(header: Option<&str>) -> Option<&str> {
    header.filter(|value| !value.trim().is_empty())
}
