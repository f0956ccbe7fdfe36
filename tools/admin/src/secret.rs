//! `userdocks-admin secret …`

use std::time::Duration;

use serde_json::json;
use shared::{
    domain::{App, AppId, Secret, Timestamp},
    rotation::PreparedRotation,
    runtime::Services,
    store::StoreError,
};

use crate::{AdminError, Answer, app_json, find_app, secret_json};

/// Sets an app's secret to a given value; the one before is handed out for `overlap` more.
///
/// # Errors
/// The value is empty or longer than Secrets Manager takes; otherwise as [`rotate`].
pub async fn set(services: &Services, app: AppId, value: &Secret, overlap: Duration) -> Result<Answer, AdminError> {
    /// Secrets Manager's limit, in bytes.
    const MAX_LENGTH: usize = 65_536;
    let length = value.expose().len();
    if !(1..=MAX_LENGTH).contains(&length) {
        return Err(AdminError::SecretLength(length));
    }
    replace(services, app, value, overlap).await
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
