//! `GET /api/v1/apps/{appUuid}/jwks.json`: an app's public signing keys as a JSON Web Key Set, for anyone.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    domain::{AppId, SigningKey},
    http::{CacheControl, Envelope, Failure, FailureKind, Fault, Request, Response},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "GET /api/v1/apps/{appUuid}/jwks.json",
    envelope: Envelope::List,
    is_public: true,
    calls_secrets_manager: false,
    deadline: Route::DEADLINE,
};

/// Answers with the keys in use, previous and standby; those of a disabled app too, since tokens in flight must still verify.
///
/// # Errors
/// E4040 for an unknown app or a malformed id; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let app_id: AppId = request.app_id().and_then(|id| id.parse().ok()).ok_or(FailureKind::NotFound)?;
    let app = services.store.find_app(app_id).await?.ok_or(FailureKind::NotFound)?;
    let keys = app.signing_keys.published().into_iter().map(Jwk::new).collect::<Result<_, _>>()?;
    Ok(Response::success(200, &KeySet { keys })?.revalidated(&request, CacheControl::PublicUntilUse))
}

/// RFC 7517, section 5.
#[derive(Serialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// RFC 7517, section 4; RFC 7518, section 6.3.1.
#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    n: String,
    e: String,
}

impl Jwk {
    fn new(key: &SigningKey) -> Result<Self, Failure> {
        let (n, e) = key
            .public_key
            .jwk_components()
            .map_err(|error| format!("signing key {}: what is stored is {error}", key.id))
            .map_err(|cause| Failure::fault(Fault::CorruptItem, cause))?;
        Ok(Self { kty: "RSA", r#use: "sig", alg: "RS256", kid: key.id.to_string(), n, e })
    }
}
