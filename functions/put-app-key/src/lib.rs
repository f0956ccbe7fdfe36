//! `PUT /api/v1/apps/{appUuid}/keys/{keyUuid}`: puts a signing key in use.

use std::sync::Arc;

use serde::Deserialize;
use userdocks::{
    api::{Context, Envelope, Failure, FailureKind, ListSuccess, Route, json},
    domain::SigningKeyState,
    http::{Method, Response},
};

pub const ROUTE: Route = Route::write(Method::PUT, "/api/v1/apps/{appUuid}/keys/{keyUuid}", Envelope::List);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    state: String,
    #[serde(default)]
    force: bool,
}

/// Puts a standby or previous key in use; the key in use becomes previous.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    cx.write(|app| {
        let key_id = cx.signing_key_id()?;
        let body: Body = cx.request.body()?;
        // Callers cannot set other states.
        if body.state != SigningKeyState::InUse.name() {
            return Err(FailureKind::BadRequest.into());
        }
        json(&ListSuccess::written(app.signing_keys.activate(key_id, body.force, cx.now)?))
    })
    .await
}
