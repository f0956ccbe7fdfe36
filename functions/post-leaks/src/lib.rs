//! `POST /api/v1/leaks`: revokes API keys that were found in public, in the format of GitHub's secret scanning.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value};
use userdocks::{
    api::{Context, Failure, FailureKind, Route, json, uncacheable},
    domain::{ApiKey, ApiKeyHash, ApiKeyStatus, ApiKeyType, ApiKeyValue, ApiKeys, AppId},
    http::{Method, Response, StatusCode},
    store::StoreError,
};

/// A report of 1,000 keys takes several look-ups and as many writes; API Gateway waits for 30 seconds.
const DEADLINE: Duration = Duration::from_secs(25);

pub const ROUTE: Route = Route::public(Method::POST, "/api/v1/leaks").with_deadline(DEADLINE);

const MAX_BYTES: usize = 262_144;
const MAX_TOKENS: usize = 1_000;

#[derive(Serialize)]
struct Received {
    received: usize,
}

/// Revokes the reported keys that are active. The response tells nothing about them.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let text = cx.request.body_text().filter(|text| text.len() <= MAX_BYTES).ok_or(FailureKind::BadRequest)?;
    // A derived type would accept arrays in the place of objects.
    let leaks: Vec<Map<String, Value>> = serde_json::from_str(&text).map_err(|_| FailureKind::BadRequest)?;
    if !(1..=MAX_TOKENS).contains(&leaks.len()) {
        return Err(FailureKind::BadRequest.into());
    }
    let mut urls = Urls::new();
    for leak in &leaks {
        let token = leak.get("token").and_then(Value::as_str).ok_or(FailureKind::BadRequest)?;
        if let Some(key) = ApiKeyValue::from_leak_report(token) {
            urls.insert(key.hash(), leak.get("url").and_then(Value::as_str).map(|url| url_for_log(url, token)));
        }
    }
    revoke_all(&cx, &urls).await?;
    Ok(uncacheable(StatusCode::ACCEPTED, json(&Received { received: leaks.len() })?))
}

/// The reported places of the tokens. They are not to be trusted.
type Urls = HashMap<ApiKeyHash, Option<String>>;

/// A URL may contain the key itself.
fn url_for_log(url: &str, token: &str) -> String {
    const MAX_CHARACTERS: usize = 512;
    url.replace(token, "[key]").chars().take(MAX_CHARACTERS).collect()
}

async fn revoke_all(cx: &Context, urls: &Urls) -> Result<(), Failure> {
    /// More at a time would only be throttled.
    const AT_A_TIME: usize = 8;
    let store = &cx.services.store;
    let hashes: Vec<ApiKeyHash> = urls.keys().cloned().collect();
    let (keys, corrupt) = store.find_api_keys(&hashes).await?;
    let active = keys.into_iter().filter(|(_, key)| key.status(cx.now) == ApiKeyStatus::Active);
    let revoke =
        async |(app, key): (AppId, ApiKey)| revoke(cx, app, &key, urls.get(&key.hash).and_then(Option::as_deref)).await;
    // A failure fails the request only after all keys were tried.
    let outcomes: Vec<_> = stream::iter(active).map(revoke).buffer_unordered(AT_A_TIME).collect().await;
    outcomes.into_iter().collect::<Result<(), _>>()?;
    match corrupt.into_iter().next() {
        Some(corrupt) => Err(StoreError::from(corrupt).into()),
        None => Ok(()),
    }
}

async fn revoke(cx: &Context, app: AppId, key: &ApiKey, url: Option<&str>) -> Result<(), Failure> {
    // Looked up first: no wait may come between the revocation and its log line.
    let issued = issued_by(cx, app, key).await;
    if cx.services.store.revoke_leaked_api_key(app, &key.hash, cx.now).await? {
        tracing::warn!(
            requestId = cx.request.id(),
            appId = %app,
            keyId = %key.id,
            issued,
            untrustedUrl = url,
            "API key revoked after a leak report"
        );
    }
    Ok(())
}

/// The ids of the keys that a leaked write key created, and those that these created: a thief may hold them.
async fn issued_by(cx: &Context, app: AppId, key: &ApiKey) -> String {
    if key.kind == ApiKeyType::Read {
        return String::new();
    }
    match cx.services.store.list_api_keys(app).await {
        Ok((keys, _)) => {
            let keys = ApiKeys::new(keys);
            let ids = keys.issued_by(key.id, None).into_iter().map(|key| key.id.to_string());
            ids.collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("unknown: {error}"),
    }
}
