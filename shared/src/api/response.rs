use std::{borrow::Cow, io};

use serde::Serialize;

use super::{
    envelope::Envelope,
    failure::{Failure, FailureKind},
    route::Route,
};
use crate::{
    domain::{SigningKeys, Timestamp, sha256_hex},
    http::{Payload, Request, Response, StatusCode},
};

const CACHE_CONTROL: &str = "cache-control";

/// The `cache-control` of a response that is not `no-store` (RFC 9111).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheControl {
    /// For the keys: the caller may store them, and revalidates them before each use.
    PrivateNoCache,
    /// For the JWKS: any cache may store it, for as long as a key must be published before its use.
    PublicUntilUse,
}

impl CacheControl {
    fn value(self) -> Cow<'static, str> {
        match self {
            Self::PrivateNoCache => "private, no-cache".into(),
            Self::PublicUntilUse => format!("public, max-age={}", SigningKeys::PUBLISHED_BEFORE_USE.as_secs()).into(),
        }
    }
}

/// Serializes a body as JSON.
pub fn json(body: &impl Serialize) -> Result<String, Failure> {
    // A growing buffer would leave unwiped parts of a secret in memory.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body).map_err(Failure::internal)?;
    let mut json = Vec::with_capacity(length.0);
    serde_json::to_writer(&mut json, body).map_err(Failure::internal)?;
    String::from_utf8(json).map_err(|_| Failure::internal("JSON that is not UTF-8"))
}

/// Creates a response that no cache may store.
#[must_use]
pub fn uncacheable(status: StatusCode, body: String) -> Response {
    Response::new(status, body).with_header(CACHE_CONTROL, "no-store")
}

/// Creates a response that caches may store: 200 with a strong `etag`, or an empty 304 if `if-none-match` names the
/// etag (RFC 9110, section 13.1.2).
#[must_use]
pub fn cacheable(request: &Request, body: String, cache_control: CacheControl) -> Response {
    let etag = strong_etag(&sha256_hex(body.as_bytes()));
    let is_known =
        request.header("if-none-match").is_some_and(|tags| matches_etag(&tags, "*") || matches_etag(&tags, &etag));
    let response = if is_known {
        Response::new(StatusCode::NOT_MODIFIED, String::new())
    } else {
        Response::new(StatusCode::OK, body)
    };
    response.with_header(CACHE_CONTROL, cache_control.value()).with_header("etag", etag)
}

#[must_use]
pub fn failure(envelope: Envelope, kind: FailureKind) -> Response {
    uncacheable(kind.status(), envelope.failure(kind))
}

/// Adds the headers that every response of the route has.
#[must_use]
pub fn complete(
    response: Response,
    route: &Route,
    request: &Request,
    api_key_expires_at: Option<Timestamp>,
) -> Payload {
    let status = response.status();
    let mut response =
        response.with_header("content-type", "application/json").with_header("x-request-id", request.id().to_owned());
    if route.is_cross_origin() {
        // <https://fetch.spec.whatwg.org/#http-cors-protocol>
        response = response.with_header("access-control-allow-origin", "*");
    }
    if let Some(expires_at) = api_key_expires_at.filter(|_| status != StatusCode::UNAUTHORIZED) {
        response = response.with_header("x-api-key-expires-at", expires_at.to_string());
    }
    if status == StatusCode::UNAUTHORIZED {
        response = response.with_header("www-authenticate", r#"ApiKey realm="userdocks""#);
    }
    response.into_payload(request.format())
}

/// Returns a strong etag: the first half of a SHA-256.
#[must_use]
pub fn strong_etag(sha256_hex: &str) -> String {
    format!("\"{}\"", sha256_hex.get(..32).unwrap_or_default())
}

/// Returns whether an `if-none-match` names the etag. The comparison is weak (RFC 9110, section 8.8.3.2).
#[must_use]
pub fn matches_etag(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{api::LegacySuccess, http::Method};

    const ROUTE: Route = Route::read("/test", Envelope::List);

    fn request(if_none_match: &str) -> Request {
        let context = json!({"http": {"method": "GET"}});
        let event = json!({"requestContext": context, "headers": {"if-none-match": if_none_match}});
        Request::read(&event.to_string(), "id")
    }

    fn payload(response: Response, route: &Route) -> Value {
        serde_json::to_value(complete(response, route, &request(""), None)).unwrap()
    }

    #[test]
    fn response_has_headers_of_contract() {
        let success = payload(uncacheable(StatusCode::OK, "1".to_owned()), &ROUTE);
        let expected = json!({"content-type": "application/json", "cache-control": "no-store", "x-request-id": "id"});
        assert_eq!((&success["headers"], &success["body"]), (&expected, &"1".into()));
        let unauthorized = payload(failure(Envelope::List, FailureKind::Unauthorized), &ROUTE);
        assert_eq!(unauthorized["headers"]["www-authenticate"], r#"ApiKey realm="userdocks""#);
        let public = payload(
            failure(Envelope::List, FailureKind::NotFound),
            &Route::public(Method::GET, "/test").cross_origin(),
        );
        assert_eq!(public["headers"]["access-control-allow-origin"], "*");
    }

    #[test]
    fn body_buffer_never_grows() {
        let secret = "s".repeat(1000);
        let body = json(&LegacySuccess::new("OK", &secret)).unwrap();
        assert!(body.contains(&secret));
        assert_eq!(body.capacity(), body.len());
    }

    #[test]
    fn matching_etag_returns_empty_304() {
        let respond =
            |tags: &str| payload(cacheable(&request(tags), "1".to_owned(), CacheControl::PrivateNoCache), &ROUTE);
        let fresh = respond("");
        let etag = fresh["headers"]["etag"].as_str().unwrap().to_owned();
        for matching in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let response = respond(&matching);
            assert_eq!((&response["statusCode"], &response["body"]), (&304.into(), &"".into()), "{matching}");
            assert_eq!(response["headers"], fresh["headers"]);
        }
        for other in ["", "\"other\"", etag.trim_matches('"')] {
            assert_eq!(respond(other)["statusCode"], 200, "{other}");
        }
    }
}
