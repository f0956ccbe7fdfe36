//! `POST /api/v1/leaks`: revokes API keys that were found in public, in the format of GitHub's secret scanning.

mod report;

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};
use userdocks::{
    api::{Context, Failure, FailureKind, Route, json, uncacheable},
    http::{Method, Response, StatusCode},
};

use crate::report::Report;

/// A report of 1,000 keys takes 20 look-ups and up to 1,000 writes; API Gateway waits for 30 seconds.
const REPORT_DEADLINE: Duration = Duration::from_secs(25);

pub const ROUTE: Route = Route::public(Method::POST, "/api/v1/leaks").with_deadline(REPORT_DEADLINE);

const MAX_BODY_BYTES: usize = 262_144;
const MAX_TOKENS: usize = 1_000;

#[derive(Serialize)]
struct Received {
    received: usize,
}

/// Revokes the reported keys that are active. The response is the same whether or not a token is a key.
pub async fn handle(cx: Arc<Context>) -> Result<Response, Failure> {
    let body = cx.request.body_text().filter(|text| text.len() <= MAX_BODY_BYTES).ok_or(FailureKind::BadRequest)?;
    // A derived type would accept arrays in the place of objects.
    let leaks: Vec<Map<String, Value>> = serde_json::from_str(&body).map_err(|_| FailureKind::BadRequest)?;
    if !(1..=MAX_TOKENS).contains(&leaks.len()) {
        return Err(FailureKind::BadRequest.into());
    }
    let mut report = Report::default();
    for leak in &leaks {
        let token = leak.get("token").and_then(Value::as_str).ok_or(FailureKind::BadRequest)?;
        report.add(token, leak.get("url").and_then(Value::as_str));
    }
    report.revoke_keys(&cx).await?;
    Ok(uncacheable(StatusCode::ACCEPTED, json(&Received { received: leaks.len() })?))
}
