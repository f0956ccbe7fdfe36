use std::{net::IpAddr, str::FromStr};

use http::Uri;

/// The reason that a text is not an endpoint. It never shows the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEndpoint {
    #[error("it is not a URL of the form https://HOST[:PORT]")]
    NotUrl,
    #[error("its scheme is neither http nor https")]
    Scheme,
    #[error("it has no host")]
    Host,
    #[error("its port is not a number from 1 to 65535")]
    Port,
    #[error("it contains a user name or password")]
    UserInfo,
    #[error("it contains a query or a fragment")]
    Query,
}

/// The URL of an AWS service or of an emulator: `https://HOST[:PORT][/PATH]`, or `http` in place of `https`.
///
/// The SDK reads an endpoint only when it sends a request, and its error then prints the whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether requests are encrypted, or stay on this machine.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        Uri::from_str(&self.0).is_ok_and(|uri| {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            is_loopback || uri.scheme_str() == Some("https")
        })
    }
}

impl FromStr for Endpoint {
    type Err = MalformedEndpoint;

    fn from_str(text: &str) -> Result<Self, MalformedEndpoint> {
        // A `Uri` silently drops a fragment.
        if text.contains(['?', '#']) {
            return Err(MalformedEndpoint::Query);
        }
        let uri = Uri::from_str(text).map_err(|_| MalformedEndpoint::NotUrl)?;
        let authority = uri.authority().ok_or(MalformedEndpoint::NotUrl)?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(MalformedEndpoint::Scheme),
            None => return Err(MalformedEndpoint::NotUrl),
        }
        if authority.as_str().contains('@') {
            return Err(MalformedEndpoint::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(MalformedEndpoint::Host);
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(MalformedEndpoint::Port);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_of_either_scheme_is_accepted() {
        for (text, is_confidential) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost", true),
            ("http://[::1]:8000/", true),
            ("http://127.0.0.1.example.com", false),
            ("http://192.0.2.1:8000", false),
            ("http://host.docker.internal:8000", false),
            ("https://vpce-1.dynamodb.eu-central-1.vpce.amazonaws.com", true),
            ("HTTPS://example.com:443/path", true),
        ] {
            let endpoint: Endpoint = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((endpoint.as_str(), endpoint.is_confidential()), (text, is_confidential));
        }
    }

    #[test]
    fn malformed_endpoint_is_rejected_and_not_shown() {
        for (text, expected) in [
            ("", MalformedEndpoint::NotUrl),
            ("127.0.0.1:8001", MalformedEndpoint::NotUrl),
            ("localhost", MalformedEndpoint::NotUrl),
            ("/path", MalformedEndpoint::NotUrl),
            (" http://x", MalformedEndpoint::NotUrl),
            ("http://x ", MalformedEndpoint::NotUrl),
            ("http://x\n", MalformedEndpoint::NotUrl),
            ("http://a b", MalformedEndpoint::NotUrl),
            ("http://", MalformedEndpoint::NotUrl),
            ("http:///path", MalformedEndpoint::NotUrl),
            ("ftp://x", MalformedEndpoint::Scheme),
            ("http://:8000", MalformedEndpoint::Host),
            ("http://x:99999", MalformedEndpoint::Port),
            ("http://x:0", MalformedEndpoint::Port),
            ("http://x:", MalformedEndpoint::Port),
            ("http://user:pw@x", MalformedEndpoint::UserInfo),
            ("http://user@x:8000", MalformedEndpoint::UserInfo),
            ("http://x?q", MalformedEndpoint::Query),
            ("http://x#f", MalformedEndpoint::Query),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text);
            assert_eq!(error, expected, "{text:?}");
        }
    }
}
