use std::borrow::Cow;

use crate::http::Request;

/// The parts of a request that the checks read; `None` if a part is missing or not UTF-8.
pub(super) struct Credentials<'a> {
    pub api_key: Option<Cow<'a, str>>,
    pub api_key_type: Option<Cow<'a, str>>,
    pub client_id: Option<Cow<'a, str>>,
    pub app_id: Option<&'a str>,
    pub idempotency_key: Option<Cow<'a, str>>,
    /// A header that only browsers send.
    pub browser_header: Option<&'static str>,
}

impl<'a> Credentials<'a> {
    pub fn from_request(request: &'a Request) -> Self {
        Self {
            api_key: request.header("x-api-key"),
            api_key_type: request.header("x-api-key-type"),
            client_id: request.header("x-client-id"),
            app_id: app_id(request),
            idempotency_key: request.header("idempotency-key"),
            browser_header: ["origin", "sec-fetch-site"].into_iter().find(|name| request.header(name).is_some()),
        }
    }
}

/// Returns the app's id in the path. Routes have two names for it.
#[must_use]
pub fn app_id(request: &Request) -> Option<&str> {
    ["appId", "appUuid"].into_iter().find_map(|name| request.path_parameter(name))
}
