//! Protection of the embedded services, which check no credentials, against web pages.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::Response,
};
use serde_json::json;
use tokio::net::TcpListener;

/// Rejects requests that a browser sends for a web page. Browsers add `Origin` or `Sec-Fetch-Site`. If a page's own host name
/// resolves to this machine (DNS rebinding), that name is in `Host`.
#[derive(Clone, Copy)]
pub struct Guard {
    listens_on: IpAddr,
}

impl Guard {
    /// Returns a guard that accepts the listener's address and this machine's names in `Host`.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn new(listener: &TcpListener) -> io::Result<Self> {
        listener.local_addr().map(|address: SocketAddr| Self { listens_on: address.ip() })
    }

    /// Adds the guard to all routes.
    pub fn protect(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, check))
    }

    /// Returns the reason to reject a request.
    fn objection(self, headers: &HeaderMap) -> Option<&'static str> {
        if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Some("it comes from a web browser");
        }
        let mut hosts = headers.get_all(header::HOST).iter().peekable();
        if hosts.peek().is_none() || !hosts.all(|host| self.is_ours(host)) {
            return Some("its Host does not name this machine; set HOST to the address to listen on");
        }
        None
    }

    fn is_ours(self, host: &HeaderValue) -> bool {
        let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
        match authority.host().trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == self.listens_on,
            Err(_) => {
                ["localhost", "host.docker.internal"].iter().any(|name| authority.host().eq_ignore_ascii_case(name))
            }
        }
    }
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Some(objection) = guard.objection(request.headers()) else { return next.run(request).await };
    let message = format!("cannot accept the request: {objection}");
    let body = json!({"__type": "AccessDeniedException", "message": message});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(headers: &[(&'static str, &str)]) -> Option<&'static str> {
        let headers =
            headers.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()));
        Guard { listens_on: [172, 17, 0, 1].into() }.objection(&headers.collect())
    }

    #[test]
    fn host_of_this_machine_is_accepted() {
        let ours = ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "172.17.0.1:8000"];
        for host in ours.into_iter().chain(["host.docker.internal:8001"]) {
            assert_eq!(objection(&[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn host_of_other_machine_is_rejected() {
        for host in ["evil.example", "localhost.evil.example:8000", "172.17.0.2", "0.0.0.0", "[::2]", "", "a b"] {
            assert!(objection(&[("host", host)]).is_some(), "{host}");
        }
        assert!(objection(&[]).is_some());
    }

    #[test]
    fn browser_is_rejected() {
        for (name, value) in
            [("origin", "null"), ("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin")]
        {
            assert!(objection(&[("host", "localhost"), (name, value)]).is_some(), "{name}");
        }
    }
}
