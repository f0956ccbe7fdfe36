//! `POST /api/v1/apps/{appId}/secrets`: rotates an app's secret. GET can return the previous secret during an overlap.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use userdocks::{
    api::{
        Context, Envelope, Failure, FailureKind, LegacySuccess, NewWrite, Route, Write, json, uncacheable, whole_number,
    },
    domain::{App, Secret, SecretVersionId, Timestamp},
    http::{Method, Response, StatusCode},
    rotation::{self, PreparedRotation},
};

pub const ROUTE: Route = Route::write(Method::POST, "/api/v1/apps/{appId}/secrets", Envelope::Legacy)
    .with_secrets_manager()
    .without_browsers();

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    #[serde(default = "default_overlap", deserialize_with = "whole_number")]
    overlap_seconds: u64,
}

fn default_overlap() -> u64 {
    App::DEFAULT_OVERLAP.as_secs()
}

/// The stored result of a rotation; never the secret.
#[derive(Serialize, Deserialize)]
struct Rotation {
    version: String,
    previous_expires_at: String,
}

impl Rotation {
    /// Reads the stored result for a replay. Fails if GET no longer returns its secret, because a later rotation may
    /// have replaced a leaked secret.
    fn from_stored_result(stored: &str, app: &App, now: Timestamp) -> Result<Self, Failure> {
        let rotation: Self = serde_json::from_str(stored).map_err(Failure::internal)?;
        if app.returns(rotation.version()?, now) {
            Ok(rotation)
        } else {
            let cause = "later rotations have replaced the secret that this Idempotency-Key created";
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

/// Generates and returns a new secret. GET returns it from the next request on.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let (app, rotation) = match cx.begin_write().await? {
        Write::Replay { app, result } => (app.id, Rotation::from_stored_result(&result, &app, cx.now)?),
        Write::New(write) => (write.app().id, rotate(&cx, *write).await?),
    };
    let version = rotation.version()?;
    let secret = cx.services.secrets.app_secret(app, version).await?;
    cx.audit.record_subject(version);
    let data = Data { secret: secret.expose(), previous_expires_at: &rotation.previous_expires_at };
    Ok(uncacheable(StatusCode::CREATED, json(&LegacySuccess::new("Created", data))?))
}

async fn rotate(cx: &Context, write: NewWrite<'_>) -> Result<Rotation, Failure> {
    let overlap = Duration::from_secs(cx.request.body::<Body>()?.overlap_seconds);
    if overlap > App::MAX_OVERLAP {
        return Err(FailureKind::BadRequest.into());
    }
    let (app, now, secrets) = (write.app().clone(), cx.now, &cx.services.secrets);
    rotation::check_rate(secrets, app.id).await?;
    let prepared = PreparedRotation::new(secrets, app, &Secret::random()?, overlap, now).await?;
    let mine = Rotation { version: prepared.version().to_string(), previous_expires_at: (now + overlap).to_string() };
    let stored = serde_json::to_string(&mine).map_err(Failure::internal)?;
    match write.commit(prepared.app.clone(), stored.clone()).await {
        Ok(result) if result == stored => {
            let services = Arc::clone(&cx.services);
            cx.background.start(async move { prepared.finish(&services.secrets).await });
            Ok(mine)
        }
        Err(failure) if failure.kind != FailureKind::Conflict => Err(failure),
        // Another change won. It may be the same write in a parallel request.
        other => {
            let id = prepared.app.id;
            prepared.abandon(secrets).await;
            let theirs = other?;
            let app = cx.services.store.find_app(id).await?;
            let app = app.ok_or_else(|| Failure::new(FailureKind::Conflict, "the app was deleted"))?;
            Rotation::from_stored_result(&theirs, &app, now)
        }
    }
}
