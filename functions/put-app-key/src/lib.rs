//! `PUT /api/v1/apps/{appUuid}/keys/{keyUuid}`: puts a signing key in use.

use std::sync::Arc;

use serde::Deserialize;
use userdocks::{
    domain::SigningKeyState,
    http::{Envelope, Failure, FailureKind, ListSuccess, Request, Response, Write},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "PUT /api/v1/apps/{appUuid}/keys/{keyUuid}",
    envelope: Envelope::List,
    is_public: false,
    calls_secrets_manager: false,
    deadline: Route::DEADLINE,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    state: String,
    #[serde(default)]
    force: bool,
}

/// Puts a standby or previous key in use; the one that was becomes previous.
///
/// # Errors
/// The contract's failures of authentication; E4000 for a malformed body or key id; E4040 where the app has no such key;
/// E4090 where the key was published too recently or another change won; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let write = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { answer, .. } => return Ok(Response::of_json(200, answer)),
        Write::New(write) => write,
    };
    let key_id = request.signing_key_id()?;
    let body: Body = request.body()?;
    // The one state that a key can be put in.
    if body.state != SigningKeyState::InUse.name() {
        return Err(FailureKind::BadRequest.into());
    }

    let mut app = write.app().clone();
    let key = app.signing_keys.activate(key_id, body.force, write.now())?;
    let answer = Response::body_of(&ListSuccess::written(key))?;
    let answer = write.commit(&services.store, app, answer).await?;
    Ok(Response::of_json(200, answer))
}
