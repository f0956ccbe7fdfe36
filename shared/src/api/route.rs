use std::{fmt, time::Duration};

use super::envelope::Envelope;
use crate::{auth::Requirement, domain::ApiKeyType, http::Method};

/// The callers that a route accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    /// Callers with an API key of the path's app.
    ApiKey(Requirement),
}

/// A route of the contract. `Display` shows it as the log does: `GET /api/v1/…`.
#[derive(Debug, Clone)]
pub struct Route {
    access: Access,
    method: Method,
    path: &'static str,
    envelope: Envelope,
    calls_secrets_manager: bool,
    is_cross_origin: bool,
    deadline: Duration,
}

impl Route {
    /// Enough for routes that only wait for AWS services.
    const DEFAULT_DEADLINE: Duration = Duration::from_millis(3500);

    /// Creates a route for everyone.
    #[must_use]
    pub const fn public(method: Method, path: &'static str) -> Self {
        Self::new(Access::Public, method, path, Envelope::List)
    }

    /// Creates a `GET` route for read keys.
    #[must_use]
    pub const fn read(path: &'static str, envelope: Envelope) -> Self {
        Self::new(Access::api_key(ApiKeyType::Read), Method::GET, path, envelope)
    }

    /// Creates a route for write keys.
    #[must_use]
    pub const fn write(method: Method, path: &'static str, envelope: Envelope) -> Self {
        Self::new(Access::api_key(ApiKeyType::Write), method, path, envelope)
    }

    const fn new(access: Access, method: Method, path: &'static str, envelope: Envelope) -> Self {
        let (calls_secrets_manager, is_cross_origin) = (false, false);
        Self {
            access,
            method,
            path,
            envelope,
            calls_secrets_manager,
            is_cross_origin,
            deadline: Self::DEFAULT_DEADLINE,
        }
    }

    /// States that the handler calls Secrets Manager, so that the warm-up opens a connection.
    #[must_use]
    pub const fn with_secrets_manager(mut self) -> Self {
        self.calls_secrets_manager = true;
        self
    }

    /// Allows scripts of any origin to read the responses.
    #[must_use]
    pub const fn cross_origin(mut self) -> Self {
        self.is_cross_origin = true;
        self
    }

    /// Rejects browsers, because the response holds a secret.
    #[must_use]
    pub const fn without_browsers(mut self) -> Self {
        if let Access::ApiKey(requirement) = &mut self.access {
            requirement.rejects_browsers = true;
        }
        self
    }

    /// Sets the time after which the response is the contract's 500. It must be shorter than the function's timeout.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    #[must_use]
    pub const fn envelope(&self) -> Envelope {
        self.envelope
    }

    #[must_use]
    pub const fn calls_secrets_manager(&self) -> bool {
        self.calls_secrets_manager
    }

    #[must_use]
    pub const fn is_cross_origin(&self) -> bool {
        self.is_cross_origin
    }

    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

impl Access {
    const fn api_key(api_key_type: ApiKeyType) -> Self {
        Self::ApiKey(Requirement { api_key_type, rejects_browsers: false })
    }
}
