//! `userdocks-admin api-key …`

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    domain::{ApiKey, ApiKeyId, ApiKeyStatus, ApiKeyType, ApiKeyValue, App, AppId, Timestamp},
    runtime::Services,
    store::StoreError,
};

use crate::{AdminError, Answer, api_key_json, find_app};

/// Issues a new API key.
///
/// # Errors
/// There is no such app; or DynamoDB fails.
pub async fn issue(
    services: &Services,
    app: AppId,
    kind: ApiKeyType,
    name: String,
    expires_in: Option<Duration>,
) -> Result<Answer, AdminError> {
    let value = ApiKeyValue::issue(kind)?;
    let now = Timestamp::now();
    let key = ApiKey::new(&value, kind, name, now, expires_in.map(|time| now + time));
    add(services, app, &key).await?;
    Ok(json!({ "apiKey": with_value(&key, &value, now) }).into())
}

fn with_value(key: &ApiKey, value: &ApiKeyValue, now: Timestamp) -> Value {
    let mut answer = api_key_json(key, now);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("value".to_owned(), value.expose().into());
    }
    answer
}

/// Issues a new key of the same type and name, and lets the old one expire after `overlap`, or when it already would have.
///
/// # Errors
/// The overlap is longer than 30 days; the app has no such key, or it is expired or revoked; a concurrent change won, or
/// DynamoDB fails.
pub async fn rotate(services: &Services, app: AppId, id: ApiKeyId, overlap: Duration) -> Result<Answer, AdminError> {
    if overlap > App::MAX_OVERLAP {
        return Err(AdminError::OverlapTooLong);
    }
    let old = find(services, app, id).await?;
    let now = Timestamp::now();
    match old.status(now) {
        ApiKeyStatus::Active => {}
        status => return Err(AdminError::ApiKeyNotActive(id, status.name())),
    }
    let value = ApiKeyValue::issue(old.kind)?;
    let new = ApiKey::new(&value, old.kind, old.name.clone(), now, None);
    let mut retired = old.clone();
    retired.retire(overlap, now);
    services.store.replace_api_key(app, &new, &old, &retired).await?;
    Ok(json!({ "apiKey": with_value(&new, &value, now), "previous": api_key_json(&retired, now) }).into())
}

async fn find(services: &Services, app: AppId, id: ApiKeyId) -> Result<ApiKey, AdminError> {
    let mut keys = services.store.list_api_keys(app).await?.into_iter();
    keys.find(|key| key.id == id).ok_or(AdminError::NoSuchApiKey(app, id))
}

/// Takes in an API key from elsewhere.
///
/// # Errors
/// It could never be presented with success; there is no such app, or it has the key; or DynamoDB fails.
pub async fn import(
    services: &Services,
    app: AppId,
    kind: ApiKeyType,
    name: String,
    value: &str,
) -> Result<Answer, AdminError> {
    let value = ApiKeyValue::import(value, kind)?;
    let now = Timestamp::now();
    let key = ApiKey::new(&value, kind, name, now, None);
    add(services, app, &key).await?;
    Ok(json!({ "apiKey": api_key_json(&key, now) }).into())
}

async fn add(services: &Services, app: AppId, key: &ApiKey) -> Result<(), AdminError> {
    find_app(services, app).await?;
    match services.store.add_api_key(app, key).await {
        Err(StoreError::Conflict) => Err(AdminError::ApiKeyExists(app)),
        other => Ok(other?),
    }
}

/// Lists an app's API keys, oldest first.
///
/// # Errors
/// There is no such app; or DynamoDB fails, or a record is corrupt.
pub async fn list(services: &Services, app: AppId) -> Result<Answer, AdminError> {
    find_app(services, app).await?;
    let now = Timestamp::now();
    let keys = services.store.list_api_keys(app).await?;
    Ok(json!({ "apiKeys": keys.iter().map(|key| api_key_json(key, now)).collect::<Vec<_>>() }).into())
}

/// Revokes an API key; one that is revoked stays as it is.
///
/// # Errors
/// The app has no such key; or DynamoDB fails.
pub async fn revoke(services: &Services, app: AppId, id: ApiKeyId) -> Result<Answer, AdminError> {
    let mut key = find(services, app, id).await?;
    let now = Timestamp::now();
    if key.revoked_at.is_none() {
        services.store.revoke_api_key(app, &key.hash, now).await?;
        key.revoked_at = Some(now);
    }
    Ok(json!({ "apiKey": api_key_json(&key, now) }).into())
}
