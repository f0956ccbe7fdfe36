//! `GET /api/v1/apps/{appId}/secrets`: an app's secret, for its own backends only.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    api::{Context, Envelope, Failure, LegacySuccess, Route, json, success},
    domain::Secret,
    http::{Response, StatusCode},
};

pub const ROUTE: Route =
    Route::read("/api/v1/apps/{appId}/secrets", Envelope::Legacy).with_secrets_manager().without_browsers();

/// Returns the version of the secret that the app's record pins; with `?include=previous` also the previous version, while
/// their overlap lasts.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let caller = cx.authenticate().await?;
    let includes_previous = cx.request.query_choice("include", &["previous"])?.is_some();
    let (app, secrets) = (caller.app(), &cx.services.secrets);
    let secret = secrets.app_secret(app.id, app.secret_version_id).await?;
    if !includes_previous {
        cx.audit.record_subject(app.secret_version_id);
        let data = Data { secret: secret.expose() };
        return Ok(success(StatusCode::OK, json(&LegacySuccess::new("OK", data))?));
    }
    let previous = app.previous_secret(cx.now);
    let previous_secret = match previous {
        Some(previous) => Some(secrets.app_secret(app.id, previous.version_id).await?),
        None => None,
    };
    match previous {
        Some(previous) => {
            cx.audit.record_subject(format_args!("{} {}", app.secret_version_id, previous.version_id));
        }
        None => cx.audit.record_subject(app.secret_version_id),
    }
    let data = DataWithPrevious {
        secret: secret.expose(),
        previous_secret: previous_secret.as_deref().map(Secret::expose),
        previous_expires_at: previous.map(|previous| previous.expires_at.to_string()),
    };
    Ok(success(StatusCode::OK, json(&LegacySuccess::new("OK", data))?))
}

#[derive(Serialize)]
struct Data<'a> {
    secret: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DataWithPrevious<'a> {
    secret: &'a str,
    previous_secret: Option<&'a str>,
    previous_expires_at: Option<String>,
}
