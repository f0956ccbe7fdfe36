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
/// There is no such app; or DynamoDB fails, or the record is corrupt.
pub async fn list(services: &Services, app: AppId) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, app).await?;
    Ok(json!({ "signingKeys": app.signing_keys.iter().map(signing_key_json).collect::<Vec<_>>() }).into())
}

/// Adds a public key whose private half is kept elsewhere, as the key in use or as a standby key.
///
/// # Errors
/// It is not an RSA public key in PEM, or the app has it; there is no such app or it has too many keys, a concurrent change
/// won, or DynamoDB fails.
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

/// Creates a standby key (RSA-4096), whose private half is stored in Secrets Manager.
///
/// # Errors
/// There is no such app or it has too many keys, concurrent changes won at each attempt, or an AWS service fails.
pub async fn create(services: &Services, app: AppId) -> Result<CommandOutput, AdminError> {
    find_app(services, app).await?.signing_keys.check_room(SigningKeyLimits::OPERATOR, Timestamp::now())?;
    let generated = GeneratedSigningKey::generate()?;
    let id = SigningKeyId::random();
    // Generating the key takes seconds: checks again, before a secret is created, that it may be added.
    find_app(services, app).await?.signing_keys.check_room(SigningKeyLimits::OPERATOR, Timestamp::now())?;
    let unpublished = services.secrets.create_signing_key(app, id, &generated.private_key).await?;
    let added = add(services, app, id, &generated.public_key).await;
    match &added {
        Ok(_) => unpublished.settled(),
        Err(AdminError::Store(StoreError::Conflict) | AdminError::KeyChange(_) | AdminError::NoSuchApp(_)) => {
            discard(services, app, id, unpublished).await;
        }
        // The record may be stored, or not.
        Err(_) => drop(unpublished),
    }
    added
}

/// Schedules the deletion of a private key that the app's record does not name. Best effort: otherwise the log names it.
pub(crate) async fn discard(services: &Services, app: AppId, id: SigningKeyId, unpublished: UnpublishedKey) {
    let Ok(app_now) = services.store.find_app(app).await else { return };
    let is_published = app_now.is_some_and(|app| app.signing_keys.get(id).is_ok());
    if is_published || services.secrets.schedule_deletion(Purpose::SigningKey(app, id)).await.is_ok() {
        unpublished.settled();
    }
}

/// Adds a standby key, again if another change of the app wins: the addition commutes with it.
async fn add(
    services: &Services,
    app: AppId,
    id: SigningKeyId,
    public_key: &PublicKey,
) -> Result<CommandOutput, AdminError> {
    let mut waits = waits_after_conflict();
    loop {
        let added = change(services, find_app(services, app).await?, id, |app, now| {
            // An earlier attempt may have added it, and its response was lost.
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

/// Puts a key in use; the key in use before becomes previous.
///
/// # Errors
/// The app has no such key, or it was published too recently and `force` is not set; a concurrent change won, or DynamoDB fails.
pub async fn activate(
    services: &Services,
    app: AppId,
    key: SigningKeyId,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, app).await?;
    change(services, app, key, |app, now| app.signing_keys.activate(key, force, now).map(drop)).await
}

/// Revokes a key, at once and for good.
///
/// # Errors
/// The app has no such key, or it is in use and `force` is not set; a concurrent change won, or DynamoDB fails.
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
        app = services.store.update_app(&read, app, now, None).await?;
    }
    Ok(json!({ "signingKey": signing_key_json(app.signing_keys.get(key)?) }).into())
}
