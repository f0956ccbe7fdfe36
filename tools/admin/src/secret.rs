//! `userdocks-admin secret …`

use std::time::Duration;

use serde_json::json;
use userdocks::{
    api::Services,
    domain::{App, AppId, Secret, SecretVersionId, Timestamp, keys_losing_secret, secret_status},
    rotation::PreparedRotation,
    store::StoreError,
};

use crate::{
    AdminError, CommandOutput, find_app,
    json::{app_json, secret_json},
};

/// Sets an app's secret to a given value. The previous secret is still returned for `overlap`.
///
/// # Errors
/// The value is empty, longer than Secrets Manager's limit, or already the app's secret. All errors of [`rotate`].
pub async fn set(
    services: &Services,
    app: AppId,
    value: &Secret,
    overlap: Duration,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    /// Secrets Manager's limit, in bytes.
    const MAX_SECRET_BYTES: usize = 65_536;
    let length = value.expose().len();
    if !(1..=MAX_SECRET_BYTES).contains(&length) {
        return Err(AdminError::SecretLength(length));
    }
    let current = find_app(services, app).await?.secret_version_id;
    // If the current secret cannot be read, the operator must still be able to set another.
    if services.secrets.app_secret(app, current).await.is_ok_and(|current| *current == *value) {
        return Err(AdminError::SameSecret(app));
    }
    replace(services, app, value, overlap, force).await
}

/// Returns warnings about likely mistakes in a secret.
pub fn oddities(value: &Secret) -> impl Iterator<Item = &'static str> {
    let text = value.expose();
    let is_blank = text.trim().is_empty();
    let has_mark = text.starts_with('\u{feff}');
    let has_line_end = !is_blank && text.ends_with(['\n', '\r']);
    let has_blanks = !is_blank && !has_line_end && text.trim() != text;
    [
        (is_blank, "the secret is blank"),
        (has_mark, "the secret begins with a byte order mark"),
        (has_line_end, "the secret ends with a line break; only one was removed"),
        (has_blanks, "the secret begins or ends with white space"),
    ]
    .into_iter()
    .filter_map(|(is_so, oddity)| is_so.then_some(oddity))
}

/// Replaces an app's secret with a random one. The previous secret is still returned for `overlap`.
///
/// # Errors
/// - The overlap is longer than 30 days.
/// - [`AdminError::KeysLoseSecret`], unless forced.
/// - The app does not exist, a concurrent change won, or an AWS service fails.
pub async fn rotate(
    services: &Services,
    app: AppId,
    overlap: Duration,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    replace(services, app, &Secret::random()?, overlap, force).await
}

async fn replace(
    services: &Services,
    id: AppId,
    value: &Secret,
    overlap: Duration,
    force: bool,
) -> Result<CommandOutput, AdminError> {
    if overlap > App::MAX_OVERLAP {
        return Err(AdminError::OverlapTooLong);
    }
    let now = Timestamp::now();
    let app = find_app(services, id).await?;
    if !force {
        let mut changed = app.clone();
        changed.rotate_secret(SecretVersionId::random(), overlap, now);
        check_keys(services, &app, &changed, now).await?;
    }
    let prepared = PreparedRotation::new(&services.secrets, app.clone(), value, overlap, now).await?;
    match services.store.update_app(&app, prepared.app.clone(), now).await {
        Ok(app) => {
            prepared.finish(&services.secrets).await;
            Ok(output(&app, now))
        }
        Err(StoreError::Conflict) => {
            prepared.abandon(&services.secrets).await;
            Err(StoreError::Conflict.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that no API key in use loses the version of the secret that it fetched last.
async fn check_keys(services: &Services, read: &App, changed: &App, now: Timestamp) -> Result<(), AdminError> {
    let (keys, _) = services.store.list_api_keys(read.id).await?;
    let losing = keys_losing_secret(read, changed, &keys, now);
    if losing.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = losing.iter().map(|key| format!("{} ({}, …{})", key.id, key.name, key.hint)).collect();
    Err(AdminError::KeysLoseSecret(named.join(", ")))
}

/// Stops returning the previous secret. Changes nothing if there is none.
///
/// # Errors
/// - [`AdminError::KeysLoseSecret`], unless forced.
/// - The app does not exist, a concurrent change won, or DynamoDB fails.
pub async fn end_overlap(services: &Services, id: AppId, force: bool) -> Result<CommandOutput, AdminError> {
    let read = find_app(services, id).await?;
    let now = Timestamp::now();
    let mut app = read.clone();
    if app.end_overlap().is_some() {
        if !force {
            check_keys(services, &read, &app, now).await?;
        }
        app = services.store.update_app(&read, app, now).await?;
    }
    Ok(output(&app, now))
}

/// Shows which version of the secret each active read key fetched last, and reports corrupt records.
///
/// # Errors
/// The app does not exist, or DynamoDB fails.
pub async fn status(services: &Services, id: AppId) -> Result<CommandOutput, AdminError> {
    let app = find_app(services, id).await?;
    let (keys, corrupt) = services.store.list_api_keys(id).await?;
    let keys: Vec<_> = secret_status(&app, &keys, Timestamp::now())
        .into_iter()
        .map(|(key, held)| {
            json!({
                "uuid": key.id.to_string(),
                "name": key.name,
                "hint": key.hint,
                "lastUsedAt": key.last_used_at.map(|moment| moment.to_string()),
                "fetchedAt": key.last_fetch.map(|fetch| fetch.at.to_string()),
                "has": held.name(),
            })
        })
        .collect();
    let json = json!({ "secret": { "version": app.secret_version_id.to_string() }, "apiKeys": keys });
    Ok(CommandOutput::new(json, &corrupt))
}

fn output(app: &App, now: Timestamp) -> CommandOutput {
    json!({ "app": app_json(app), "secret": secret_json(app, now) }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_secret_is_named() {
        for (text, oddity) in [
            (" \t", "blank"),
            ("\n", "blank"),
            ("\u{feff}secret", "byte order mark"),
            ("secret\n", "line break"),
            ("secret\r\n", "line break"),
            (" secret", "white space"),
        ] {
            let found: Vec<_> = oddities(&Secret::from(text.to_owned())).collect();
            assert!(found.len() == 1 && found[0].contains(oddity), "{text:?}: {found:?}");
        }
        for text in ["secret", "two\nlines", "two words"] {
            assert_eq!(oddities(&Secret::from(text.to_owned())).count(), 0, "{text:?}");
        }
    }
}
