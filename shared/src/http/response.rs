use std::{borrow::Cow, fmt::Display, io};

use serde::{Serialize, Serializer, ser::SerializeMap};
use zeroize::Zeroizing;

use super::{Envelope, Failure, FailureKind, Request};
use crate::domain::{SigningKeys, hexadecimal};

/// What caches may do with an answer (RFC 9111).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheControl {
    /// Secrets, writes and every failure.
    NoStore,
    /// The keys: kept by their caller alone, and asked about each time.
    PrivateNoCache,
    /// The JWKS: kept by anyone, no longer than a key is published before it is put in use.
    PublicUntilUse,
}

impl CacheControl {
    fn value(self) -> Cow<'static, str> {
        match self {
            Self::NoStore => "no-store".into(),
            Self::PrivateNoCache => "private, no-cache".into(),
            Self::PublicUntilUse => format!("public, max-age={}", SigningKeys::PUBLISHED_BEFORE_USE.as_secs()).into(),
        }
    }
}

/// An answer. It may hold a secret: there is no `Debug`, and the body is wiped when dropped.
pub struct Response {
    status: u16,
    body: Zeroizing<String>,
    cache_control: CacheControl,
    etag: Option<String>,
    subject: Option<String>,
}

impl Response {
    /// A success that no cache may keep.
    ///
    /// # Errors
    /// The body can't be written as JSON.
    pub fn success(status: u16, body: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self::of_json(status, Self::body_of(body)?))
    }

    /// A body as it is sent. Its length is found out first: a buffer that grew would leave parts of a secret behind, unwiped.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn body_of(body: &impl Serialize) -> Result<String, Failure> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, body).map_err(Failure::internal)?;
        let mut json = Vec::with_capacity(length.0);
        serde_json::to_writer(&mut json, body).map_err(Failure::internal)?;
        String::from_utf8(json).map_err(|_| Failure::internal("JSON that is not UTF-8"))
    }

    /// A success that no cache may keep, with a body that is JSON already.
    #[must_use]
    pub fn of_json(status: u16, body: String) -> Self {
        Self { status, body: body.into(), cache_control: CacheControl::NoStore, etag: None, subject: None }
    }

    /// Says for the log what was handed out or changed: a secret's version or a signing key, by its id.
    #[must_use]
    pub fn about(self, subject: impl Display) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    /// The same answer for a caller that may keep it and ask whether it still holds: with a strong `etag`, and an
    /// empty 304 to an `if-none-match` that names it (RFC 9110, section 13.1.2).
    #[must_use]
    pub fn revalidated(mut self, request: &Request, cache_control: CacheControl) -> Self {
        let etag = etag(&self.body);
        if request.header("if-none-match").is_some_and(|tags| names(tags, &etag)) {
            self.status = 304;
            self.body.clear();
        }
        Self { cache_control, etag: Some(etag), ..self }
    }

    /// A failure in the route's envelope.
    #[must_use]
    pub fn failure(envelope: Envelope, kind: FailureKind) -> Self {
        Self::of_json(kind.status(), envelope.failure(kind))
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What was handed out or changed, for the log.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The answer as API Gateway wants it, in the request's payload format, with all headers of the contract.
    /// That of a public route may be read by scripts of any origin (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
    #[must_use]
    pub fn into_payload(self, request: &Request, is_public: bool) -> Payload {
        Payload {
            response: self,
            request_id: request.id().to_owned(),
            has_cookies: request.is_of_payload_format_2(),
            is_public,
        }
    }
}

/// Counts what is written to it.
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

/// An answer on its way to API Gateway.
pub struct Payload {
    response: Response,
    request_id: String,
    has_cookies: bool,
    is_public: bool,
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut payload = serializer.serialize_map(None)?;
        payload.serialize_entry("statusCode", &self.response.status)?;
        payload.serialize_entry("headers", &Headers(self))?;
        payload.serialize_entry("body", self.response.body.as_str())?;
        payload.serialize_entry("isBase64Encoded", &false)?;
        // cargo-lambda's emulator does not do without; a REST API takes nothing that payload format 1.0 does not have.
        if self.has_cookies {
            payload.serialize_entry("cookies", &[(); 0])?;
        }
        payload.end()
    }
}

