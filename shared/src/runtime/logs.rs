use std::{env, io, str::FromStr};

use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::Route;
use crate::{
    domain::AppId,
    http::{Failure, FailureKind, Fault, Request, Response},
};

/// JSON lines on standard output, at the level that Lambda's logging controls set (`AWS_LAMBDA_LOG_LEVEL`, else INFO).
/// Libraries only warn, and nothing is ever as verbose as TRACE: below that their lines may hold whole payloads.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
pub fn start() {
    let asked = env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    let level = asked.and_then(|name| Level::from_str(&name).ok()).unwrap_or(Level::INFO).min(Level::DEBUG);
    let json =
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(io::stdout);
    let filter = Targets::new().with_default(Level::WARN.min(level)).with_target("userdocks", level);
    tracing_subscriber::registry().with(filter).with(json).init();
    std::panic::set_hook(Box::new(|panic| tracing::error!(cause = %panic, "panic")));
}

/// The one line about a start. The first request's line then finds its code loaded.
pub fn ready(route: &Route) {
    tracing::info!(route = route.name, "ready");
}

/// The one line about a request, which is its audit record too: who asked for what from where, and what came of it.
pub fn request(route: &Route, request: &Request, outcome: &Result<Response, Failure>) {
    let (status, code, cause) = match outcome {
        Ok(response) => (response.status(), "OK", None),
        Err(failure) => (failure.kind.status(), failure.kind.code(), failure.cause.as_deref()),
    };
    let fault = outcome.as_ref().err().and_then(|failure| failure.fault).map(Fault::name);
    let handed_out = outcome.as_ref().ok().and_then(Response::subject).map(str::to_owned);
    let subject = handed_out.or_else(|| request.signing_key_id().ok().map(|id| id.to_string()));
    let source_ip = request.source_ip().map(|address| address.to_string());
    let app_id = request.app_id().and_then(|id| id.parse::<AppId>().ok()).map(|id| id.to_string());
    // Only where it is so: most lines do without.
    let replayed = request.is_replay().then_some(true);
    let key_id = request.api_key().map(|id| id.to_string());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                requestId = request.id(),
                route = route.name,
                appId = app_id,
                keyId = key_id,
                sourceIp = source_ip,
                subject,
                replayed,
                code,
                status,
                fault,
                cause,
                "request"
            )
        };
    }
    match outcome {
        Err(failure) if failure.kind == FailureKind::Internal => line!(error),
        Err(Failure { kind: FailureKind::Unauthorized, cause: Some(_), .. }) => line!(warn),
        _ => line!(info),
    }
}
