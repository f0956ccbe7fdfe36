//! `POST /api/v1/leaks`: revokes API keys that were found in public, in the format of GitHub's secret scanning.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use userdocks::{
    api::{Context, Failure, FailureKind, Fault, Route, json, success},
    domain::{ApiKey, ApiKeyHash, ApiKeyStatus, ApiKeyType, ApiKeyValue, ApiKeys, AppId},
    http::{MalformedBody, Method, Response, StatusCode},
};

/// A report of 1,000 keys takes several look-ups and as many writes; API Gateway waits for 30 seconds.
const DEADLINE: Duration = Duration::from_secs(25);

pub const ROUTE: Route = Route::public(Method::POST, "/api/v1/leaks").with_deadline(DEADLINE);

const MAX_BYTES: usize = 262_144;
const MAX_TOKENS: usize = 1_000;

/// The element of a report. Other fields are ignored.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct Leak {
    token: String,
    /// For the log, so it is dropped if it contains the token.
    url: Option<String>,
}

/// A derived `Deserialize` accepts an array, too.
impl TryFrom<Map<String, Value>> for Leak {
    type Error = MalformedBody;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, MalformedBody> {
        let (Some(Value::String(token)), url) = (fields.remove("token"), fields.remove("url")) else {
            return Err(MalformedBody);
        };
        let url = url.and_then(|url| url.as_str().map(str::to_owned)).filter(|url| !url.contains(&token));
        Ok(Self { token, url })
    }
}

#[derive(Serialize)]
struct Received {
    received: usize,
}

/// Revokes the reported keys that are active. The response tells nothing about them.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let text = cx.request.body_text().filter(|text| text.len() <= MAX_BYTES).ok_or(FailureKind::BadRequest)?;
    let leaks: Vec<Leak> = serde_json::from_str(&text).map_err(|_| FailureKind::BadRequest)?;
    if !(1..=MAX_TOKENS).contains(&leaks.len()) {
        return Err(FailureKind::BadRequest.into());
    }
    let received = leaks.len();
    let urls: BTreeMap<String, Option<String>> = leaks
        .into_iter()
        .filter_map(|leak| Some((ApiKeyValue::from_leak_report(&leak.token)?.hash().as_str().to_owned(), leak.url)))
        .collect();
    revoke_all(&cx, &urls).await?;
    Ok(success(StatusCode::ACCEPTED, json(&Received { received })?))
}

async fn revoke_all(cx: &Context, urls: &BTreeMap<String, Option<String>>) -> Result<(), Failure> {
    /// More at a time would only be throttled.
    const AT_A_TIME: usize = 8;
    let store = &cx.services.store;
    let hashes: Vec<ApiKeyHash> = urls.keys().filter_map(|hash| hash.parse().ok()).collect();
    let (keys, corrupt) = store.find_api_keys(&hashes).await?;
    let active = keys.into_iter().filter(|(_, key)| key.status(cx.now) == ApiKeyStatus::Active);
    let url = |key: &ApiKey| urls.get(key.hash.as_str()).and_then(Option::as_deref);
    let revoke = async |(app, key): (AppId, ApiKey)| revoke(cx, app, &key, url(&key)).await;
    stream::iter(active.map(Ok)).try_for_each_concurrent(AT_A_TIME, revoke).await?;
    // Only after the readable keys are revoked.
    match corrupt.into_iter().next() {
        Some(corrupt) => Err(Failure::fault(Fault::CorruptItem, corrupt)),
        None => Ok(()),
    }
}

async fn revoke(cx: &Context, app: AppId, key: &ApiKey, url: Option<&str>) -> Result<(), Failure> {
    const URL_CHARACTERS: usize = 512;
    if cx.services.store.revoke_leaked_api_key(app, &key.hash, cx.now).await? {
        let issued = issued_by(cx, app, key).await;
        let url: Option<String> = url.map(|url| url.chars().take(URL_CHARACTERS).collect());
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
