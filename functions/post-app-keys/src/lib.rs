//! `POST /api/v1/apps/{appUuid}/keys`: a new standby signing key.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use userdocks::{
    domain::{GeneratedSigningKey, KeyLimits, SigningKeyId, Timestamp},
    http::{Envelope, Failure, FailureKind, ListSuccess, Request, Response, Write},
    runtime::{Route, Services},
    store::waits_after_conflict,
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
        Write::New(write) => {
            request.no_body()?;
            write.app().signing_keys.check_room(KeyLimits::API, write.now())?;
            publish_new_key(&request, &services).await?
        }
    };
    let uuid = uuid_in(&answer)?;
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

/// Creates a key and adds it to the app. Other changes of the app don't exclude this one: if one wins, the caller is
/// authenticated and the key added again.
async fn publish_new_key(request: &Request, services: &Services) -> Result<String, Failure> {
    let made = tokio::task::spawn_blocking(GeneratedSigningKey::generate).await.map_err(Failure::internal)?;
    let GeneratedSigningKey { public_key, private_key } = made?;
    let id = SigningKeyId::random();
    // Seconds have passed: checks again, before there is a secret, that the key may be added.
    let mut write = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { answer, .. } => return Ok(answer),
        Write::New(write) => write,
    };
    write.app().signing_keys.check_room(KeyLimits::API, Timestamp::now())?;
    let unpublished = services.secrets.create_signing_key(write.app().id, id, &private_key).await?;
    let mut waits = waits_after_conflict();
    let answer = loop {
        let mut app = write.app().clone();
        // An earlier attempt may have added it, and its response was lost.
        if app.signing_keys.get(id).is_err() {
            // The time that it has to be published for begins now, not when the request arrived.
            app.signing_keys.add_standby(KeyLimits::API, id, public_key.clone(), Timestamp::now())?;
        }
        let answer = Response::body_of(&ListSuccess::written(app.signing_keys.get(id)?))?;
        match write.commit(&services.store, app, answer).await {
            Ok(answer) => break answer,
            Err(failure) if failure.kind == FailureKind::Conflict => {
                tokio::time::sleep(waits.next().ok_or(failure)?).await;
            }
            Err(failure) => return Err(failure),
        }
        write = match request.authenticate_write(ROUTE.name, &services.store).await? {
            Write::Done { answer, .. } => break answer,
            Write::New(write) => write,
        };
    };
    // Otherwise a parallel request did the same write first, with a key of its own.
    if uuid_in(&answer)? == id.to_string() {
        unpublished.settled();
    }
    Ok(answer)
}

fn uuid_in(answer: &str) -> Result<String, Failure> {
    let Answer { items: [NewKey { uuid }] } = serde_json::from_str(answer).map_err(Failure::internal)?;
    Ok(uuid)
}
