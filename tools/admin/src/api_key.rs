//! `userdocks-admin api-key …`

use std::time::Duration;

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyId, ApiKeyStatus, ApiKeyType, ApiKeyValue, App, AppId, Timestamp},
    store::{StoreError, waits_after_conflict},
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
    let key = ApiKey::new(&value, kind, name, now, expires_in);
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

/// When the key that replaces another expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewExpiry {
    /// After the time for which the replaced key was issued.
    SameLifetime,
    /// After that time.
    After(Duration),
    /// Never.
    Never,
}

/// Issues a new key of the same type and name, and lets the old one expire after `overlap`, or when it already would have.
///
/// # Errors
/// The overlap is longer than 30 days; the app has no such key, or it is expired or revoked; a concurrent change won, or
/// DynamoDB fails.
pub async fn rotate(
    services: &Services,
    app: AppId,
    id: ApiKeyId,
    overlap: Duration,
    expiry: NewExpiry,
) -> Result<Answer, AdminError> {
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
    let expires_in = match expiry {
        NewExpiry::SameLifetime => old.lifetime,
        NewExpiry::After(time) => Some(time),
        NewExpiry::Never => None,
    };
    let new = ApiKey {
        allow_list: old.allow_list.clone(),
        ..ApiKey::new(&value, old.kind, old.name.clone(), now, expires_in)
    };
    let mut retired = old.clone();
    retired.retire(overlap, now);
    services.store.replace_api_key(app, &new, &old, &retired).await?;
    Ok(json!({ "apiKey": with_value(&new, &value, now), "previous": api_key_json(&retired, now) }).into())
}

/// The one API key of that id.
async fn find(services: &Services, app: AppId, id: ApiKeyId) -> Result<ApiKey, AdminError> {
    let mut keys = find_all(services, app, id).await?;
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        (Some(_), false) => Err(AdminError::AmbiguousApiKey(app, id)),
        (None, _) => Err(AdminError::NoSuchApiKey(app, id)),
    }
}

/// All API keys of that id: earlier versions imported files in which one id stood for several keys.
async fn find_all(services: &Services, app: AppId, id: ApiKeyId) -> Result<Vec<ApiKey>, AdminError> {
    let (mut keys, _) = services.store.list_api_keys(app).await?;
    keys.retain(|key| key.id == id);
    if keys.is_empty() { Err(AdminError::NoSuchApiKey(app, id)) } else { Ok(keys) }
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
    let mut waits = waits_after_conflict();
    loop {
        find_app(services, app).await?;
        match services.store.add_api_key(app, key).await {
            Err(StoreError::Conflict) => {}
            added => return Ok(added?),
        }
        let (keys, _) = services.store.list_api_keys(app).await?;
        match keys.iter().find(|stored| stored.hash == key.hash) {
            // An earlier attempt, whose response was lost.
            Some(stored) if stored.id == key.id => return Ok(()),
            Some(_) => return Err(AdminError::ApiKeyExists(app)),
            // Another change of the app was under way.
            None => tokio::time::sleep(waits.next().ok_or(StoreError::Contended)?).await,
        }
    }
}

/// Lists an app's API keys, oldest first, and names the records that can't be read.
///
/// # Errors
/// There is no such app; or DynamoDB fails.
pub async fn list(services: &Services, app: AppId) -> Result<Answer, AdminError> {
    find_app(services, app).await?;
    let now = Timestamp::now();
    let (keys, corrupt) = services.store.list_api_keys(app).await?;
    let value = json!({ "apiKeys": keys.iter().map(|key| api_key_json(key, now)).collect::<Vec<_>>() });
    Ok(Answer { value, problems: corrupt.iter().map(ToString::to_string).collect() })
}

/// Revokes an API key, and every other one of the same id; one that is revoked stays as it is.
///
/// # Errors
/// The app has no such key; or DynamoDB fails.
pub async fn revoke(services: &Services, app: AppId, id: ApiKeyId) -> Result<Answer, AdminError> {
    let now = Timestamp::now();
    for key in find_all(services, app, id).await? {
        match services.store.revoke_api_key(app, &key, now).await {
            // Someone else may have revoked it; or this command did, and the SDK asked again because no answer came.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let keys = find_all(services, app, id).await?;
    let key = keys.first().ok_or(AdminError::NoSuchApiKey(app, id))?;
    Ok(json!({ "apiKey": api_key_json(key, now) }).into())
}