struct Headers<'a>(&'a Payload);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Payload { response, request_id, is_public, .. } = self.0;
        let mut headers = serializer.serialize_map(None)?;
        headers.serialize_entry("content-type", "application/json")?;
        headers.serialize_entry("cache-control", &response.cache_control.value())?;
        headers.serialize_entry("x-request-id", request_id)?;
        if let Some(etag) = &response.etag {
            headers.serialize_entry("etag", etag)?;
        }
        if *is_public {
            headers.serialize_entry("access-control-allow-origin", "*")?;
        }
        if response.status == 401 {
            headers.serialize_entry("www-authenticate", r#"ApiKey realm="userdocks""#)?;
        }
        headers.end()
    }
}

/// The first half of the body's SHA-256.
fn etag(body: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    format!("\"{}\"", hexadecimal(digest.as_ref().get(..16).unwrap_or_default()))
}

/// Whether an `if-none-match` names the tag; it compares weakly (RFC 9110, section 8.8.3.2).
fn names(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Timestamp, http::LegacySuccess};

    fn request(if_none_match: &str) -> Request {
        let event = serde_json::json!({"version": "2.0", "headers": {"if-none-match": if_none_match}}).to_string();
        Request::read(&event, "id", Timestamp::now())
    }

    fn payload(response: Response) -> String {
        serde_json::to_string(&response.into_payload(&request(""), false)).unwrap()
    }

    #[test]
    fn an_answer_is_un_chunked_json_with_the_contracts_headers() {
        let success = payload(Response::success(200, &1).ok().unwrap());
        assert_eq!(
            success,
            r#"{"statusCode":200,"headers":{"content-type":"application/json","cache-control":"no-store","x-request-id":"id"},"body":"1","isBase64Encoded":false,"cookies":[]}"#
        );
        let failure = payload(Response::failure(Envelope::List, FailureKind::Unauthorized));
        assert!(failure.contains(
            r#""cache-control":"no-store","x-request-id":"id","www-authenticate":"ApiKey realm=\"userdocks\"""#
        ));
    }

    #[test]
    fn body_buffer_never_grows() {
        let secret = "s".repeat(1000);
        let body = Response::body_of(&LegacySuccess::new("OK", &secret)).ok().unwrap();
        assert!(body.contains(&secret));
        assert_eq!(body.capacity(), body.len());
    }

    /// It answers 502 to a payload with anything else in it.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>
    #[test]
    fn a_rest_api_gets_what_payload_format_1_has() {
        for event in [r#"{"version":"1.0"}"#, "{}"] {
            let request = Request::read(event, "id", Timestamp::now());
            let payload = Response::success(200, &1).ok().unwrap().into_payload(&request, false);
            let payload = serde_json::to_value(&payload).unwrap();
            let mut names: Vec<_> = payload.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["body", "headers", "isBase64Encoded", "statusCode"], "{event}");
        }
    }

    #[test]
    fn a_matching_tag_is_answered_with_304_and_no_body() {
        let respond = |tags: &str| {
            let response = Response::success(200, &1).ok().unwrap();
            response.revalidated(&request(tags), CacheControl::PrivateNoCache)
        };
        let etag = respond("").etag.unwrap();
        for matching in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let response = respond(&matching);
            assert_eq!((response.status, response.body.as_str()), (304, ""), "{matching}");
            assert_eq!(response.etag, Some(etag.clone()));
        }
        for other in ["", "\"other\"", etag.trim_matches('"')] {
            assert_eq!(respond(other).status, 200, "{other}");
        }
    }
}
