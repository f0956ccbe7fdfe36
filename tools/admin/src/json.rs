//! The JSON of records in the output.

use serde_json::{Value, json};
use userdocks::{
    domain::{ApiKey, App, SigningKey, Timestamp},
    store::AppSummary,
};

pub fn app_json(app: &App) -> Value {
    let App { id, is_disabled, created_at, updated_at, .. } = *app;
    app_summary_json(&AppSummary { id, name: app.name.clone(), is_disabled, created_at, updated_at })
}

pub fn app_summary_json(app: &AppSummary) -> Value {
    json!({
        "uuid": app.id.to_string(),
        "name": app.name,
        "isDisabled": app.is_disabled,
        "createdAt": app.created_at.to_string(),
        "updatedAt": app.updated_at.to_string(),
    })
}

pub fn secret_json(app: &App, now: Timestamp) -> Value {
    let previous = app.previous_secret(now);
    json!({
        "versionId": app.secret_version_id.to_string(),
        "previousVersionId": previous.map(|previous| previous.version_id.to_string()),
        "previousExpiresAt": previous.map(|previous| previous.expires_at.to_string()),
    })
}

pub fn signing_key_json(key: &SigningKey) -> Value {
    json!({
        "uuid": key.id.to_string(),
        "state": key.state.name(),
        "createdAt": key.created_at.to_string(),
        "updatedAt": key.updated_at.to_string(),
    })
}

pub fn api_key_json(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "uuid": key.id.to_string(),
        "name": key.name,
        "type": key.kind.name(),
        "hint": key.hint,
        "status": key.status(now).name(),
        "createdAt": key.created_at.to_string(),
        "expiresAt": key.expires_at.map(|moment| moment.to_string()),
        "revokedAt": key.revoked_at.map(|moment| moment.to_string()),
        "lastUsedAt": key.last_used_at.map(|moment| moment.to_string()),
        "issuedBy": key.issued_by.map(|id| id.to_string()),
        "allowedCidrs": key.allow_list.networks().map(|network| network.to_string()).collect::<Vec<_>>(),
    })
}
