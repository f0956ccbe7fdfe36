//! `userdocks-admin signing-key …`

use serde_json::json;
use shared::{
    domain::{AppId, PublicKey, SigningKeyId, Timestamp},
    runtime::Services,
};

use crate::{AdminError, Answer, find_app, signing_key_json};

/// Lists an app's signing keys, oldest first.
///
/// # Errors
/// There is no such app; or DynamoDB fails, or the record is corrupt.
pub async fn list(services: &Services, app: AppId) -> Result<Answer, AdminError> {
    let app = find_app(services, app).await?;
    Ok(json!({ "signingKeys": app.signing_keys.iter().map(signing_key_json).collect::<Vec<_>>() }).into())
}

/// Takes in a public key, whose private half is kept elsewhere, and puts it in use.
///
/// # Errors
/// It is no RSA public key in SPKI PEM; there is no such app, a concurrent change won, or DynamoDB fails.
pub async fn import(services: &Services, app: AppId, pem: &str) -> Result<Answer, AdminError> {
    let public_key = PublicKey::import(pem)?;
    let mut app = find_app(services, app).await?;
    let now = Timestamp::now();
    app.signing_keys.add_in_use(SigningKeyId::random(), public_key, now);
    let app = services.store.update_app(app, now).await?;
    Ok(json!({ "signingKey": app.signing_keys.in_use().map(signing_key_json) }).into())
}
