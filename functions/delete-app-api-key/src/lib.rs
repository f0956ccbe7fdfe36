//! `DELETE /api/v1/apps/{appUuid}/api-keys/{apiKeyUuid}`: revokes an API key.

use std::sync::Arc;

use userdocks::{
    api::{Context, Envelope, Failure, ListSuccess, ListedApiKey, Route, Write, json, uncacheable, written_id},
    http::{Method, Response, StatusCode},
    store::ApiKeyChange,
};

pub const ROUTE: Route = Route::write(Method::DELETE, "/api/v1/apps/{appUuid}/api-keys/{apiKeyUuid}", Envelope::List);

/// Revokes a key, at once and permanently. The last active write key is revoked only with `?force=true`.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let write = match cx.begin_write().await? {
        Write::Replay { result, .. } => {
            cx.audit.record_subject(written_id(&result)?);
            return Ok(uncacheable(StatusCode::OK, result));
        }
        Write::New(write) => write,
    };
    let (app, caller) = (write.app().id, write.caller().api_key().clone());
    let id = cx.api_key_id(&caller)?;
    cx.request.no_body()?;
    let force = cx.request.query_choice("force", &["true", "false"])? == Some("true");
    cx.audit.record_subject(id);

    let mut keys = cx.api_keys(app).await?;
    let revoked = keys.revoke(id, force, cx.now)?;
    let listed = revoked.first().map(|(_, key)| ListedApiKey::new(key, caller.id, cx.now)).into_iter().collect();
    let result = json(&ListSuccess::new(ListedApiKey::KIND, listed))?;
    let changes = revoked.into_iter().filter(|(read, changed)| read != changed);
    let changes = changes.map(|(read, changed)| ApiKeyChange::update(read, changed)).collect();
    let result = write.commit_api_keys(changes, result).await?;
    Ok(uncacheable(StatusCode::OK, result))
}
