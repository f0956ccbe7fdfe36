//! `GET /api/v1/apps/{appId}/secrets`: an app's secret, to its own backends alone.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    domain::{ApiKeyType, Secret},
    http::{Envelope, Failure, LegacySuccess, Request, Response},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "GET /api/v1/apps/{appId}/secrets",
    envelope: Envelope::Legacy,
    is_public: false,
    calls_secrets_manager: true,
    deadline: Route::DEADLINE,
};

/// Answers with the version of the secret that the app's record pins, to a caller with a read key; with
/// `?include=previous` also with the one before, while their overlap lasts.
///
/// # Errors
/// The contract's failures of authentication; E4010 to a browser; E4000 for another `include`; E0000 where the table or Secrets Manager fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    request.refuse_browser()?;
    let caller = request.authenticate(ApiKeyType::Read, &services.store).await?;
    let includes_previous = request.query_choice("include", &["previous"])?.is_some();
    let app = caller.app();
    let secret = services.secrets.app_secret(app.id, app.secret_version_id).await?;
    if !includes_previous {
        let answer = Response::success(200, &LegacySuccess::new("OK", Data { secret: secret.expose() }))?;
        return Ok(answer.about(app.secret_version_id));
    }
    let previous = app.previous_secret(request.received_at());
    let previous_secret = match previous {
        Some(previous) => Some(services.secrets.app_secret(app.id, previous.version_id).await?),
        None => None,
    };
    let data = DataWithPrevious {
        secret: secret.expose(),
        previous_secret: previous_secret.as_deref().map(Secret::expose),
        previous_expires_at: previous.map(|previous| previous.expires_at.to_string()),
    };
    let answer = Response::success(200, &LegacySuccess::new("OK", data))?;
    Ok(match previous {
        Some(previous) => answer.about(format_args!("{} {}", app.secret_version_id, previous.version_id)),
        None => answer.about(app.secret_version_id),
    })
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
