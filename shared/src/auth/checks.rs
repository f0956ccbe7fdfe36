use super::caller::{AuthError, Caller};
use crate::{
    domain::{ApiKey, ApiKeyStatus, ApiKeyType, ApiKeyValue, AppId, IdempotencyKey, Timestamp, WriteId},
    http::Request,
    store::{CallerRecords, Store, StoreError},
};

/// A route's requirements of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    pub api_key_type: ApiKeyType,
    /// A browser must see neither the secret in the response nor an API key that can read it.
    pub rejects_browsers: bool,
}

/// Authenticates the caller for the path's app. The first check that fails decides the error. The response does not
/// show which case of check 6 applies.
///
/// Calls `accepted` when the key has passed check 7.
pub async fn authenticate(
    request: &Request,
    Requirement { api_key_type, rejects_browsers }: Requirement,
    store: &Store,
    accepted: impl FnOnce(&ApiKey),
) -> Result<Caller, AuthError> {
    // 0: a browser sent the request; only browsers send these headers.
    let browser_header = ["origin", "sec-fetch-site"].into_iter().find(|name| request.header(name).is_some());
    if let Some(header) = browser_header.filter(|_| rejects_browsers) {
        return Err(AuthError::Browser(header));
    }
    // 1: `x-api-key` or `x-client-id` is missing or blank.
    let (Some(api_key), Some(client_id)) = (request.header("x-api-key"), request.header("x-client-id")) else {
        return Err(AuthError::InvalidCredentials(None));
    };
    if api_key.trim().is_empty() || client_id.trim().is_empty() {
        return Err(AuthError::InvalidCredentials(None));
    }
    // 2: `x-api-key-type` is not exactly the route's type.
    if request.header("x-api-key-type").as_deref() != Some(api_key_type.name()) {
        return Err(AuthError::WrongType(None));
    }
    // 3: the path's app id is not a UUID.
    let app_id: AppId = app_id(request).and_then(|id| id.parse().ok()).ok_or(AuthError::MalformedAppId)?;
    // 4: `x-client-id` is another app.
    if client_id.parse() != Ok(app_id) {
        return Err(AuthError::InvalidCredentials(None));
    }
    // 5: the key is longer than 256 characters, or its checksum is wrong, so it cannot exist.
    let presented: ApiKeyValue = api_key.parse().map_err(|_| AuthError::InvalidCredentials(None))?;
    let hash = presented.hash();
    // If it is malformed, only check 9 fails.
    let idempotency_key = request.header("idempotency-key").as_deref().map(str::parse::<IdempotencyKey>);
    let idempotency_key = idempotency_key.filter(|_| api_key_type == ApiKeyType::Write).transpose();
    let write_id = idempotency_key.as_ref().ok().and_then(Option::as_ref).map(|key| WriteId::new(&hash, key));
    // 6: no such app or key, or the key is revoked, expired or not allowed at the caller's address.
    let records = store.find_caller(app_id, &hash, write_id.as_ref()).await?;
    let Some(CallerRecords { api_key, app, stored_result }) = records else {
        return Err(AuthError::InvalidCredentials(None));
    };
    // Not the request's time of arrival: a key that expired before the read must be rejected.
    let now = Timestamp::now();
    if api_key.status(now) != ApiKeyStatus::Active {
        return Err(AuthError::InvalidCredentials(Some(api_key.id)));
    }
    if !api_key.allow_list.allows(request.source_ip()) {
        return Err(AuthError::AddressNotAllowed(api_key.id));
    }
    // 7: the key's real type is not the route's.
    if api_key.kind != api_key_type {
        return Err(AuthError::WrongType(Some(api_key.id)));
    }
    accepted(&api_key);
    // 8: the app is disabled.
    let app = app.map_err(StoreError::from)?;
    if app.is_disabled {
        return Err(AuthError::AppDisabled(api_key.id));
    }
    // 9: the `Idempotency-Key` is malformed. Handlers check the parameters of their routes.
    idempotency_key.map_err(|_| AuthError::MalformedIdempotencyKey(api_key.id))?;
    let stored_result = stored_result.transpose().map_err(StoreError::from)?.filter(|stored| stored.is_kept(now));
    Ok(Caller { app, api_key, write_id, stored_result })
}

/// Returns the app's id in the path. Routes have two names for it.
#[must_use]
pub fn app_id(request: &Request) -> Option<&str> {
    ["appId", "appUuid"].into_iter().find_map(|name| request.path_parameter(name))
}
