//! `POST /api/v1/apps/{appUuid}/keys`: creates a standby signing key.

use std::{sync::Arc, time::Duration};

use tokio::task::spawn_blocking;
use userdocks::{
    api::{Context, Envelope, Failure, ListSuccess, Route, Write, json, uncacheable, written_id},
    domain::{GeneratedSigningKey, SigningKeyId, SigningKeyLimits, Timestamp},
    http::{Method, Response, StatusCode},
};

/// Generating an RSA-4096 key may take several seconds; API Gateway waits for 30.
const GENERATION_DEADLINE: Duration = Duration::from_secs(25);

pub const ROUTE: Route = Route::write(Method::POST, "/api/v1/apps/{appUuid}/keys", Envelope::List)
    .with_secrets_manager()
    .with_deadline(GENERATION_DEADLINE);

/// Generates an RSA-4096 key, stores its private half in Secrets Manager and publishes its public half.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let result = match cx.begin_write().await? {
        Write::Replay { result, .. } => result,
        Write::New(write) => {
            cx.request.no_body()?;
            write.app().signing_keys.check_room(SigningKeyLimits::API, cx.now)?;
            publish_new_key(&cx).await?
        }
    };
    cx.audit.record_subject(written_id(&result)?);
    Ok(uncacheable(StatusCode::CREATED, result))
}

async fn publish_new_key(cx: &Context) -> Result<String, Failure> {
    let generated = spawn_blocking(GeneratedSigningKey::generate).await.map_err(Failure::internal)?;
    let GeneratedSigningKey { public_key, private_key } = generated?;
    let id = SigningKeyId::random();
    // Generating the key took seconds, so the checks are repeated before the secret is created.
    let write = match cx.begin_write().await? {
        Write::Replay { result, .. } => return Ok(result),
        Write::New(write) => write,
    };
    write.app().signing_keys.check_room(SigningKeyLimits::API, Timestamp::now())?;
    let unpublished = cx.services.secrets.create_signing_key(write.app().id, id, &private_key).await?;
    let result = write
        .commit_commuting(|app| {
            // An earlier attempt may have added the key although its response was lost.
            if app.signing_keys.get(id).is_err() {
                // The time of publication, not of the request's arrival.
                app.signing_keys.add_standby(SigningKeyLimits::API, id, public_key.clone(), Timestamp::now())?;
            }
            json(&ListSuccess::written(app.signing_keys.get(id)?))
        })
        .await?;
    // If the ids differ, a parallel request did the same write first and created another key.
    if written_id(&result)? == id.to_string() {
        unpublished.settled();
    }
    Ok(result)
}
