//! `POST /api/v1/apps/{appId}/secrets`: replaces an app's secret; the one before is handed out for a while longer.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use userdocks::{
    domain::{App, Secret, SecretVersionId, Timestamp},
    http::{Envelope, Failure, FailureKind, LegacySuccess, NewWrite, Request, Response, Write},
    rotation::{self, PreparedRotation},
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

impl Rotation {
    /// A rotation that was done before, if its secret is still returned: the secret that a later rotation replaced for good
    /// may be one that a thief knows.
    fn replayed(stored: &str, app: &App, now: Timestamp) -> Result<Self, Failure> {
        let rotation: Self = serde_json::from_str(stored).map_err(Failure::internal)?;
        if app.returns(rotation.version()?, now) {
            Ok(rotation)
        } else {
            let cause = "the secret that this Idempotency-Key created was replaced by later rotations";
            Err(Failure::new(FailureKind::Conflict, cause))
        }
    }

    fn version(&self) -> Result<SecretVersionId, Failure> {
        self.version.parse().map_err(Failure::internal)
    }
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
/// The contract's failures of authentication; E4010 to a browser; E4000 for a malformed body; E4090 if another change won,
/// there were too many rotations, or a repeated write's secret is no longer returned; E0000 if a service fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    request.refuse_browser()?;
    let (app, rotation) = match request.authenticate_write(ROUTE.name, &services.store).await? {
        Write::Done { app, answer } => (app.id, Rotation::replayed(&answer, &app, request.received_at())?),
        Write::New(write) => (write.app().id, rotate(&request, &services, write).await?),
    };
    let version = rotation.version()?;
    let secret = services.secrets.app_secret(app, version).await?;
    let data = Data { secret: secret.expose(), previous_expires_at: &rotation.previous_expires_at };
    Ok(Response::success(201, &LegacySuccess::new("Created", data))?.about(version))
}

async fn rotate(request: &Request, services: &Services, write: Box<NewWrite>) -> Result<Rotation, Failure> {
    let overlap = Duration::from_secs(request.body::<Body>()?.overlap_seconds);
    if overlap > App::MAX_OVERLAP {
        return Err(FailureKind::BadRequest.into());
    }
    let Services { store, secrets } = services;
    let (app, now) = (write.app().clone(), write.now());
    rotation::check_rate(secrets, app.id).await?;
    let prepared = PreparedRotation::new(secrets, app, &Secret::random()?, overlap, now).await?;
    let mine = Rotation { version: prepared.version().to_string(), previous_expires_at: (now + overlap).to_string() };
    let stored = serde_json::to_string(&mine).map_err(Failure::internal)?;
    match write.commit(store, prepared.app.clone(), stored.clone()).await {
        Ok(counts) if counts == stored => {
            prepared.finish(secrets).await;
            Ok(mine)
        }
        Err(failure) if failure.kind != FailureKind::Conflict => Err(failure),
        // Another change won, maybe this same write in a parallel request.
        other => {
            let id = prepared.app.id;
            prepared.abandon(secrets).await;
            let theirs = other?;
            let app =
                store.find_app(id).await?.ok_or_else(|| Failure::new(FailureKind::Conflict, "the app was deleted"))?;
            Rotation::replayed(&theirs, &app, now)
        }
    }
}
