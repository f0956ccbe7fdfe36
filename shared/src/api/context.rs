use std::sync::{Arc, OnceLock};

use super::{
    audit::Audit,
    failure::{Failure, FailureKind},
    route::{Access, Route},
    services::Services,
};
use crate::{
    auth::{self, Caller},
    aws::Background,
    domain::{ApiKey, ApiKeyId, ApiKeys, AppId, SecretVersionId, SigningKeyId, Timestamp},
    http::Request,
    store::{ApiKeyChange, StoreError},
};

/// A request, and everything that is needed to handle it.
pub struct Context {
    pub request: Request,
    pub services: Arc<Services>,
    pub audit: Audit,
    /// Its work cannot change the response.
    pub background: Background,
    /// The time at which the request arrived.
    pub now: Timestamp,
    route: Route,
    api_key_expires_at: OnceLock<Timestamp>,
}

impl Context {
    #[must_use]
    pub fn new(route: Route, request: Request, services: Arc<Services>, now: Timestamp) -> Self {
        let (audit, background, api_key_expires_at) = (Audit::default(), Background::default(), OnceLock::new());
        Self { request, services, audit, background, now, route, api_key_expires_at }
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
        let accepted = |api_key: &ApiKey| {
            if let Some(expires_at) = api_key.expires_at {
                // If the request is authenticated again, the expiry that was read first stays.
                let _ = self.api_key_expires_at.set(expires_at);
            }
        };
        let outcome = auth::authenticate(&self.request, requirement, &self.services.store, accepted).await;
        let api_key = match &outcome {
            Ok(caller) => Some(caller.api_key().id),
            Err(error) => error.api_key(),
        };
        let is_first = api_key.is_some_and(|api_key| self.audit.record_api_key(api_key));
        let caller = outcome?;
        if is_first {
            auth::note_use(&self.background, &caller, &self.services.store, self.request.id(), self.now);
        }
        Ok(caller)
    }

    /// Stores in the background which version of the secret the caller fetches.
    pub fn note_fetch(&self, caller: &Caller, version_id: SecretVersionId) {
        let (background, store) = (&self.background, &self.services.store);
        auth::note_fetch(background, caller, store, self.request.id(), version_id, self.now);
    }

    /// Stores in the background when the index item of a changed API key expires.
    pub(super) fn set_index_expiry(&self, app: AppId, change: ApiKeyChange) {
        if let ApiKeyChange::Update { changed, .. } = change {
            let services = Arc::clone(&self.services);
            self.background.start(async move { services.store.set_index_expiry(app, &changed).await });
        }
    }

    /// Returns the expiry of the caller's API key; `None` if the key did not pass check 7 or does not expire.
    #[must_use]
    pub fn api_key_expires_at(&self) -> Option<Timestamp> {
        self.api_key_expires_at.get().copied()
    }

    /// Returns the app's id in the path, if it is a UUID.
    #[must_use]
    pub fn app_id(&self) -> Option<AppId> {
        auth::app_id(&self.request)?.parse().ok()
    }

    /// Returns the signing key's id in the path.
    pub fn signing_key_id(&self) -> Result<SigningKeyId, Failure> {
        let id = self.request.path_parameter("keyUuid").and_then(|id| id.parse().ok());
        id.ok_or(FailureKind::BadRequest.into())
    }

    /// Returns the API key's id in the path. `self` stands for the caller's key.
    pub fn api_key_id(&self, caller: &ApiKey) -> Result<ApiKeyId, Failure> {
        let reference = self.request.path_parameter("apiKeyUuid");
        reference.and_then(|reference| caller.resolve(reference).ok()).ok_or(FailureKind::BadRequest.into())
    }

    /// Returns all API keys of an app. Fails on a corrupt record, because the rules for changes need all keys.
    pub async fn api_keys(&self, app: AppId) -> Result<ApiKeys, Failure> {
        let (keys, corrupt) = self.services.store.list_api_keys(app).await?;
        match corrupt.into_iter().next() {
            Some(corrupt) => Err(StoreError::from(corrupt).into()),
            None => Ok(ApiKeys::new(keys)),
        }
    }
}
