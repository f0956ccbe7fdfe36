//! `DELETE /api/v1/apps/{appUuid}/keys/{keyUuid}`: revokes a signing key.

use std::sync::Arc;

use userdocks::{
    http::{Envelope, Failure, ListSuccess, Request, Response, Write},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "DELETE /api/v1/apps/{appUuid}/keys/{keyUuid}",
    envelope: Envelope::List,
    is_public: false,
    calls_secrets_manager: false,
    deadline: Route::DEADLINE,
};

/// Revokes a key, at once and for good; the one in use only with `?force=true`. Again it answers the same, for at least
/// a day.
///
/// # Errors
/// The contract's failures of authentication; E4000 for a body, a malformed key id or `force`; E4040 where the app has no such
/// key; E4090 where the key is in use or another change won; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let write = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { answer, .. } => return Ok(Response::of_json(200, answer)),
        Write::New(write) => write,
    };
    let key_id = request.signing_key_id()?;
    request.no_body()?;
    let force = request.query_choice("force", &["true", "false"])? == Some("true");

    let mut app = write.app().clone();
    let key = app.signing_keys.revoke(key_id, force, write.now())?;
    let answer = Response::body_of(&ListSuccess::written(key))?;
    let answer = write.commit(&services.store, app, answer).await?;
    Ok(Response::of_json(200, answer))
}
