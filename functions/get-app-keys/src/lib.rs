//! `GET /api/v1/apps/{appUuid}/keys`: an app's public signing keys, the one in use first.

use std::sync::Arc;

use serde::Serialize;
use shared::{
    domain::{ApiKeyType, SigningKey},
    http::{CacheControl, Envelope, Failure, ListSuccess, Request, Response},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route =
    Route { name: "GET /api/v1/apps/{appUuid}/keys", envelope: Envelope::List, deadline: Route::READ_DEADLINE };

/// Answers with the keys that tokens of the app can be verified with, to a caller with a read key.
///
/// # Errors
/// The contract's failures of authentication; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let caller = request.authenticate(ApiKeyType::Read, &services.store).await?;
    let keys = caller.app().signing_keys.listed();
    let answer = ListSuccess::new("appKeys", keys.into_iter().map(ListedKey::new).collect());
    Ok(Response::success(200, &answer)?.revalidated(&request, CacheControl::PrivateNoCache))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedKey<'a> {
    uuid: String,
    created_at: String,
    updated_at: String,
    r#type: KeyType,
    value: &'a str,
}

impl<'a> ListedKey<'a> {
    fn new(key: &'a SigningKey) -> Self {
        Self {
            uuid: key.id.to_string(),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            r#type: KeyType::PUBLIC,
            value: key.public_key.as_pem(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyType {
    uuid: &'static str,
    name: &'static str,
    created_at: &'static str,
    updated_at: &'static str,
}

impl KeyType {
    /// The one type of key that is ever listed, as seed 003 shows it; the platform's other types never leave it.
    const PUBLIC: Self = Self {
        uuid: "appkeytype_11111111-1111-1111-1111-111111111111",
        name: "public",
        created_at: "2026-01-01T00:00:00.000Z",
        updated_at: "2026-01-01T00:00:00.000Z",
    };
}
