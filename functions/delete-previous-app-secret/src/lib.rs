//! `DELETE /api/v1/apps/{appId}/secrets/previous`: ends the overlap after a rotation.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    api::{Context, Envelope, Failure, LegacySuccess, Route, json},
    http::{Method, Response},
};

pub const ROUTE: Route = Route::write(Method::DELETE, "/api/v1/apps/{appId}/secrets/previous", Envelope::Legacy);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    previous_secret: Option<&'static str>,
    previous_expires_at: Option<&'static str>,
}

/// Drops the previous secret, so that GET no longer returns it. Changes nothing if there is none.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    cx.write(|app| {
        cx.request.no_body()?;
        app.end_overlap();
        json(&LegacySuccess::new("OK", Data { previous_secret: None, previous_expires_at: None }))
    })
    .await
}
