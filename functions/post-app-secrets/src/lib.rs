//! `POST /api/v1/apps/{appId}/secrets`: replaces an app's secret; the one before is handed out for a while longer.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use shared::{
    domain::{App, Secret, SecretVersionId},
    http::{Envelope, Failure, FailureKind, LegacySuccess, NewWrite, Request, Response, Write},
    rotation::PreparedRotation,
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "POST /api/v1/apps/{appId}/secrets",
    envelope: Envelope::Legacy,
    is_public: false,
    calls_secrets_manager: true,
    deadline: Route::DEADLINE,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    #[serde(default = "default_overlap", deserialize_with = "whole_number")]
    overlap_seconds: u64,
}

fn default_overlap() -> u64 {
    App::DEFAULT_OVERLAP.as_secs()
}

/// JSON has one kind of number: 3600.0 is as whole as 3600.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if number >= 0.0 && number.fract() == 0.0 { Ok(number as u64) } else { Err(Error::custom("not a whole number")) }
}

/// What is remembered of a rotation: enough to answer the same again, but never the secret.
#[derive(Serialize, Deserialize)]
struct Rotation {
    version: String,
    previous_expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    secret: &'a str,
    previous_expires_at: &'a str,
}

/// Hands out a new random secret from the next request on, and answers with it.
///
/// # Errors
/// The contract's failures of authentication; E4010 to a browser; E4000 for a malformed body; E4090 where another change won or there were
/// too many rotations; E0000 where a service fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    request.refuse_browser()?;
    let (app, rotation) = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { app, answer } => (app.id, answer),
        Write::New(write) => (write.app().id, rotate(&request, &services, write).await?),
    };
    let rotation: Rotation = serde_json::from_str(&rotation).map_err(Failure::internal)?;
    let version: SecretVersionId = rotation.version.parse().map_err(Failure::internal)?;
    let secret = services.secrets.app_secret(app, version).await?;
    let data = Data { secret: secret.expose(), previous_expires_at: &rotation.previous_expires_at };
    Ok(Response::success(201, &LegacySuccess::new("Created", data))?.about(version))
}

async fn rotate(request: &Request, services: &Services, write: Box<NewWrite>) -> Result<String, Failure> {
    let overlap = Duration::from_secs(request.body::<Body>()?.overlap_seconds);
    if overlap > App::MAX_OVERLAP {
        return Err(FailureKind::BadRequest.into());
    }
    let now = write.now();
    let prepared =
        PreparedRotation::new(&services.secrets, write.app().clone(), &Secret::random()?, overlap, now).await?;
    let mine = Rotation { version: prepared.version().to_string(), previous_expires_at: (now + overlap).to_string() };
    let mine = serde_json::to_string(&mine).map_err(Failure::internal)?;
    match write.commit(&services.store, prepared.app.clone(), mine.clone()).await {
        Ok(answer) if answer == mine => {
            prepared.finish(&services.secrets).await;
            Ok(answer)
        }
        Err(failure) if failure.kind != FailureKind::Conflict => Err(failure),
        // Another change won, maybe this same write in a parallel request.
        other => {
            prepared.abandon(&services.secrets).await;
            other
        }
    }
}
