//! `userdocks-admin signing-key …`

use serde_json::json;
use userdocks::{
    api::Services,
    domain::{
        App, AppId, GeneratedSigningKey, PublicKey, SigningKey, SigningKeyChangeRefused, SigningKeyId,
        SigningKeyLimits, SigningKeyState, Timestamp,
    },
    secrets::{Purpose, UnpublishedKey},
    store::{StoreError, waits_after_conflict},
};

use crate::{AdminError, CommandOutput, find_app, json::signing_key_json};

/// Lists an app's signing keys, oldest first.
///
/// # Errors
/// The app does not exist, its record is corrupt, or DynamoDB fails.
pub async fn list(services: &Services, app: AppId) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, app).await?;
    Ok(json!({ "signingKeys": app.signing_keys.iter().map(signing_key_json).collect::<Vec<_>>() }).into())
}

/// Adds a public key, whose private key is kept elsewhere, as the key in use or as a standby key.
///
/// # Errors
/// - The text is not an RSA public key in PEM, or the app already has the key.
/// - The app does not exist, or it has too many keys.
/// - A concurrent change won, or DynamoDB fails.
pub async fn import(services: &Services, app: AppId, pem: &str, standby: bool) -> Result<CommandOutput, AdminError> {
    let public_key = PublicKey::import(pem)?;
    let id = SigningKeyId::random();
    let app = find_app(services, app).await?;
    let is_same = |key: &&SigningKey| key.public_key == public_key && key.state != SigningKeyState::Revoked;
    if let Some(key) = app.signing_keys.iter().find(is_same) {
        return Err(AdminError::PublicKeyExists(app.id, key.id, key.state.name()));
    }
    change(services, app, id, |app, now| {
        if standby {
            return app.signing_keys.import_standby(SigningKeyLimits::OPERATOR, id, public_key, now);
        }
        app.signing_keys.check_room(SigningKeyLimits::OPERATOR, now)?;
        app.signing_keys.import(id, public_key, now);
        Ok(())
    })
    .await
}

/// Creates a standby key (RSA-4096), and stores its private key in Secrets Manager.
///
/// # Errors
/// - The app does not exist, or it has too many keys.
/// - Concurrent changes won at each attempt, or an AWS service fails.
pub async fn create(services: &Services, app: AppId) -> Result<CommandOutput, AdminError> {
    find_app(services, app).await?.signing_keys.check_room(SigningKeyLimits::OPERATOR, Timestamp::now())?;
    let generated = GeneratedSigningKey::generate()?;
    let id = SigningKeyId::random();
    // The generation takes seconds, and the app may have changed. A second check avoids a secret without use.
    find_app(services, app).await?.signing_keys.check_room(SigningKeyLimits::OPERATOR, Timestamp::now())?;
    let unpublished = services.secrets.create_signing_key(app, id, &generated.private_key).await?;
    let added = add(services, app, id, &generated.public_key).await;
    match &added {
        Ok(_) => unpublished.settled(),
        Err(AdminError::Store(StoreError::Conflict) | AdminError::KeyChange(_) | AdminError::NoSuchApp(_)) => {
            discard(services, app, id, unpublished).await;
        }
        // The record may or may not be stored.
        Err(_) => drop(unpublished),
    }
    added
}

/// Schedules the deletion of a private key whose public key is not in the app's record. Best effort; a failure is logged.
pub(crate) async fn discard(services: &Services, app: AppId, id: SigningKeyId, unpublished: UnpublishedKey) {
    let Ok(app_now) = services.store.find_app(app).await else { return };
    let is_published = app_now.is_some_and(|app| app.signing_keys.get(id).is_ok());
    if is_published || services.secrets.schedule_deletion(Purpose::SigningKey(app, id)).await.is_ok() {
        unpublished.settled();
    }
}

/// Adds a standby key. Tries again if a concurrent change won, because the addition commutes with any other change.
async fn add(
    services: &Services,
    app: AppId,
    id: SigningKeyId,
    public_key: &PublicKey,
) -> Result<CommandOutput, AdminError> {
    let mut waits = waits_after_conflict();
    loop {
        let added = change(services, find_app(services, app).await?, id, |app, now| {
            // An earlier attempt may have added the key, and its response was lost.
            let exists = app.signing_keys.get(id).is_ok();
            if exists {
                Ok(())
            } else {
                app.signing_keys.add_standby(SigningKeyLimits::OPERATOR, id, public_key.clone(), now).map(drop)
            }
        });
        match (added.await, waits.next()) {
            (Err(AdminError::Store(StoreError::Conflict)), Some(wait)) => tokio::time::sleep(wait).await,
            (added, _) => return added,
        }
    }
}

/// Puts a key in use. The current key becomes previous.
///
/// # Errors
/// - The app does not exist, or it has no such key.
/// - The key was published too recently, and `force` is not set.
/// - A concurrent change won, or DynamoDB fails.
pub async fn activate(
    services: &Services,
    app: AppId,
    key: SigningKeyId,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, app).await?;
    change(services, app, key, |app, now| app.signing_keys.activate(key, force, now).map(drop)).await
}

/// Revokes a key, at once and permanently.
///
/// # Errors
/// - The app does not exist, or it has no such key.
/// - The key is in use, and `force` is not set.
/// - A concurrent change won, or DynamoDB fails.
pub async fn revoke(
    services: &Services,
    app: AppId,
    key: SigningKeyId,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, app).await?;
    change(services, app, key, |app, now| app.signing_keys.revoke(key, force, now).map(drop)).await
}

async fn change(
    services: &Services,
    read: App,
    key: SigningKeyId,
    change: impl FnOnce(&mut App, Timestamp) -> Result<(), SigningKeyChangeRefused>,
) -> Result<CommandOutput, AdminError> {
    let now = Timestamp::now();
    let mut app = read.clone();
    change(&mut app, now)?;
    if app != read {
        app = services.store.update_app(&read, app, now).await?;
    }
    Ok(json!({ "signingKey": signing_key_json(app.signing_keys.get(key)?) }).into())
}
