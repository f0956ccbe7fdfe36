//! `userdocks-admin app …`

use std::num::NonZeroU16;

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{
        ApiKey, ApiKeyType, ApiKeyValue, App, AppId, GeneratedSigningKey, Secret, SecretVersionId, SigningKeyId,
        SigningKeys, Timestamp,
    },
    secrets::SecretsError,
    store::{StoreError, waits_after_conflict},
};

use crate::{
    AdminError, CommandOutput, Show, api_key, find_app,
    json::{api_key_json, app_json, app_summary_json, secret_json, signing_key_json},
    signing_key,
};

/// Creates an app with a random secret, a new signing key in use, and a read and a write API key.
///
/// # Errors
/// An app of this id exists and `if_not_exists` is not set, or an AWS service fails.
pub async fn create(
    services: &Services,
    id: Option<AppId>,
    name: String,
    if_not_exists: bool,
) -> Result<CommandOutput, AdminError> {
    let id = id.unwrap_or_else(AppId::random);
    let existing = services.store.find_app(id).await?;
    if let Some(app) = existing {
        return if if_not_exists { existing_output(services, &app).await } else { Err(AdminError::AppExists(id)) };
    }
    let values = [ApiKeyValue::issue(ApiKeyType::Read)?, ApiKeyValue::issue(ApiKeyType::Write)?];
    let (app, keys) = match create_with_keys(services, id, name, &values).await {
        Err(AdminError::AppExists(_)) if if_not_exists => {
            return existing_output(services, &find_app(services, id).await?).await;
        }
        created => created?,
    };
    let api_keys: Vec<_> = keys.iter().zip(&values).map(|(key, value)| created_key_json(key, Some(value))).collect();
    Ok(created_output(&app, &api_keys))
}

