use std::borrow::Cow;

use lambda_http::http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeMap};
use zeroize::Zeroizing;

use super::event::PayloadFormat;

/// A response. It may hold a secret, so it has no `Debug`, and its body is wiped when dropped.
pub struct Response {
    status: StatusCode,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Zeroizing<String>,
}

impl Response {
    #[must_use]
    pub fn new(status: StatusCode, body: String) -> Self {
        Self { status, headers: Vec::with_capacity(8), body: body.into() }
    }

    /// Adds a header. `name` is in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    #[must_use]
    pub fn into_payload(self, format: PayloadFormat) -> Payload {
        Payload { response: self, format }
    }
}

/// A response in the form that API Gateway reads.
pub struct Payload {
    response: Response,
    format: PayloadFormat,
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Response { status, headers, body } = &self.response;
        let mut payload = serializer.serialize_map(None)?;
        payload.serialize_entry("statusCode", &status.as_u16())?;
        payload.serialize_entry("headers", &Headers(headers))?;
        payload.serialize_entry("body", body.as_str())?;
        payload.serialize_entry("isBase64Encoded", &false)?;
        // cargo-lambda's emulator requires cookies; REST APIs reject fields that are not of format 1.0.
        if self.format == PayloadFormat::V2 {
            payload.serialize_entry("cookies", &[(); 0])?;
        }
        payload.end()
    }
}

struct Headers<'a>(&'a [(&'static str, Cow<'static, str>)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(format: PayloadFormat) -> String {
        let response = Response::new(StatusCode::OK, "1".to_owned()).with_header("etag", "\"a\"");
        serde_json::to_string(&response.into_payload(format)).unwrap()
    }

    #[test]
    fn payload_of_format_2_has_cookies() {
        assert_eq!(
            payload(PayloadFormat::V2),
            r#"{"statusCode":200,"headers":{"etag":"\"a\""},"body":"1","isBase64Encoded":false,"cookies":[]}"#
        );
    }

    /// API Gateway returns 502 for other fields.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>
    #[test]
    fn payload_of_format_1_has_its_four_fields() {
        assert_eq!(
            payload(PayloadFormat::V1),
            r#"{"statusCode":200,"headers":{"etag":"\"a\""},"body":"1","isBase64Encoded":false}"#
        );
    }
}
