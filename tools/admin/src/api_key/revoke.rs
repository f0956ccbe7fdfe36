use serde_json::json;
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyChangeError, ApiKeyId, ApiKeys, AppId, Timestamp},
    store::{CorruptItem, StoreError},
};

use super::refused;
use crate::{AdminError, CommandOutput, json::api_key_json};

/// Revokes all API keys of one id. Earlier versions imported files in which several keys had the same id. Revoked keys are
/// not changed.
///
/// # Errors
/// The app has no such key, or DynamoDB fails.
pub async fn revoke(services: &Services, app: AppId, id: ApiKeyId) -> Result<CommandOutput, AdminError> {
    let (keys, _) = revoke_all(services, app, |keys| of_id(keys, id)).await?;
    let key = keys.get(id).map_err(|cause| refused(app, id, cause))?;
    Ok(json!({ "apiKey": api_key_json(key, Timestamp::now()) }).into())
}

/// Shows the API keys that a key has issued since `since`, directly or through other keys. With `confirmed`, revokes the key
/// and then all of them, until a pass finds no new one.
///
/// # Errors
/// The app has neither the key nor a key that it issued, or DynamoDB fails.
pub async fn revoke_issued(
    services: &Services,
    app: AppId,
    id: ApiKeyId,
    since: Option<Timestamp>,
    confirmed: bool,
) -> Result<CommandOutput, AdminError> {
    let issued = |keys: &ApiKeys| keys.issued_by(id, since).into_iter().cloned().collect::<Vec<_>>();
    let (keys, corrupt) = if confirmed {
        // The issuing keys come first, because a revoked key cannot issue another one.
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
        (!confirmed).then_some("Nothing was revoked. Use --yes to revoke the key and all keys listed as issued.");
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

/// Revokes the chosen keys, and repeats this until a pass finds all of them revoked. Returns the keys of that pass.
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
                // Another command has revoked it, or an earlier attempt has and its response was lost.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
