use std::{env, io, str::FromStr};

use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    api::{Context, Failure, FailureKind, Fault, Route},
    http::Response,
};

/// The log target of this library.
const LIBRARY: &str = env!("CARGO_CRATE_NAME");

/// Starts logging JSON lines to standard output, at the level of Lambda's logging controls (`AWS_LAMBDA_LOG_LEVEL`,
/// default INFO).
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
pub fn start(function_crate: &'static str) {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|name| Level::from_str(&name).ok());
    let json =
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(io::stdout);
    tracing_subscriber::registry().with(filter(function_crate, level.unwrap_or(Level::INFO))).with(json).init();
    std::panic::set_hook(Box::new(|panic| tracing::error!(cause = %panic, "panic")));
}

/// Other libraries log only warnings. TRACE is never enabled, because its lines may hold whole payloads.
fn filter(function_crate: &'static str, level: Level) -> Targets {
    let level = level.min(Level::DEBUG);
    Targets::new().with_default(Level::WARN.min(level)).with_targets([(LIBRARY, level), (function_crate, level)])
}

/// Logs that the function is ready. This also loads the code that logs a request.
pub fn ready(route: &Route) {
    tracing::info!(%route, "ready");
}

/// Logs the line of a request, which is also its audit record.
pub fn request(context: &Context, outcome: &Result<Response, Failure>) {
    let Context { request, audit, .. } = context;
    let failure = outcome.as_ref().err();
    let (status, code) = match outcome {
        Ok(response) => (response.status(), "OK"),
        Err(failure) => (failure.kind.status(), failure.kind.code()),
    };
    let cause = failure.and_then(|failure| failure.cause.as_deref());
    let fault = failure.and_then(|failure| failure.fault).map(Fault::name);
    let subject = audit.subject().map(str::to_owned);
    let subject = subject.or_else(|| context.signing_key_id().ok().map(|id| id.to_string()));
    let source_ip = request.source_ip().map(|address| address.to_string());
    let app_id = context.app_id().map(|id| id.to_string());
    // `None` leaves the field out of lines that are not replays.
    let replayed = audit.is_replay().then_some(true);
    let key_id = audit.api_key().map(|id| id.to_string());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                requestId = request.id(),
                route = %context.route(),
                appId = app_id,
                keyId = key_id,
                sourceIp = source_ip,
                subject,
                replayed,
                code,
                status = status.as_u16(),
                fault,
                cause,
                "request"
            )
        };
    }
    match failure {
        Some(Failure { kind: FailureKind::Internal, .. }) => line!(error),
        Some(Failure { kind: FailureKind::Unauthorized, cause: Some(_), .. }) => line!(warn),
        _ => line!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_function_crate_are_logged() {
        let filter = filter("get_app_keys", Level::INFO);
        assert!(filter.would_enable("get_app_keys", &Level::INFO));
        assert!(filter.would_enable("userdocks::runtime::logs", &Level::INFO));
        assert!(!filter.would_enable("hyper", &Level::INFO) && filter.would_enable("hyper", &Level::WARN));
    }

    #[test]
    fn trace_is_never_enabled() {
        assert!(!filter("get_app_keys", Level::TRACE).would_enable("get_app_keys", &Level::TRACE));
    }
}
