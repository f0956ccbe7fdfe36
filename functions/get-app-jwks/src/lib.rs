//! `GET /api/v1/apps/{appUuid}/jwks.json`: publishes an app's signing keys as a JSON Web Key Set.

use std::sync::Arc;

use serde::Serialize;
use userdocks::{
    api::{CacheControl, Context, Failure, FailureKind, Fault, Route, cacheable, json},
    domain::SigningKey,
    http::{Method, Response},
};

pub const ROUTE: Route = Route::public(Method::GET, "/api/v1/apps/{appUuid}/jwks.json").cross_origin();

/// Returns the keys in use, previous and standby; also those of a disabled app, because its tokens in flight must still
/// verify.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let app_id = cx.app_id().ok_or(FailureKind::NotFound)?;
    let app = cx.services.store.find_app(app_id).await?.ok_or(FailureKind::NotFound)?;
    let keys = app.signing_keys.published().into_iter().map(Jwk::new).collect::<Result<_, _>>()?;
    Ok(cacheable(&cx.request, json(&KeySet { keys })?, CacheControl::PublicUntilUse))
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
            .map_err(|error| Failure::fault(Fault::CorruptItem, format_args!("signing key {}: {error}", key.id)))?;
        Ok(Self { kty: "RSA", r#use: "sig", alg: "RS256", kid: key.id.to_string(), n, e })
    }
}