/// Creates an app with a given read and a given write API key.
///
/// The record is written last, in one transaction. After a crash before it, the app does not exist, and the command can be
/// run again. If a parallel command creates the app first, this one removes what it has stored.
///
/// # Errors
/// [`AdminError::AppExists`], or an AWS service fails.
pub async fn create_with_keys(
    services: &Services,
    id: AppId,
    name: String,
    [read, write]: &[ApiKeyValue; 2],
) -> Result<(App, Vec<ApiKey>), AdminError> {
    let generated = GeneratedSigningKey::generate()?;
    let (signing_key, version) = (SigningKeyId::random(), SecretVersionId::random());
    create_secret(services, id, version).await?;
    let unpublished = services.secrets.create_signing_key(id, signing_key, &generated.private_key).await?;

    let now = Timestamp::now();
    let mut signing_keys = SigningKeys::default();
    signing_keys.add_in_use(signing_key, generated.public_key, now);
    let app = App::new(id, name, version, signing_keys, now);
    let api_keys = vec![
        ApiKey::new(read, ApiKeyType::Read, "read".to_owned(), now, None),
        ApiKey::new(write, ApiKeyType::Write, "write".to_owned(), now, None),
    ];
    match store_new_app(services, &app, &api_keys).await {
        Ok(()) => {
            unpublished.settled();
            Ok((app, api_keys))
        }
        Err(error @ AdminError::AppExists(_)) => {
            signing_key::discard(services, id, signing_key, unpublished).await;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Stores a random secret for an app that is about to be created.
///
/// # Errors
/// [`AdminError::AppExists`] if parallel commands used up the secret's staging labels and one of them created the app. An AWS
/// service fails.
pub(crate) async fn create_secret(services: &Services, id: AppId, version: SecretVersionId) -> Result<(), AdminError> {
    match services.secrets.create_app_secret(id, version, &Secret::random()?).await {
        Err(SecretsError::TooManyVersions { .. }) if services.store.find_app(id).await?.is_some() => {
            Err(AdminError::AppExists(id))
        }
        created => Ok(created?),
    }
}

/// Stores an app and its API keys; the app's secret is already stored. If a parallel command created the app first, removes
/// this command's version of the secret.
///
/// # Errors
/// [`AdminError::AppExists`], or an AWS service fails.
pub(crate) async fn store_new_app(services: &Services, app: &App, api_keys: &[ApiKey]) -> Result<(), AdminError> {
    // DynamoDB cancels a transaction that conflicts with another one, which may fail too.
    let mut waits = waits_after_conflict();
    loop {
        match services.store.create_app(app, api_keys).await {
            Err(StoreError::Conflict) => {}
            stored => return Ok(stored?),
        }
        if let Some(winner) = services.store.find_app(app.id).await? {
            // The SDK may have repeated a transaction whose response was lost.
            if winner.secret_version_id == app.secret_version_id {
                return Ok(());
            }
            if let Err(error) = services.secrets.discard_app_secret(&winner, app.secret_version_id).await {
                tracing::warn!(cause = %error, "cannot remove an unused version of the secret; `doctor --repair` removes it");
            }
            return Err(AdminError::AppExists(app.id));
        }
        api_key::check_other_apps(services, app.id, api_keys).await?;
        tokio::time::sleep(waits.next().ok_or(StoreError::Contended)?).await;
    }
}

async fn existing_output(services: &Services, app: &App) -> Result<CommandOutput, AdminError> {
    let (keys, _) = services.store.list_api_keys(app.id).await?;
    let api_keys: Vec<_> = keys.iter().map(|key| created_key_json(key, None)).collect();
    Ok(created_output(app, &api_keys))
}

fn created_output(app: &App, api_keys: &[Value]) -> CommandOutput {
    let signing_key = app.signing_keys.in_use();
    json!({
        "app": app_json(app),
        "secret": { "versionId": app.secret_version_id.to_string() },
        "signingKey": signing_key.map(|key| json!({ "uuid": key.id.to_string(), "state": key.state.name() })),
        "apiKeys": api_keys,
    })
    .into()
}

fn created_key_json(key: &ApiKey, value: Option<&ApiKeyValue>) -> Value {
    json!({
        "uuid": key.id.to_string(),
        "type": key.kind.name(),
        "name": key.name,
        "value": value.map(ApiKeyValue::expose),
        "expiresAt": key.expires_at.map(|moment| moment.to_string()),
    })
}

/// Lists apps page by page, and reports corrupt records. With `limit`, `next` in the output is the `after` of the next
/// listing, or null at the end.
///
/// # Errors
/// DynamoDB fails, or the output cannot be written.
pub async fn list(
    services: &Services,
    limit: Option<NonZeroU16>,
    after: Option<AppId>,
    show: Show<'_>,
) -> Result<CommandOutput, AdminError> {
    /// An app's record, two API keys and their index items. A page of this many items for each app has about `limit` apps.
    const ITEMS_OF_AN_APP: i32 = 5;
    let page_size = limit.map(|limit| i32::from(limit.get()) * ITEMS_OF_AN_APP);
    let mut pages = services.store.app_summaries(after, page_size);
    let mut room = limit.map_or(usize::MAX, |limit| limit.get().into());
    let (mut last, mut problems) = (None, Vec::new());
    while let Some(page) = pages.next().await? {
        let mut rows = Vec::new();
        for app in page {
            match app {
                // There are more apps than the limit.
                Ok(_) if room == 0 => {
                    show(rows)?;
                    return Ok(CommandOutput { value: json!({ "next": last }), problems });
                }
                Ok(app) => {
                    rows.push(app_summary_json(&app));
                    last = Some(app.id.to_string());
                    room -= 1;
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
        show(rows)?;
    }
    let value = if limit.is_some() { json!({ "next": null }) } else { json!({}) };
    Ok(CommandOutput { value, problems })
}

/// Shows an app, the versions of its secret and its keys, and reports corrupt API key records.
///
/// # Errors
/// The app does not exist, its record is corrupt, or DynamoDB fails.
pub async fn show(services: &Services, id: AppId) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, id).await?;
    let now = Timestamp::now();
    let (api_keys, corrupt) = services.store.list_api_keys(id).await?;
    let value = json!({
        "app": app_json(&app),
        "secret": secret_json(&app, now),
        "signingKeys": app.signing_keys.iter().map(signing_key_json).collect::<Vec<_>>(),
        "apiKeys": api_keys.iter().map(|key| api_key_json(key, now)).collect::<Vec<_>>(),
    });
    Ok(CommandOutput::new(value, &corrupt))
}

/// Disables or enables an app. Idempotent.
///
/// # Errors
/// The app does not exist, a concurrent change won, or DynamoDB fails.
pub async fn set_disabled(services: &Services, id: AppId, is_disabled: bool) -> Result<CommandOutput, AdminError> {
    let app = disable(services, find_app(services, id).await?, is_disabled).await?;
    Ok(json!({ "app": app_json(&app) }).into())
}

async fn disable(services: &Services, read: App, is_disabled: bool) -> Result<App, AdminError> {
    if read.is_disabled == is_disabled {
        return Ok(read);
    }
    let changed = App { is_disabled, ..read.clone() };
    Ok(services.store.update_app(&read, changed, Timestamp::now()).await?)
}

/// Deletes an app. Disables it first, so that a half-deleted app rejects requests. Deletes its record last, so that the same
/// command can finish the deletion.
///
/// # Errors
/// The app does not exist, a concurrent change won, or an AWS service fails.
pub async fn delete(services: &Services, id: AppId) -> Result<CommandOutput, AdminError> {
    let app = disable(services, find_app(services, id).await?, true).await?;
    services.secrets.delete_all(&app).await?;
    services.store.delete_app(id).await?;
    Ok(json!({ "deleted": { "uuid": id.to_string(), "name": app.name } }).into())
}
