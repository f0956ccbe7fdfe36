//! `POST /api/v1/apps/{appUuid}/keys`: a new standby signing key.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use shared::{
    domain::{GeneratedSigningKey, SigningKeyId, Timestamp},
    http::{Envelope, Failure, ListSuccess, NewWrite, Request, Response, Write},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "POST /api/v1/apps/{appUuid}/keys",
    envelope: Envelope::List,
    is_public: false,
    calls_secrets_manager: true,
    // Making an RSA-4096 key takes seconds now and then; API Gateway waits for 30.
    deadline: Duration::from_secs(25),
};

/// Makes an RSA-4096 key, whose private half goes to Secrets Manager, and publishes it.
///
/// # Errors
/// The contract's failures of authentication; E4000 for a body; E4090 where another change won or the app has too many
/// keys; E0000 where a service fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let answer = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { answer, .. } => answer,
        Write::New(write) => publish_new_key(&request, &services, write).await?,
    };
    let Answer { items: [NewKey { uuid }] } = serde_json::from_str(&answer).map_err(Failure::internal)?;
    Ok(Response::of_json(201, answer).about(uuid))
}

/// What the log names of an answer.
#[derive(Deserialize)]
struct Answer {
    items: [NewKey; 1],
}

#[derive(Deserialize)]
struct NewKey {
    uuid: String,
}

async fn publish_new_key(request: &Request, services: &Services, write: Box<NewWrite>) -> Result<String, Failure> {
    request.no_body()?;
    let mut app = write.app().clone();
    app.signing_keys.check_room(write.now())?;

    let made = tokio::task::spawn_blocking(GeneratedSigningKey::generate).await.map_err(Failure::internal)?;
    let GeneratedSigningKey { public_key, private_key } = made?;
    let id = SigningKeyId::random();
    services.secrets.create_signing_key(app.id, id, &private_key).await?;

    // The time that it has to be published for begins now, not when the request arrived.
    let key = app.signing_keys.add_standby(id, public_key, Timestamp::now())?;
    let answer = Response::body_of(&ListSuccess::written(key))?;
    write.commit(&services.store, app, answer).await
}
