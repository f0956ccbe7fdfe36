//! Reads events with `lambda_http`'s types, but without its conversion to `http::Request`.
//!
//! The conversion panics on events that an anonymous caller can cause.

use std::{collections::HashMap, net::IpAddr};

use lambda_http::{
    aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest},
    http::HeaderMap,
};

/// The format of an event and of its response.
///
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PayloadFormat {
    /// REST APIs. HTTP APIs also accept a response in this format.
    #[default]
    V1,
    /// HTTP APIs.
    V2,
}

/// The parts of an event that a request needs. It holds a presented API key, so it has no `Debug`.
#[derive(Default)]
pub struct Event {
    pub format: PayloadFormat,
    pub request_id: Option<String>,
    pub source_ip: Option<IpAddr>,
    pub headers: HeaderMap,
    pub path_parameters: HashMap<String, String>,
    pub query: Vec<(String, String)>,
    /// Only format 2.0 has it.
    pub raw_query: Option<String>,
    pub body: Option<String>,
    pub is_base64_encoded: bool,
}

impl Event {
    /// Reads an event. Returns `None` if it has neither format, for example without a request context.
    pub fn read(event: &str) -> Option<Self> {
        serde_json::from_str(event).map(Self::from_v2).or_else(|_| serde_json::from_str(event).map(Self::from_v1)).ok()
    }

    fn from_v2(event: ApiGatewayV2httpRequest) -> Self {
        let query = &event.query_string_parameters;
        Self {
            format: PayloadFormat::V2,
            request_id: event.request_context.request_id,
            source_ip: address(event.request_context.http.source_ip),
            headers: event.headers,
            path_parameters: event.path_parameters,
            query: query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            raw_query: event.raw_query_string,
            body: event.body,
            is_base64_encoded: event.is_base64_encoded,
        }
    }

    fn from_v1(event: ApiGatewayProxyRequest) -> Self {
        // The single-value fields have only the last value, but hand-written events may lack the others.
        let headers = if event.multi_value_headers.is_empty() { event.headers } else { event.multi_value_headers };
        let (all, last) = (&event.multi_value_query_string_parameters, &event.query_string_parameters);
        let query = if all.is_empty() { last } else { all };
        Self {
            format: PayloadFormat::V1,
            request_id: event.request_context.request_id,
            source_ip: address(event.request_context.identity.source_ip),
            headers,
            path_parameters: event.path_parameters,
            query: query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            raw_query: None,
            body: event.body,
            is_base64_encoded: event.is_base64_encoded,
        }
    }
}

fn address(text: Option<String>) -> Option<IpAddr> {
    text?.parse().ok()
}
