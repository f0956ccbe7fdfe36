//! `POST /api/v1/leaks`: revokes API keys that were found in public, in the format of GitHub's secret scanning.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;
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
    let mut tokens = Tokens::new();
    for leak in &leaks {
        let token = leak.get("token").and_then(Value::as_str).ok_or(FailureKind::BadRequest)?;
        if let Some(key) = ApiKeyValue::from_leak_report(token) {
            let first = tokens.entry(key.hash()).or_insert(Token { text: token, url: None });
            first.url = first.url.or_else(|| leak.get("url").and_then(Value::as_str));
        }
    }
    revoke_all(&cx, &tokens).await?;
    Ok(uncacheable(StatusCode::ACCEPTED, json(&Received { received: leaks.len() })?))
}

/// The distinct tokens of a report that may be API keys.
type Tokens<'a> = HashMap<ApiKeyHash, Token<'a>>;

struct Token<'a> {
    text: &'a str,
    /// Where it was found. It is not to be trusted.
    url: Option<&'a str>,
}

/// Removes all reported tokens from a URL, decoded if only that shows them.
fn url_for_log(url: &str, tokens: &Tokens) -> String {
    const MAX_CHARACTERS: usize = 512;
    let decoded = percent_decode_str(url).decode_utf8_lossy();
    let mut texts: Vec<_> = tokens.values().map(|token| token.text).filter(|text| decoded.contains(text)).collect();
    // A token may be a part of another one.
    texts.sort_unstable_by_key(|text| Reverse(text.len()));
    let without_tokens = texts.iter().fold(decoded.into_owned(), |url, token| url.replace(token, "[key]"));
    let logged = if texts.is_empty() { url } else { &without_tokens };
    logged.chars().take(MAX_CHARACTERS).collect()
}

async fn revoke_all(cx: &Context, tokens: &Tokens<'_>) -> Result<(), Failure> {
    /// More at a time would only be throttled.
    const AT_A_TIME: usize = 8;
    let store = &cx.services.store;
    let hashes: Vec<ApiKeyHash> = tokens.keys().cloned().collect();
    let (keys, corrupt) = store.find_api_keys(&hashes).await?;
    let active = keys.into_iter().filter(|(_, key)| key.status(cx.now) == ApiKeyStatus::Active);
    let revoke = async |(app, key): (AppId, ApiKey)| {
        let url = tokens.get(&key.hash).and_then(|token| token.url);
        revoke(cx, app, &key, url.map(|url| url_for_log(url, tokens))).await
    };
    // A failure fails the request only after all keys were tried.
    let outcomes: Vec<_> = stream::iter(active).map(revoke).buffer_unordered(AT_A_TIME).collect().await;
    outcomes.into_iter().collect::<Result<(), _>>()?;
    match corrupt.into_iter().next() {
        Some(corrupt) => Err(StoreError::from(corrupt).into()),
        None => Ok(()),
    }
}

async fn revoke(cx: &Context, app: AppId, key: &ApiKey, url: Option<String>) -> Result<(), Failure> {
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
        Ok((keys, corrupt)) => {
            let keys = ApiKeys::new(keys);
            let ids = keys.issued_by(key.id, None).into_iter().map(|key| key.id.to_string());
            let unreadable = (!corrupt.is_empty()).then(|| format!("({} unreadable)", corrupt.len()));
            ids.chain(unreadable).collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("unknown: {error}"),
    }
}
