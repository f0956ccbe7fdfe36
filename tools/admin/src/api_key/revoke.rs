use serde_json::json;
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyChangeError, ApiKeyId, ApiKeys, AppId, Timestamp},
    store::{CorruptItem, StoreError},
};

use super::refused;
use crate::{AdminError, CommandOutput, json::api_key_json};

/// Revokes an API key, and every other one of the same id: earlier versions imported files in which one id stood for several
/// keys. A revoked key stays as it is.
///
/// # Errors
/// The app has no such key; or DynamoDB fails.
pub async fn revoke(services: &Services, app: AppId, id: ApiKeyId) -> Result<CommandOutput, AdminError> {
    let (keys, _) = revoke_all(services, app, |keys| of_id(keys, id)).await?;
    let key = keys.get(id).map_err(|cause| refused(app, id, cause))?;
    Ok(json!({ "apiKey": api_key_json(key, Timestamp::now()) }).into())
}

/// Shows the API keys that a key created at `since` or later, and those that these created in turn. With `confirmed`, revokes
/// the key first and then all of these, until none of them is left that is not revoked.
///
/// # Errors
/// The app has no such key and none that it created; or DynamoDB fails.
pub async fn revoke_issued(
    services: &Services,
    app: AppId,
    id: ApiKeyId,
    since: Option<Timestamp>,
    confirmed: bool,
) -> Result<CommandOutput, AdminError> {
    let issued = |keys: &ApiKeys| keys.issued_by(id, since).into_iter().cloned().collect::<Vec<_>>();
    let (keys, corrupt) = if confirmed {
        // Creators come before the keys that they created, and a revoked key can't create another one.
        revoke_all(services, app, |keys| of_id(keys, id).into_iter().chain(issued(keys)).collect()).await?
    } else {
        read(services, app).await?
    };
    let issued = issued(&keys);
    let own = of_id(&keys, id);
    if own.is_empty() && issued.is_empty() {
        return Err(refused(app, id, ApiKeyChangeError::NoSuchKey));
    }
    let now = Timestamp::now();
    let rows = |keys: &[ApiKey]| keys.iter().map(|key| api_key_json(key, now)).collect::<Vec<_>>();
    let note =
        (!confirmed).then_some("Nothing was revoked. --yes revokes the key and all keys that are listed as issued.");
    let json = json!({ "apiKeys": rows(&own), "issued": rows(&issued) });
    Ok(CommandOutput::new(json, &corrupt).with_note(note))
}

fn of_id(keys: &ApiKeys, id: ApiKeyId) -> Vec<ApiKey> {
    keys.iter().filter(|key| key.id == id).cloned().collect()
}

async fn read(services: &Services, app: AppId) -> Result<(ApiKeys, Vec<CorruptItem>), AdminError> {
    let (keys, corrupt) = services.store.list_api_keys(app).await?;
    Ok((ApiKeys::new(keys), corrupt))
}

/// Revokes the chosen keys until a reading of the app's keys finds none that is not revoked. Returns that reading.
async fn revoke_all(
    services: &Services,
    app: AppId,
    chosen: impl Fn(&ApiKeys) -> Vec<ApiKey>,
) -> Result<(ApiKeys, Vec<CorruptItem>), AdminError> {
    loop {
        let (keys, corrupt) = read(services, app).await?;
        let chosen: Vec<_> = chosen(&keys).into_iter().filter(|key| key.revoked_at.is_none()).collect();
        if chosen.is_empty() {
            return Ok((keys, corrupt));
        }
        let now = Timestamp::now();
        for key in chosen {
            match services.store.revoke_api_key(app, &key, now).await {
                // Someone else has revoked it, or this command has and the response was lost.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
