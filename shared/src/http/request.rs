use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::{task::JoinHandle, time::timeout};
use zeroize::Zeroizing;

use super::{Failure, FailureKind, Write};
use crate::{
    auth::{self, Caller, Credentials},
    domain::{ApiKeyId, ApiKeyType, IdempotencyKey, SigningKeyId, Timestamp, fingerprint},
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
    headers: Headers,
    api_key: OnceLock<ApiKeyId>,
    is_replay: Replayed,
    noting: Mutex<Option<JoinHandle<()>>>,
}

impl Request {
    /// Reads the event; `invocation_id` names the request where the gateway gave it no usable id.
    #[must_use]
    pub fn read(event: &str, invocation_id: &str, received_at: Timestamp) -> Self {
        let mut event: Value = serde_json::from_str(event).unwrap_or_default();
        let headers = take_headers(&mut event);
        let gateway_id = event.pointer("/requestContext/requestId").and_then(Value::as_str);
        let id = gateway_id.filter(|id| is_header_value(id)).unwrap_or(invocation_id).to_owned();
        Self {
            id,
            received_at,
            event,
            headers,
            api_key: OnceLock::new(),
            is_replay: Replayed::default(),
            noting: Mutex::default(),
        }
    }

    /// Whether the gateway takes an answer in payload format 2.0 for it.
    pub(super) fn is_of_payload_format_2(&self) -> bool {
        self.event.get("version").is_some_and(|version| version == "2.0")
    }

