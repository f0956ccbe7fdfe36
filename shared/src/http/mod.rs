//! Events and responses of API Gateway: payload format 2.0 of HTTP APIs, and 1.0 of REST APIs. Nothing here knows the
//! contract.

mod event;
mod request;
mod response;

pub use lambda_http::http::{Method, StatusCode};

pub use self::{
    event::PayloadFormat,
    request::{MalformedBody, MalformedParameter, Request},
    response::{Payload, Response},
};
