use std::{borrow::Cow, net::IpAddr, str};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};

use super::event::{Event, PayloadFormat};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is malformed")]
pub struct MalformedBody;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a query parameter is malformed")]
pub struct MalformedParameter;

/// A request from API Gateway. It holds a presented API key, so it has no `Debug`.
pub struct Request {
    id: String,
    event: Event,
}

impl Request {
    /// Reads an event. An unreadable event becomes a request without headers, so that it gets a response, too.
    ///
    /// Uses `invocation_id` if the gateway's request id is missing or not usable.
    #[must_use]
    pub fn read(event: &str, invocation_id: &str) -> Self {
        let mut event = Event::read(event).unwrap_or_default();
        let id = event.request_id.take().filter(|id| is_header_value(id));
        Self { id: id.unwrap_or_else(|| invocation_id.to_owned()), event }
    }

    /// Returns API Gateway's id of the request, else the invocation's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn format(&self) -> PayloadFormat {
        self.event.format
    }

    /// Returns the caller's address, as API Gateway saw it.
    #[must_use]
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.event.source_ip
    }

    /// Returns a header's value; values of a repeated header are joined with commas, as API Gateway joins them. `None`
    /// if the header is absent or not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.event.headers.get_all(name).iter().map(|value| str::from_utf8(value.as_bytes()));
        let first = values.next()?.ok()?;
        let mut joined = Cow::Borrowed(first);
        for value in values {
            joined = Cow::Owned(format!("{joined},{}", value.ok()?));
        }
        Some(joined)
    }

    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.event.path_parameters.get(name).map(String::as_str)
    }

    /// Returns the value of a query parameter that has a few allowed values; `None` if it is absent.
    pub fn query_choice(
        &self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<Option<&'static str>, MalformedParameter> {
        let mut values = self.event.query.iter().filter(|(parameter, _)| parameter == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        let choice = choices.iter().find(|choice| *choice == value).filter(|_| values.next().is_none());
        choice.map(|choice| Some(*choice)).ok_or(MalformedParameter)
    }

    /// Returns the query string; without one in the event, a text that is equal for equal parameters.
    #[must_use]
    pub fn query(&self) -> Cow<'_, str> {
        if let Some(raw) = &self.event.raw_query {
            return Cow::Borrowed(raw);
        }
        let mut parameters: Vec<_> = self.event.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parameters.sort();
        Cow::Owned(parameters.join("&"))
    }

    /// Returns the body as text, which is empty if there is no body. Returns `None` if the body is not UTF-8.
    #[must_use]
    pub fn body_text(&self) -> Option<Cow<'_, str>> {
        let body = self.event.body.as_deref().unwrap_or_default();
        if self.event.is_base64_encoded {
            let bytes = STANDARD.decode(body).ok()?;
            return String::from_utf8(bytes).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(body))
    }

    /// Parses the body, a JSON object. An absent or blank body is an empty object.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, MalformedBody> {
        let text = self.body_text().ok_or(MalformedBody)?;
        let text = if text.trim().is_empty() { "{}" } else { &text };
        // A derived `Deserialize` accepts an array, too.
        if !text.trim_start().starts_with('{') {
            return Err(MalformedBody);
        }
        serde_json::from_str(text).map_err(|_| MalformedBody)
    }

    /// Fails unless the body is absent, blank or an empty object.
    pub fn no_body(&self) -> Result<(), MalformedBody> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        self.body().map(|Nothing {}| ())
    }
}

