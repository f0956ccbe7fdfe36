use std::sync::Arc;

use super::{
    audit::Audit,
    failure::{Failure, FailureKind},
    route::{Access, Route},
    services::Services,
};
use crate::{
    auth::{self, Caller, LastUse},
    domain::{AppId, SigningKeyId, Timestamp},
    http::Request,
};

/// A request with everything that its handling needs.
pub struct Context {
    pub request: Request,
    pub services: Arc<Services>,
    pub audit: Audit,
    /// The time at which the request arrived.
    pub now: Timestamp,
    route: Route,
    last_use: LastUse,
}

impl Context {
    #[must_use]
    pub fn new(route: Route, request: Request, services: Arc<Services>, now: Timestamp) -> Self {
        Self { request, services, audit: Audit::default(), now, route, last_use: LastUse::default() }
    }

    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Authenticates the caller as the route requires.
    pub async fn authenticate(&self) -> Result<Caller, Failure> {
        let Access::ApiKey(requirement) = self.route.access() else {
            return Err(Failure::internal("a public route has no caller"));
        };
        let outcome = auth::authenticate(&self.request, requirement, &self.services.store).await;
        let api_key = match &outcome {
            Ok(caller) => Some(caller.api_key().id),
            Err(error) => error.api_key(),
        };
        let is_first = api_key.is_some_and(|api_key| self.audit.record_api_key(api_key));
        let caller = outcome?;
        if is_first {
            self.last_use.note(&caller, &self.services.store, self.request.id(), self.now);
        }
        Ok(caller)
    }

    /// The path's app, if it is a UUID.
    #[must_use]
    pub fn app_id(&self) -> Option<AppId> {
        auth::app_id(&self.request)?.parse().ok()
    }

    /// The path's signing key.
    pub fn signing_key_id(&self) -> Result<SigningKeyId, Failure> {
        let id = self.request.path_parameter("keyUuid").and_then(|id| id.parse().ok());
        id.ok_or(FailureKind::BadRequest.into())
    }

    /// Waits for the work in the background of the request.
    pub async fn finish(&self) {
        self.last_use.noted().await;
    }
}
