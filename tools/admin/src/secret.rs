//! `userdocks-admin secret …`

use serde_json::json;
use shared::{
    domain::{AppId, Secret, SecretVersionId, Timestamp},
    runtime::Services,
};

use crate::{AdminError, Answer, app_json, find_app, secret_json};

/// Sets an app's secret to a given value.
///
/// # Errors
/// The value is empty or longer than Secrets Manager takes; there is no such app, a concurrent change won, or a service fails.
pub async fn set(services: &Services, app: AppId, value: &Secret) -> Result<Answer, AdminError> {
    /// Secrets Manager's limit, in bytes.
    const MAX_LENGTH: usize = 65_536;
    let length = value.expose().len();
    if !(1..=MAX_LENGTH).contains(&length) {
        return Err(AdminError::SecretLength(length));
    }
    replace(services, app, value).await
}

/// Replaces an app's secret with a new random one.
///
/// # Errors
/// There is no such app, a concurrent change won, or a service fails.
pub async fn rotate(services: &Services, app: AppId) -> Result<Answer, AdminError> {
    replace(services, app, &Secret::random()?).await
}

/// First the new version, then the record that pins it: a crash between leaves a version that nobody uses.
async fn replace(services: &Services, id: AppId, value: &Secret) -> Result<Answer, AdminError> {
    let mut app = find_app(services, id).await?;
    let previous = app.secret_version_id;
    app.secret_version_id = SecretVersionId::random();
    services.secrets.put_app_secret(id, app.secret_version_id, value).await?;
    let app = services.store.update_app(app, Timestamp::now()).await?;
    // The previous version stays for requests under way, which read the record before it changed.
    services.secrets.let_go_of_app_secrets(id, &[app.secret_version_id, previous]).await?;
    Ok(json!({ "app": app_json(&app), "secret": secret_json(&app) }).into())
}