    /// The gateway's id of the request, for the answer's `x-request-id` and the log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A header's value, by its lower-case name; one that came several times is joined with commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.as_str())
    }

    /// The path's app id as it was sent, under either of the two names that routes give it.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        let parameters = self.event.get("pathParameters")?;
        ["appId", "appUuid"].iter().find_map(|name| parameters.get(name)?.as_str())
    }

    /// The address that the gateway saw it come from.
    #[must_use]
    pub fn source_ip(&self) -> Option<IpAddr> {
        // What payload format 2.0 has at the first place, and 1.0, which REST APIs send, at the second.
        let places = ["/requestContext/http/sourceIp", "/requestContext/identity/sourceIp"];
        places.into_iter().find_map(|place| self.event.pointer(place)?.as_str())?.parse().ok()
    }

    /// The API key that was recognised, if one was, let in or not.
    #[must_use]
    pub fn api_key(&self) -> Option<ApiKeyId> {
        self.api_key.get().copied()
    }

    /// Whether it repeats a write that was done before, under the same `Idempotency-Key`.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.is_replay.0.load(Ordering::Relaxed)
    }

    /// The mark of [`Request::is_replay`], for what finds out.
    pub(super) fn replayed(&self) -> Replayed {
        self.is_replay.clone()
    }

    /// When it arrived.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// The path's signing key.
    ///
    /// # Errors
    /// E4000 where it is no id of one.
    pub fn signing_key_id(&self) -> Result<SigningKeyId, Failure> {
        self.key_uuid().and_then(|id| id.parse().ok()).ok_or(FailureKind::BadRequest.into())
    }

    fn key_uuid(&self) -> Option<&str> {
        self.event.pointer("/pathParameters/keyUuid").and_then(Value::as_str)
    }

    /// Returns the value of a query parameter that takes one of a few; `None` if it is absent.
    ///
    /// # Errors
    /// E4000 if it has another value, or is repeated.
    pub fn query_choice(&self, name: &str, choices: &[&'static str]) -> Result<Option<&'static str>, Failure> {
        let values = self.query_values(name);
        let (Some(value), rest) = (values.first(), values.get(1..).unwrap_or_default()) else { return Ok(None) };
        let choice = choices.iter().find(|choice| *choice == value && rest.is_empty());
        choice.map(|choice| Some(*choice)).ok_or(FailureKind::BadRequest.into())
    }

    /// The values of a query parameter. Payload format 2.0 joins those of a repeated one with commas; format 1.0 has all of
    /// them in `multiValueQueryStringParameters`, and in `queryStringParameters` only the last.
    fn query_values(&self, name: &str) -> Vec<&str> {
        let values = ["multiValueQueryStringParameters", "queryStringParameters"]
            .into_iter()
            .find_map(|parameters| self.event.get(parameters)?.get(name));
        let values = values.map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        values.unwrap_or_default().iter().filter_map(Value::as_str).collect()
    }

    /// The body, a JSON object; none at all is the empty one.
    ///
    /// # Errors
    /// E4000 where it is something else or not what `T` takes.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let malformed = || Failure::from(FailureKind::BadRequest);
        let text = self.body_text().ok_or_else(malformed)?;
        if text.trim().is_empty() {
            return serde_json::from_str("{}").map_err(|_| malformed());
        }
        // A derived `Deserialize` would take an array for an object.
        let is_object = text.trim_start().starts_with('{');
        let body = serde_json::from_str(&text).map_err(|_| malformed())?;
        if is_object { Ok(body) } else { Err(malformed()) }
    }

    /// Fails unless there is no body, or an empty object.
    ///
    /// # Errors
    /// E4000.
    pub fn no_body(&self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        self.body().map(|Nothing {}| ())
    }

    /// The body as text; `None` where it is none.
    fn body_text(&self) -> Option<Cow<'_, str>> {
        let body = match self.event.get("body") {
            None | Some(Value::Null) => "",
            Some(body) => body.as_str()?,
        };
        if self.event.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            let bytes = STANDARD.decode(body).ok()?;
            return String::from_utf8(bytes).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(body))
    }

    /// What tells this request from another by the same caller for the same app.
    pub(super) fn fingerprint(&self, route: &str) -> String {
        let key = self.key_uuid().unwrap_or_default();
        let query = match self.event.get("rawQueryString").and_then(Value::as_str) {
            Some(query) => Cow::Borrowed(query),
            None => self.event.get("queryStringParameters").map(Value::to_string).unwrap_or_default().into(),
        };
        // A body that is no text is unlike any that a write was ever done with; least of all like none.
        let body = self.body_text().unwrap_or("\0".into());
        fingerprint(&[route, key, &query, &body])
    }

    /// Rejects a browser's request for a secret before its API key is looked at: an API key must never be in a browser.
    ///
    /// # Errors
    /// E4010.
    pub fn refuse_browser(&self) -> Result<(), Failure> {
        match ["origin", "sec-fetch-site"].into_iter().find(|name| self.header(name).is_some()) {
            Some(name) => Err(Failure::new(
                FailureKind::Unauthorized,
                format_args!("an API key in a browser: the request carries {name}"),
            )),
            None => Ok(()),
        }
    }

    /// Lets in who presents a valid write key for the path's app, and finds out whether this route's write was done before.
    ///
    /// # Errors
    /// The first row of the contract's table that applies; then E4000 for a malformed `Idempotency-Key`, and E4090 for
    /// one that named another request.
    pub async fn authenticate_write(&self, route: &str, store: &Store) -> Result<Write, Failure> {
        let idempotency_key = self.header("idempotency-key").map(str::parse::<IdempotencyKey>).transpose();
        let usable = idempotency_key.as_ref().ok().and_then(Option::as_ref);
        let caller = self.authenticate_with(ApiKeyType::Write, usable, store).await?;
        idempotency_key.map_err(|_| FailureKind::BadRequest)?;
        Write::begin(caller, route, self)
    }

    /// Lets in who presents a valid key of the `required` type for the path's app.
    ///
    /// # Errors
    /// The first row of the contract's table that applies.
    pub async fn authenticate(&self, required: ApiKeyType, store: &Store) -> Result<Caller, Failure> {
        self.authenticate_with(required, None, store).await
    }

    async fn authenticate_with(
        &self,
        required: ApiKeyType,
        idempotency_key: Option<&IdempotencyKey>,
        store: &Store,
    ) -> Result<Caller, Failure> {
        let credentials = Credentials {
            api_key: self.header("x-api-key"),
            api_key_type: self.header("x-api-key-type"),
            client_id: self.header("x-client-id"),
            app_id: self.app_id(),
            idempotency_key,
        };
        let outcome = auth::authenticate(credentials, required, store).await;
        let api_key = match &outcome {
            Ok(caller) => Some(caller.api_key().id),
            Err(error) => error.api_key(),
        };
        let is_first = api_key.is_some_and(|api_key| self.api_key.set(api_key).is_ok());
        let caller = outcome?;
        if is_first && caller.api_key().is_use_to_be_noted(self.received_at) {
            self.note_use(&caller, store);
        }
        Ok(caller)
    }

    /// Notes the API key's use while the request's work goes on; [`Request::use_noted`] waits for it.
    fn note_use(&self, caller: &Caller, store: &Store) {
        let (store, app, hash, now) = (store.clone(), caller.app().id, caller.api_key().hash.clone(), self.received_at);
        let id = self.id.clone();
        let noting = tokio::spawn(async move {
            let cause = match timeout(NOTING_A_USE, store.note_use(app, &hash, now)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::warn!(requestId = id, cause, "the API key's use is not noted");
        });
        *self.noting.lock().unwrap_or_else(PoisonError::into_inner) = Some(noting);
    }

    /// Waits until the API key's use is noted, but neither long nor for success: no request is worse for it.
    pub async fn use_noted(&self) {
        let noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(noting) = noting {
            // A panic in there is logged by the panic hook.
            let _ = noting.await;
        }
    }
}

