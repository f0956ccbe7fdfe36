//! `userdocks-admin secret …`

use std::time::Duration;

use serde_json::json;
use userdocks::{
    api::Services,
    domain::{App, AppId, Secret, Timestamp},
    rotation::PreparedRotation,
    store::StoreError,
};

use crate::{AdminError, Answer, app_json, find_app, secret_json};

/// Sets an app's secret to a given value; the one before is handed out for `overlap` more.
///
/// # Errors
/// The value is empty or longer than Secrets Manager takes, or the app has it; otherwise as [`rotate`].
pub async fn set(services: &Services, app: AppId, value: &Secret, overlap: Duration) -> Result<Answer, AdminError> {
    /// Secrets Manager's limit, in bytes.
    const MAX_LENGTH: usize = 65_536;
    let length = value.expose().len();
    if !(1..=MAX_LENGTH).contains(&length) {
        return Err(AdminError::SecretLength(length));
    }
    let current = find_app(services, app).await?.secret_version_id;
    // A secret that can't be read does not stop the operator from setting another.
    if services.secrets.app_secret(app, current).await.is_ok_and(|current| *current == *value) {
        return Err(AdminError::SameSecret(app));
    }
    replace(services, app, value, overlap).await
}

/// What is strange about a secret and may be a mistake, for a warning.
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

/// Replaces an app's secret with a new random one; the one before is handed out for `overlap` more.
///
/// # Errors
/// The overlap is longer than 30 days; there is no such app, a concurrent change won, or a service fails.
pub async fn rotate(services: &Services, app: AppId, overlap: Duration) -> Result<Answer, AdminError> {
    replace(services, app, &Secret::random()?, overlap).await
}

async fn replace(services: &Services, id: AppId, value: &Secret, overlap: Duration) -> Result<Answer, AdminError> {
    if overlap > App::MAX_OVERLAP {
        return Err(AdminError::OverlapTooLong);
    }
    let app = find_app(services, id).await?;
    let now = Timestamp::now();
    let prepared = PreparedRotation::new(&services.secrets, app.clone(), value, overlap, now).await?;
    match services.store.update_app(&app, prepared.app.clone(), now, None).await {
        Ok(app) => {
            prepared.finish(&services.secrets).await;
            Ok(answer(&app, now))
        }
        Err(StoreError::Conflict) => {
            prepared.abandon(&services.secrets).await;
            Err(StoreError::Conflict.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the overlap: the previous secret is handed out no more. Where there is none, nothing changes.
///
/// # Errors
/// There is no such app, a concurrent change won, or DynamoDB fails.
pub async fn end_overlap(services: &Services, id: AppId) -> Result<Answer, AdminError> {
    let read = find_app(services, id).await?;
    let now = Timestamp::now();
    let mut app = read.clone();
    if app.end_overlap().is_some() {
        app = services.store.update_app(&read, app, now, None).await?;
    }
    Ok(answer(&app, now))
}

fn answer(app: &App, now: Timestamp) -> Answer {
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
