//! API Gateway events, built for a function's route or changed from a fixture.

use std::fmt::{self, Display};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::contract::Route;

/// An event of payload format 2.0.
#[derive(Debug, Clone)]
pub struct Event(Value);

impl Event {
    /// Creates a request for the function's route without headers, query or body.
    #[must_use]
    pub fn new(function: &str) -> Self {
        let route = Route::of(function);
        let event = json!({
            "version": "2.0",
            "routeKey": format!("{} {}", route.method, route.path),
            "rawPath": route.path,
            "rawQueryString": "",
            "headers": {},
            "requestContext": {"http": {"method": route.method, "path": route.path}},
            "pathParameters": {},
            "isBase64Encoded": false,
        });
        Self(event)
    }

    /// Adds an app's credentials, and declares the API key as one of the route's type.
    #[must_use]
    pub fn caller(self, app: impl Display, api_key: &str) -> Self {
        let app = app.to_string();
        let event = self.app(&app).header("x-api-key", api_key).header("x-client-id", &app);
        let kind = Route::of_key(event.route_key()).key_type;
        match kind {
            Some(kind) => event.header("x-api-key-type", kind),
            None => event,
        }
    }

    /// Sets the app in the path only.
    #[must_use]
    pub fn app(self, app: impl Display) -> Self {
        let name = if self.route_key().contains("{appId}") { "appId" } else { "appUuid" };
        self.path_parameter(name, app)
    }

    /// Sets the signing key in the path.
    #[must_use]
    pub fn key(self, key: impl Display) -> Self {
        self.path_parameter("keyUuid", key)
    }

    /// Sets the API key in the path.
    #[must_use]
    pub fn api_key(self, api_key: impl Display) -> Self {
        self.path_parameter("apiKeyUuid", api_key)
    }

    fn path_parameter(mut self, name: &str, value: impl Display) -> Self {
        member(&mut self.0, "pathParameters").insert(name.to_owned(), value.to_string().into());
        let mut path = Route::of_key(self.route_key()).path.to_owned();
        for (name, value) in self.0["pathParameters"].as_object().unwrap() {
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap());
        }
        self.0["requestContext"]["http"]["path"] = path.clone().into();
        self.0["rawPath"] = path.into();
        self
    }

    /// Adds or replaces a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Display) -> Self {
        member(&mut self.0, "headers").insert(name.to_owned(), value.to_string().into());
        self
    }

    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        member(&mut self.0, "headers").remove(name);
        self
    }

    #[must_use]
    pub fn idempotency_key(self, key: impl Display) -> Self {
        self.header("idempotency-key", key)
    }

    /// Replaces the query with one parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.0["rawQueryString"] = format!("{name}={value}").into();
        self.0["queryStringParameters"] = json!({ name: value });
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Display) -> Self {
        self.0["body"] = body.to_string().into();
        self.0["isBase64Encoded"] = false.into();
        self
    }

    /// Sets a body that API Gateway encodes in base64.
    #[must_use]
    pub fn binary_body(self, body: &[u8]) -> Self {
        self.encoded_body(&STANDARD.encode(body))
    }

    /// Sets a body that is declared as base64 but may be anything.
    #[must_use]
    pub fn encoded_body(mut self, body: &str) -> Self {
        self.0["body"] = body.into();
        self.0["isBase64Encoded"] = true.into();
        self
    }

    #[must_use]
    pub fn source_ip(mut self, address: impl Display) -> Self {
        self.0["requestContext"]["http"]["sourceIp"] = address.to_string().into();
        self
    }

    #[must_use]
    pub fn request_id(mut self, id: impl Display) -> Self {
        self.0["requestContext"]["requestId"] = id.to_string().into();
        self
    }

    /// Sets another method and removes the path. A function's behaviour must not depend on either.
    #[must_use]
    pub fn without_route(mut self) -> Self {
        self.0["requestContext"] = json!({"http": {"method": "GET"}});
        self.0["rawPath"] = Value::Null;
        self
    }

    #[must_use]
    pub fn json(self) -> Value {
        self.0
    }

    /// Converts the event to payload format 1.0, which a REST API sends.
    #[must_use]
    pub fn rest_api(&self) -> Value {
        let event = &self.0;
        let http = &event["requestContext"]["http"];
        // Format 2.0 joins repeated headers and parameters with commas.
        let split = |value: &Value| match value.as_str() {
            Some(text) => text.split(',').map(Value::from).collect::<Vec<_>>(),
            None => vec![value.clone()],
        };
        let pairs = |name: &str| event[name].as_object().map(|pairs| pairs.iter());
        let last = |name: &str| -> Option<Map<String, Value>> {
            Some(pairs(name)?.map(|(name, value)| (name.clone(), split(value).pop().unwrap())).collect())
        };
        let all = |name: &str| -> Option<Map<String, Value>> {
            Some(pairs(name)?.map(|(name, value)| (name.clone(), split(value).into())).collect())
        };
        json!({
            "resource": "/api/v1/apps/{appId}/{proxy+}",
            "path": event["rawPath"],
            "httpMethod": http["method"],
            "headers": last("headers"),
            "multiValueHeaders": all("headers"),
            "queryStringParameters": last("queryStringParameters"),
            "multiValueQueryStringParameters": all("queryStringParameters"),
            "pathParameters": event["pathParameters"],
            "requestContext": {
                "requestId": event["requestContext"]["requestId"],
                "httpMethod": http["method"],
                "identity": {"sourceIp": http["sourceIp"]},
            },
            "body": event["body"],
            "isBase64Encoded": event["isBase64Encoded"],
        })
    }

    fn route_key(&self) -> &str {
        self.0["routeKey"].as_str().unwrap()
    }
}

impl From<Value> for Event {
    fn from(event: Value) -> Self {
        Self(event)
    }
}

impl Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Returns a member of the event that is an object. Creates it if it is absent.
fn member<'a>(event: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let member = &mut event[name];
    if !member.is_object() {
        *member = json!({});
    }
    member.as_object_mut().unwrap()
}
