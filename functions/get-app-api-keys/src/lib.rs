//! `GET /api/v1/apps/{appUuid}/api-keys`: lists an app's API keys, without their values.

use std::sync::Arc;

use userdocks::{
    api::{Context, Envelope, Failure, ListSuccess, ListedApiKey, Route, json, uncacheable},
    http::{Response, StatusCode},
};

pub const ROUTE: Route = Route::read("/api/v1/apps/{appUuid}/api-keys", Envelope::List);

/// Returns all keys of the app, oldest first, except those that expired or were revoked over 30 days ago.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let caller = cx.authenticate().await?;
    let keys = cx.api_keys(caller.app().id).await?;
    let listed = keys.listed(cx.now).map(|key| ListedApiKey::new(key, caller.api_key().id, cx.now));
    let listed = listed.map(ListedApiKey::without_foreign_allow_list).collect();
    Ok(uncacheable(StatusCode::OK, json(&ListSuccess::new(ListedApiKey::KIND, listed))?))
}
