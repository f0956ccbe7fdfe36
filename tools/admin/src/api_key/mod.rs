//! `userdocks-admin api-key …`

mod allow_list;
mod find;
mod revoke;

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{
        ApiKey, ApiKeyChangeError, ApiKeyHash, ApiKeyId, ApiKeyType, ApiKeyValue, ApiKeys, App, AppId, IssuedApiKey,
        Name, NewApiKey, ReplacedApiKey, Replacement, Timestamp,
    },
    store::{StoreError, waits_after_conflict},
};

pub use self::{
    allow_list::{AllowListChange, change_allow_list},
    find::find,
    revoke::{revoke, revoke_issued},
};
use crate::{AdminError, CommandOutput, find_app, json::api_key_json};

const ALLOW_LIST_NOTE: &str = "An allow list is checked against the address that API Gateway sees. Behind CloudFront or a \
     proxy, that is the proxy's address, and the list rejects every caller. Earlier versions of the functions check no lists.";

/// Issues an API key.
///
/// # Errors
/// The app does not exist, or DynamoDB fails.
pub async fn issue(services: &Services, app: AppId, request: NewApiKey) -> Result<CommandOutput, AdminError> {
    let now = Timestamp::now();
    let note = (!request.allow_list.is_unrestricted()).then_some(ALLOW_LIST_NOTE);
    // The limits on an app's keys do not apply to the operator.
    let issued = ApiKeys::default().issue(request, None, now);
    let IssuedApiKey { key, value } = issued.map_err(AdminError::NewApiKey)?;
    add(services, app, &key).await?;
    Ok(CommandOutput::from(json!({ "apiKey": with_value(&key, &value, now) })).with_note(note))
}

fn with_value(key: &ApiKey, value: &ApiKeyValue, now: Timestamp) -> Value {
    let mut json = api_key_json(key, now);
    if let Some(fields) = json.as_object_mut() {
        fields.insert("value".to_owned(), value.expose().into());
    }
    json
}

/// Issues a key that replaces another one. The replaced key expires after the overlap, or at its own expiry if that is
/// earlier.
///
/// # Errors
/// - The overlap is too long.
/// - The app has no such key, or the key is expired or revoked.
/// - A concurrent change won, or DynamoDB fails.
pub async fn rotate(services: &Services, app: AppId, request: Replacement) -> Result<CommandOutput, AdminError> {
    if request.overlap > App::MAX_OVERLAP {
        return Err(AdminError::OverlapTooLong);
    }
    let (id, now) = (request.replaced, Timestamp::now());
    let note = request.allow_list.as_ref().is_some_and(|list| !list.is_unrestricted()).then_some(ALLOW_LIST_NOTE);
    let mut keys = ApiKeys::new(services.store.list_api_keys(app).await?.0);
    let replaced = keys.replace(request, None, now).map_err(|cause| refused(app, id, cause))?;
    let ReplacedApiKey { issued: IssuedApiKey { key, value }, read, retired } = replaced;
    services.store.replace_api_key(app, &key, &read, &retired).await?;
    let json = json!({ "apiKey": with_value(&key, &value, now), "previous": api_key_json(&retired, now) });
    Ok(CommandOutput::from(json).with_note(note))
}

fn refused(app: AppId, key: ApiKeyId, cause: ApiKeyChangeError) -> AdminError {
    AdminError::ApiKeyChange { app, key, cause }
}

/// Adds an API key of another system.
///
/// # Errors
/// - The API would never accept the key.
/// - The app does not exist, or this or another app has the key.
/// - DynamoDB fails.
pub async fn import(
    services: &Services,
    app: AppId,
    kind: ApiKeyType,
    name: Name,
    value: &str,
) -> Result<CommandOutput, AdminError> {
    let value = ApiKeyValue::import(value, kind)?;
    let now = Timestamp::now();
    let key = ApiKey::new(&value, kind, name.into(), now, None);
    add(services, app, &key).await?;
    Ok(json!({ "apiKey": api_key_json(&key, now) }).into())
}

/// Adds an API key of another system by its SHA-256.
///
/// # Errors
/// The app does not exist, this or another app has the key, or DynamoDB fails.
pub async fn import_hash(
    services: &Services,
    app: AppId,
    kind: ApiKeyType,
    name: Name,
    hash: ApiKeyHash,
    hint: String,
) -> Result<CommandOutput, AdminError> {
    const NOTE: &str = "The key's type and length could not be checked. The API rejects a key whose prefix names the other \
                        type, and may reject one that does not have 16 to 256 printable ASCII characters.";
    let now = Timestamp::now();
    let key = ApiKey::with_hash(hash, hint, kind, name.into(), now, None);
    add(services, app, &key).await?;
    Ok(CommandOutput::from(json!({ "apiKey": api_key_json(&key, now) })).with_note(Some(NOTE)))
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
            // An earlier attempt has stored the key, and its response was lost.
            Some(stored) if stored.id == key.id => return Ok(()),
            Some(_) => return Err(AdminError::ApiKeyExists(app)),
            None => check_other_apps(services, app, std::slice::from_ref(key)).await?,
        }
        // The transaction met another change of the app.
        tokio::time::sleep(waits.next().ok_or(StoreError::Contended)?).await;
    }
}

/// Checks that no other app has one of the API keys.
///
/// # Errors
/// [`AdminError::ApiKeyOfOtherApp`] if another app has one. An index item is corrupt, or DynamoDB fails.
pub(crate) async fn check_other_apps(services: &Services, app: AppId, keys: &[ApiKey]) -> Result<(), AdminError> {
    let hashes: Vec<_> = keys.iter().map(|key| key.hash.clone()).collect();
    let mut index = services.store.find_index_items(&hashes).await?;
    for key in keys {
        match index.remove(&key.hash).transpose().map_err(StoreError::from)? {
            Some(other) if other != app => return Err(AdminError::ApiKeyOfOtherApp { key: key.id, other }),
            _ => {}
        }
    }
    Ok(())
}

/// Lists an app's API keys, oldest first, and reports corrupt records.
///
/// # Errors
/// The app does not exist, or DynamoDB fails.
pub async fn list(services: &Services, app: AppId) -> Result<CommandOutput, AdminError> {
    find_app(services, app).await?;
    let now = Timestamp::now();
    let (keys, corrupt) = services.store.list_api_keys(app).await?;
    let keys: Vec<_> = keys.iter().map(|key| api_key_json(key, now)).collect();
    Ok(CommandOutput::new(json!({ "apiKeys": keys }), &corrupt))
}
