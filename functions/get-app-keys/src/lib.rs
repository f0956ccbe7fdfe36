//! `GET /api/v1/apps/{appUuid}/keys`: an app's public signing keys, the one in use first.

use std::sync::Arc;

use userdocks::{
    domain::ApiKeyType,
    http::{CacheControl, Envelope, Failure, ListSuccess, ListedSigningKey, Request, Response},
    runtime::{Route, Services},
};

/// The route of this function.
pub const ROUTE: Route = Route {
    name: "GET /api/v1/apps/{appUuid}/keys",
    envelope: Envelope::List,
    is_public: false,
    calls_secrets_manager: false,
    deadline: Route::DEADLINE,
};

/// Answers with the keys that tokens of the app can be verified with, to a caller with a read key.
///
/// # Errors
/// The contract's failures of authentication; E0000 where the table fails.
pub async fn handle(request: Arc<Request>, services: Arc<Services>) -> Result<Response, Failure> {
    let caller = request.authenticate(ApiKeyType::Read, &services.store).await?;
    let keys = caller.app().signing_keys.listed();
    let answer = ListSuccess::new("appKeys", keys.into_iter().map(ListedSigningKey::new).collect());
    Ok(Response::success(200, &answer)?.revalidated(&request, CacheControl::PrivateNoCache))
}
