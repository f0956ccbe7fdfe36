//! `DELETE /api/v1/apps/{appUuid}/keys/{keyUuid}`: revokes a signing key.

use std::sync::Arc;

use userdocks::{
    api::{Context, Envelope, Failure, ListSuccess, Route, json},
    http::{Method, Response},
};

pub const ROUTE: Route = Route::write(Method::DELETE, "/api/v1/apps/{appUuid}/keys/{keyUuid}", Envelope::List);

/// Revokes a key, at once and permanently. Revokes the key in use only with `?force=true`. A repeated request returns the
/// same for at least a day.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    cx.write(|app| {
        let key_id = cx.signing_key_id()?;
        cx.request.no_body()?;
        let force = cx.request.query_choice("force", &["true", "false"])? == Some("true");
        json(&ListSuccess::written(app.signing_keys.revoke(key_id, force, cx.now)?))
    })
    .await
}