/// A mark on a request that repeats a write.
#[derive(Clone, Default)]
pub(super) struct Replayed(Arc<AtomicBool>);

impl Replayed {
    /// Sets it.
    pub(super) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long an answer may wait for its API key's use to be noted, once an hour for each key.
const NOTING_A_USE: Duration = Duration::from_millis(250);

/// Header values by lower-case name; one of them is the presented API key, so they are wiped when dropped.
type Headers = BTreeMap<String, Zeroizing<String>>;

/// Takes the headers out of the event, so that it keeps no API key. Format 1.0 has all values in `multiValueHeaders`, and in
/// `headers` only the last.
fn take_headers(event: &mut Value) -> Headers {
    let mut take = |name: &str| match event.get_mut(name).map(Value::take) {
        Some(Value::Object(headers)) if !headers.is_empty() => Some(joined(headers)),
        _ => None,
    };
    let (all, last) = (take("multiValueHeaders"), take("headers"));
    all.or(last).unwrap_or_default()
}

/// Lower-cases names and joins the values of repeated headers, as payload format 2.0 does.
fn joined(headers: Map<String, Value>) -> Headers {
    let mut joined = Headers::new();
    for (name, value) in headers {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let Value::String(value) = value else { continue };
            let value = Zeroizing::new(value);
            match joined.entry(name.to_ascii_lowercase()) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    let both = Zeroizing::new([entry.get().as_str(), value.as_str()].join(","));
                    entry.insert(both);
                }
            }
        }
    }
    joined
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
    fn payload_format_1_has_repeated_headers_apart() {
        let request = read(
            r#"{"headers":{"X-Api-Key":"b","x-other":"c"},"multiValueHeaders":{"X-Api-Key":["a","b",5],"Accept":["c"],"x-null":null}}"#,
        );
        assert_eq!(request.header("x-api-key"), Some("a,b"));
        assert_eq!(request.header("accept"), Some("c"));
        assert_eq!((request.header("x-null"), request.header("x-other")), (None, None));
        for none in ["null", "{}", "[]"] {
            let request = read(&format!(r#"{{"headers":{{"X-Api-Key":"a"}},"multiValueHeaders":{none}}}"#));
            assert_eq!(request.header("x-api-key"), Some("a"), "{none}");
        }
    }

    #[test]
    fn query_choice_accepts_one_known_value() {
        let choice = |event: &str| {
            let choice = read(event).query_choice("force", &["true", "false"]);
            choice.map_err(|failure| failure.kind.code())
        };
        for absent in [
            "{}",
            r#"{"queryStringParameters":null}"#,
            r#"{"queryStringParameters":{"other":"true"}}"#,
            r#"{"queryStringParameters":{"force":null}}"#,
            r#"{"multiValueQueryStringParameters":{"other":["true"]},"queryStringParameters":{"other":"true"}}"#,
        ] {
            assert_eq!(choice(absent), Ok(None), "{absent}");
        }
        for value in ["true", "false"] {
            let (once, list) = (format!(r#"{{"force":"{value}"}}"#), format!(r#"{{"force":["{value}"]}}"#));
            assert_eq!(choice(&format!(r#"{{"queryStringParameters":{once}}}"#)), Ok(Some(value)));
            let both = format!(r#"{{"multiValueQueryStringParameters":{list},"queryStringParameters":{once}}}"#);
            assert_eq!(choice(&both), Ok(Some(value)));
        }
        for wrong in [r#""1""#, r#""""#, r#""TRUE""#, r#""true,true""#, r#""true,false""#] {
            assert_eq!(choice(&format!(r#"{{"queryStringParameters":{{"force":{wrong}}}}}"#)), Err("E4000"), "{wrong}");
        }
        let repeated =
            r#"{"multiValueQueryStringParameters":{"force":["true","true"]},"queryStringParameters":{"force":"true"}}"#;
        assert_eq!(choice(repeated), Err("E4000"));
    }

    #[test]
    fn event_keeps_no_header() {
        let request = read(r#"{"headers":{"x-api-key":"the key"},"multiValueHeaders":{"x-api-key":["the key"]}}"#);
        assert_eq!(request.header("x-api-key"), Some("the key"));
        assert!(!request.event.to_string().contains("the key"));
    }

    #[test]
    fn the_app_id_has_two_names() {
        assert_eq!(read(r#"{"pathParameters":{"appId":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appUuid":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appId":null,"appUuid":"a"}}"#).app_id(), Some("a"));
        assert_eq!(read(r#"{"pathParameters":{"appId":7}}"#).app_id(), None);
    }

    #[test]
    fn a_body_that_is_no_text_is_another_request_than_one_without_a_body() {
        let without = read("{}").fingerprint("");
        for body in
            [r#"{"body":"?","isBase64Encoded":true}"#, r#"{"body":"/w==","isBase64Encoded":true}"#, r#"{"body":5}"#]
        {
            assert_ne!(read(body).fingerprint(""), without, "{body}");
        }
        assert_eq!(read(r#"{"body":null}"#).fingerprint(""), without);
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

    #[test]
    fn a_rest_apis_event_is_told_apart_by_the_same_things() {
        let event = |key: &str, query: &str, body: &str| {
            let identity = r#"{"identity":{"sourceIp":"192.0.2.1"}}"#;
            read(&format!(
                r#"{{"requestContext":{identity},"pathParameters":{{"keyUuid":"{key}"}},"queryStringParameters":{query},"body":{body}}}"#
            ))
        };
        let first = event("a", "null", "null");
        assert_eq!(first.source_ip(), "192.0.2.1".parse().ok());
        let fingerprint = first.fingerprint("route");
        assert_eq!(event("a", "null", "null").fingerprint("route"), fingerprint);
        assert_ne!(first.fingerprint("other route"), fingerprint);
        for other in
            [event("b", "null", "null"), event("a", r#"{"force":"true"}"#, "null"), event("a", "null", r#""{}""#)]
        {
            assert_ne!(other.fingerprint("route"), fingerprint);
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
