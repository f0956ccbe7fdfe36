//! `POST /api/v1/apps/{appUuid}/api-keys`: creates an API key, which may replace another one.

use std::sync::Arc;

use serde::Deserialize;
use userdocks::{
    api::{
        Context, CreatedApiKey, Envelope, Failure, ListSuccess, ListedApiKey, Route, Write, json,
        optional_whole_number, uncacheable, written_id,
    },
    domain::{ApiKey, ApiKeyFields, ApiKeyRequest, IssuedApiKey, ReplacedApiKey},
    http::{Method, Response, StatusCode},
    store::ApiKeyChange,
};

pub const ROUTE: Route = Route::write(Method::POST, "/api/v1/apps/{appUuid}/api-keys", Envelope::List);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Body {
    r#type: Option<String>,
    name: Option<String>,
    #[serde(deserialize_with = "optional_whole_number")]
    expires_in_seconds: Option<u64>,
    allowed_cidrs: Option<Vec<String>>,
    replaces: Option<String>,
    #[serde(deserialize_with = "optional_whole_number")]
    overlap_seconds: Option<u64>,
}

/// Creates a key and returns its value, which no later response shows. A replaced key expires when the overlap ends, or
/// earlier.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let write = match cx.begin_write().await? {
        Write::Replay { result, .. } => {
            cx.audit.record_subject(written_id(&result)?);
            return Ok(uncacheable(StatusCode::CREATED, result));
        }
        Write::New(write) => write,
    };
    let (app, caller) = (write.app().id, write.caller().api_key().clone());
    let request = read_request(&cx, &caller)?;
    let mut keys = cx.api_keys(app).await?;
    let (IssuedApiKey { key, value }, retirement) = match request {
        ApiKeyRequest::New(request) => (keys.issue(request, Some(&caller), cx.now)?, None),
        ApiKeyRequest::Replacement(request) => {
            let ReplacedApiKey { issued, read, retired } = keys.replace(request, Some(&caller), cx.now)?;
            (issued, Some(ApiKeyChange::update(read, retired)))
        }
    };
    let changes = [ApiKeyChange::Create(key.clone().into())].into_iter().chain(retirement).collect();

    let body = |value: Option<&str>| {
        let key = CreatedApiKey { key: ListedApiKey::new(&key, caller.id, cx.now), value };
        json(&ListSuccess::new(ListedApiKey::KIND, vec![key]))
    };
    let without_value = body(None)?;
    let result = write.commit_api_keys(changes, without_value.clone()).await?;
    cx.audit.record_subject(written_id(&result)?);
    // If the results differ, a parallel request did the same write first and created another key.
    let is_mine = result == without_value;
    Ok(uncacheable(StatusCode::CREATED, if is_mine { body(Some(value.expose()))? } else { result }))
}

fn read_request(cx: &Context, caller: &ApiKey) -> Result<ApiKeyRequest, Failure> {
    let body: Body = cx.request.body()?;
    let fields = ApiKeyFields {
        kind: body.r#type.as_deref(),
        name: body.name.as_deref(),
        expires_in_seconds: body.expires_in_seconds,
        allowed_cidrs: body.allowed_cidrs.as_deref(),
        replaces: body.replaces.as_deref(),
        overlap_seconds: body.overlap_seconds,
    };
    Ok(fields.check(caller, cx.request.source_ip())?)
}
