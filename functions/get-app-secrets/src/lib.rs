//! `GET /api/v1/apps/{appId}/secrets`: returns an app's secret to its backends.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    api::{Context, Envelope, Failure, LegacySuccess, Route, json, matches_etag, strong_etag, uncacheable},
    domain::{App, PreviousSecret, Secret, SecretVersionId, fingerprint},
    http::{Response, StatusCode},
    secrets::Secrets,
};

pub const ROUTE: Route =
    Route::read("/api/v1/apps/{appId}/secrets", Envelope::Legacy).with_secrets_manager().without_browsers();

/// Returns the version of the secret that the app's record pins. With `?include=previous`, also returns the previous
/// version during an overlap.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let caller = cx.authenticate().await?;
    let includes_previous = cx.request.query_choice("include", &["previous"])?.is_some();
    let (app, secrets) = (caller.app(), &cx.services.secrets);
    let previous = app.previous_secret(cx.now).filter(|_| includes_previous);
    match previous {
        Some(previous) => {
            cx.audit.record_subject(format_args!("{} {}", app.secret_version_id, previous.version_id));
        }
        None => cx.audit.record_subject(app.secret_version_id),
    }
    let etag = etag_of_versions(app.secret_version_id, previous.map(|previous| previous.version_id), includes_previous);
    // Compared before any call to Secrets Manager, because a 304 needs none. `*` does not match, so it gets 200.
    let is_known = cx.request.header("if-none-match").is_some_and(|tags| matches_etag(&tags, &etag));
    let response = if is_known {
        uncacheable(StatusCode::NOT_MODIFIED, String::new())
    } else if includes_previous {
        uncacheable(StatusCode::OK, body_with_previous(secrets, app, previous).await?)
    } else {
        let secret = secrets.app_secret(app.id, app.secret_version_id).await?;
        uncacheable(StatusCode::OK, json(&LegacySuccess::new("OK", Data { secret: secret.expose() }))?)
    };
    cx.note_fetch(&caller, app.secret_version_id);
    Ok(response.with_header("etag", etag))
}

async fn body_with_previous(secrets: &Secrets, app: &App, previous: Option<PreviousSecret>) -> Result<String, Failure> {
    let secret = secrets.app_secret(app.id, app.secret_version_id).await?;
    let previous_secret = match previous {
        Some(previous) => Some(secrets.app_secret(app.id, previous.version_id).await?),
        None => None,
    };
    let data = DataWithPrevious {
        secret: secret.expose(),
        previous_secret: previous_secret.as_deref().map(Secret::expose),
        previous_expires_at: previous.map(|previous| previous.expires_at.to_string()),
    };
    json(&LegacySuccess::new("OK", data))
}

/// Returns the etag of a response. It depends on the returned versions, and never on the secret itself.
fn etag_of_versions(current: SecretVersionId, previous: Option<SecretVersionId>, includes_previous: bool) -> String {
    let previous = previous.map(|version| version.to_string()).unwrap_or_default();
    strong_etag(&fingerprint(&[&current.to_string(), &previous, &includes_previous.to_string()]))
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
