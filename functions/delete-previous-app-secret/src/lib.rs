//! `DELETE /api/v1/apps/{appId}/secrets/previous`: ends the overlap of a rotated secret.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    http::{Envelope, Failure, LegacySuccess, Request, Response, Write},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "DELETE /api/v1/apps/{appId}/secrets/previous",
    envelope: Envelope::Legacy,
    is_public: false,
    calls_secrets_manager: false,
    deadline: Route::DEADLINE,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    previous_secret: Option<&'static str>,
    previous_expires_at: Option<&'static str>,
}

/// Hands out the previous secret no more, from the next request on; where there is none, nothing changes.
///
/// # Errors
/// The contract's failures of authentication; E4000 for a body; E4090 where another change won; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let write = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { answer, .. } => return Ok(Response::of_json(200, answer)),
        Write::New(write) => write,
    };
    request.no_body()?;
    let mut app = write.app().clone();
    app.end_overlap();
    let ended = Data { previous_secret: None, previous_expires_at: None };
    let answer = Response::body_of(&LegacySuccess::new("OK", ended))?;
    let answer = write.commit(&services.store, app, answer).await?;
    Ok(Response::of_json(200, answer))
}
