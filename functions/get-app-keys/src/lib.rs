//! `GET /api/v1/apps/{appUuid}/keys`: lists an app's public signing keys, the key in use first.

use std::sync::Arc;

use userdocks::{
    api::{CacheControl, Context, Envelope, Failure, ListSuccess, ListedSigningKey, Route, cacheable, json},
    http::Response,
};

pub const ROUTE: Route = Route::read("/api/v1/apps/{appUuid}/keys", Envelope::List);

/// Returns the keys that verify the app's tokens: the key in use and the previous keys.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let caller = cx.authenticate().await?;
    let keys = caller.app().signing_keys.listed().into_iter().map(ListedSigningKey::new).collect();
    Ok(cacheable(&cx.request, json(&ListSuccess::new("appKeys", keys))?, CacheControl::PrivateNoCache))
}
