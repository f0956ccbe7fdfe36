use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::Value;

use super::Failure;
use crate::{
    auth::{self, Caller, Credentials},
    domain::{ApiKeyId, ApiKeyType, Timestamp},
    store::Store,
};

/// A request as API Gateway hands it over (payload format 2.0). Whatever is malformed in the event reads as absent,
/// so that every event has an answer in the contract. It holds a presented API key: there is no `Debug`.
///
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
pub struct Request {
    id: String,
    received_at: Timestamp,
    event: Value,
    headers: BTreeMap<String, String>,
    api_key: OnceLock<ApiKeyId>,
}

impl Request {
    /// Reads the event; `invocation_id` names the request where the gateway gave it no usable id.
    #[must_use]
    pub fn read(event: &str, invocation_id: &str, received_at: Timestamp) -> Self {
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let gateway_id = event.pointer("/requestContext/requestId").and_then(Value::as_str);
        let id = gateway_id.filter(|id| is_header_value(id)).unwrap_or(invocation_id).to_owned();
        let headers = read_headers(event.get("headers"));
        Self { id, received_at, event, headers, api_key: OnceLock::new() }
    }

    /// The gateway's id of the request, for the answer's `x-request-id` and the log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A header's value, by its lower-case name; one that came several times is joined with commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path's app id as it was sent, under either of the two names that routes give it.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        let parameters = self.event.get("pathParameters")?;
        ["appId", "appUuid"].iter().find_map(|name| parameters.get(name)?.as_str())
    }

    /// The API key that was recognised, if one was, let in or not.
    #[must_use]
    pub fn api_key(&self) -> Option<ApiKeyId> {
        self.api_key.get().copied()
    }

    /// Lets in who presents a valid key of the `required` type for the path's app.
    ///
    /// # Errors
    /// The first row of the contract's table that applies.
    pub async fn authenticate(&self, required: ApiKeyType, store: &Store) -> Result<Caller, Failure> {
        let credentials = Credentials {
            api_key: self.header("x-api-key"),
            api_key_type: self.header("x-api-key-type"),
            client_id: self.header("x-client-id"),
            app_id: self.app_id(),
        };
        let outcome = auth::authenticate(credentials, required, store, self.received_at).await;
        let api_key = match &outcome {
            Ok(caller) => Some(caller.api_key().id),
            Err(error) => error.api_key(),
        };
        if let Some(api_key) = api_key {
            self.api_key.get_or_init(|| api_key);
        }
        Ok(outcome?)
    }
}

/// Lower-cases names and joins what differs only by case, as API Gateway joins repeated headers.
fn read_headers(headers: Option<&Value>) -> BTreeMap<String, String> {
    let mut read = BTreeMap::<String, String>::new();
    for (name, value) in headers.and_then(Value::as_object).into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        read.entry(name.to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    read
}

fn is_header_value(text: &str) -> bool {
    /// Longer than any id of API Gateway's.
    const MAX_LENGTH: usize = 128;
    !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(event: &str) -> Request {
        Request::read(event, "invocation", Timestamp::now())
    }

    #[test]
    fn header_names_are_case_insensitive_and_repeated_ones_are_joined() {
        let request = read(r#"{"headers":{"X-Api-Key":"a","x-api-key":"b","Accept":"c","x-number":5,"x-null":null}}"#);
        assert_eq!(request.header("x-api-key"), Some("a,b"));
        assert_eq!(request.header("accept"), Some("c"));
        assert_eq!(request.header("x-number"), None);
        assert_eq!(request.header("x-null"), None);
    }

    #[test]
    fn the_app_id_has_two_names() {
        assert_eq!(read(r#"{"pathParameters":{"appId":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appUuid":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appId":null,"appUuid":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appId":7}}"#).app_id(), None);
    }

    #[test]
    fn the_id_is_the_gateways_where_it_can_be_a_header() {
        assert_eq!(read(r#"{"requestContext":{"requestId":"id="}}"#).id(), "id=");
        for unusable in
            ["{}", r#"{"requestContext":{"requestId":"a\nb"}}"#, r#"{"requestContext":{"requestId":""}}"#, "no JSON"]
        {
            assert_eq!(read(unusable).id(), "invocation", "{unusable}");
        }
    }

    proptest! {
        #[test]
        fn any_event_is_read(headers in ".*", parameters in ".*") {
            let _ = read(&headers);
            let event = format!(r#"{{"headers":{headers:?},"pathParameters":{parameters:?}}}"#);
            prop_assert!(read(&event).app_id().is_none());
        }
    }
}