fn is_header_value(text: &str) -> bool {
    /// Longer than any id of API Gateway's.
    const MAX_ID_LENGTH: usize = 128;
    !text.is_empty() && text.len() <= MAX_ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn v2(parts: &Value) -> Request {
        let mut event = json!({"version": "2.0", "requestContext": {"http": {"method": "GET"}}});
        event.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        read(&event)
    }

    fn v1(parts: &Value) -> Request {
        let context = json!({"httpMethod": "GET", "identity": {"sourceIp": "192.0.2.1"}});
        let mut event = json!({"version": "1.0", "httpMethod": "GET", "requestContext": context});
        event.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        read(&event)
    }

    fn read(event: &Value) -> Request {
        Request::read(&event.to_string(), "invocation")
    }

    #[test]
    fn header_names_are_case_insensitive() {
        let request = v2(&json!({"headers": {"X-Api-Key": "a", "Accept": "c"}}));
        assert_eq!(request.header("x-api-key").as_deref(), Some("a"));
        assert_eq!(request.header("accept").as_deref(), Some("c"));
        assert_eq!(request.header("other"), None);
    }

    #[test]
    fn repeated_header_of_format_1_is_joined() {
        let request = v1(&json!({
            "headers": {"X-Api-Key": "b"}, "multiValueHeaders": {"X-Api-Key": ["a", "b"], "Accept": ["c"]}
        }));
        assert_eq!(request.header("x-api-key").as_deref(), Some("a,b"));
        assert_eq!(request.header("accept").as_deref(), Some("c"));
        for none in [json!(null), json!({})] {
            let request = v1(&json!({"headers": {"X-Api-Key": "a"}, "multiValueHeaders": none}));
            assert_eq!(request.header("x-api-key").as_deref(), Some("a"));
        }
    }

    #[test]
    fn header_with_non_ascii_text_is_read() {
        assert_eq!(v2(&json!({"headers": {"x-api-key": "é"}})).header("x-api-key").as_deref(), Some("é"));
    }

    #[test]
    fn query_choice_accepts_one_known_value() {
        let choice = |request: Request| request.query_choice("force", &["true", "false"]);
        for absent in
            [json!({}), json!({"queryStringParameters": null}), json!({"queryStringParameters": {"a": "true"}})]
        {
            assert_eq!(choice(v2(&absent)), Ok(None), "{absent}");
            assert_eq!(choice(v1(&absent)), Ok(None), "{absent}");
        }
        for value in ["true", "false"] {
            let query = json!({"queryStringParameters": {"force": value}});
            assert_eq!(choice(v2(&query)), Ok(Some(value)));
            assert_eq!(choice(v1(&query)), Ok(Some(value)));
        }
        for malformed in ["1", "", "TRUE", "true,true", "true,false"] {
            let query = json!({"queryStringParameters": {"force": malformed}});
            assert_eq!(choice(v2(&query)), Err(MalformedParameter), "{malformed}");
        }
        let repeated = json!({
            "multiValueQueryStringParameters": {"force": ["true", "true"]}, "queryStringParameters": {"force": "true"}
        });
        assert_eq!(choice(v1(&repeated)), Err(MalformedParameter));
    }

    #[test]
    fn query_of_format_1_does_not_depend_on_order() {
        let query = |names: [&str; 2]| {
            v1(&json!({"queryStringParameters": {names[0]: "1", names[1]: "1"}})).query().into_owned()
        };
        assert_eq!(query(["a", "b"]), "a=1&b=1");
        assert_eq!(query(["b", "a"]), "a=1&b=1");
        assert_eq!(v2(&json!({"rawQueryString": "b=1&a=1"})).query(), "b=1&a=1");
    }

    #[test]
    fn body_that_is_not_text_is_not_empty() {
        for body in ["?", "/w=="] {
            assert_eq!(v2(&json!({"body": body, "isBase64Encoded": true})).body_text(), None, "{body}");
        }
        assert_eq!(v2(&json!({"body": null})).body_text().as_deref(), Some(""));
        assert_eq!(v2(&json!({"body": "e30=", "isBase64Encoded": true})).no_body(), Ok(()));
    }

    #[test]
    fn usable_id_of_gateway_is_taken() {
        let id =
            |id: &str| v2(&json!({"requestContext": {"requestId": id, "http": {"method": "GET"}}})).id().to_owned();
        assert_eq!(id("id="), "id=");
        for unusable in ["a\nb", "", &"a".repeat(129)] {
            assert_eq!(id(unusable), "invocation");
        }
    }

    #[test]
    fn source_address_is_read_in_both_formats() {
        let context = json!({"requestContext": {"http": {"method": "GET", "sourceIp": "2001:db8::1"}}});
        assert_eq!(v2(&context).source_ip(), "2001:db8::1".parse().ok());
        assert_eq!(v1(&json!({})).source_ip(), "192.0.2.1".parse().ok());
        for malformed in ["", "192.0.2.1:80", "fe80::1%eth0"] {
            let context = json!({"requestContext": {"http": {"method": "GET", "sourceIp": malformed}}});
            assert_eq!(v2(&context).source_ip(), None, "{malformed}");
        }
    }

    #[test]
    fn unreadable_event_is_request_without_headers() {
        for event in
            ["", "[]", "{}", r#"{"headers":{"x-api-key":"a"}}"#, r#"{"version":"2.0","headers":{"x-api-key":"a"}}"#]
        {
            let request = Request::read(event, "invocation");
            assert_eq!((request.header("x-api-key"), request.id()), (None, "invocation"), "{event}");
        }
    }

    proptest! {
        #[test]
        fn any_event_is_read(text in ".*", headers in ".*", query in ".*") {
            let _ = Request::read(&text, "invocation");
            let request = v2(&json!({"headers": {"x-api-key": headers}, "rawQueryString": query}));
            prop_assert!(request.path_parameter("appId").is_none());
        }
    }
}
