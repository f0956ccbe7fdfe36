//! Secrets Manager: apps' secrets and the private halves of signing keys.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use lru::LruCache;

use crate::{
    causes::causes,
    domain::{AppId, Secret, SecretVersionId, SigningKeyId},
};

/// Why Secrets Manager did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager refused, failed or did not answer in time; the whole cause.
    #[error("Secrets Manager, secret {name}: {cause}")]
    Backend {
        /// The secret's name.
        name: String,
        /// The whole cause.
        cause: String,
    },
    /// The version holds no text.
    #[error("Secrets Manager, secret {name}: its version {version} holds no text")]
    NoText {
        /// The secret's name.
        name: String,
        /// The version.
        version: SecretVersionId,
    },
}

type Version = (AppId, SecretVersionId);

/// The secrets under one prefix, and a cache of the versions that were read.
#[derive(Debug)]
pub struct Secrets {
    client: Client,
    prefix: String,
    /// A version's value never changes, so what is here is never stale.
    cache: Mutex<LruCache<Version, Arc<Secret>>>,
}

impl Secrets {
    /// Versions kept per process; at some 100 bytes each they are never what fills its memory.
    const CACHED_VERSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

    /// No change of an app takes longer, from putting a version to pinning it.
    const LONGEST_CHANGE: Duration = Duration::from_secs(3600);

    /// The label that keeps the newest version findable for people; the app's record decides what is handed out.
    const CURRENT: &str = "AWSCURRENT";

    /// The secrets whose names begin with `prefix` and a slash.
    #[must_use]
    pub fn new(client: Client, prefix: String) -> Self {
        Self { client, prefix, cache: Mutex::new(LruCache::new(Self::CACHED_VERSIONS)) }
    }

    /// The name of an app's secret.
    #[must_use]
    pub fn app_secret_name(&self, app: AppId) -> String {
        format!("{}/apps/{app}/secret", self.prefix)
    }

    /// The name of the secret with a signing key's private half.
    #[must_use]
    pub fn signing_key_name(&self, app: AppId, key: SigningKeyId) -> String {
        format!("{}/apps/{app}/signing-keys/{key}", self.prefix)
    }

    /// One version of an app's secret; from the cache where this process has read it before.
    ///
    /// # Errors
    /// Secrets Manager fails or has no such version.
    pub async fn app_secret(&self, app: AppId, version: SecretVersionId) -> Result<Arc<Secret>, SecretsError> {
        if let Some(secret) = self.cached(|cache| cache.get(&(app, version)).cloned()) {
            return Ok(secret);
        }
        let name = self.app_secret_name(app);
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&name)
            .version_id(version.to_string())
            .send()
            .await
            .map_err(|error| backend(&name, &error))?;
        let text = answer.secret_string.ok_or(SecretsError::NoText { name, version })?;
        let secret = Arc::new(Secret::from(text));
        self.cached(|cache| cache.put((app, version), Arc::clone(&secret)));
        Ok(secret)
    }

    fn cached<T>(&self, access: impl FnOnce(&mut LruCache<Version, Arc<Secret>>) -> T) -> T {
        access(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes an app's secret with its first version.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn create_app_secret(
        &self,
        app: AppId,
        version: SecretVersionId,
        value: &Secret,
    ) -> Result<(), SecretsError> {
        self.create(&self.app_secret_name(app), version, value).await
    }

    /// Makes the secret with a signing key's private half (PKCS#8 PEM).
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn create_signing_key(
        &self,
        app: AppId,
        key: SigningKeyId,
        private_key: &Secret,
    ) -> Result<(), SecretsError> {
        self.create(&self.signing_key_name(app, key), SecretVersionId::random(), private_key).await
    }

    /// Puts another version of an app's secret. Again with the same version and value it does nothing: the version's
    /// id is the `ClientRequestToken`.
    ///
    /// # Errors
    /// Secrets Manager fails, or has that version with another value.
    pub async fn put_app_secret(
        &self,
        app: AppId,
        version: SecretVersionId,
        value: &Secret,
    ) -> Result<(), SecretsError> {
        self.put(&self.app_secret_name(app), version, value).await
    }

    /// A secret that is there already is used, and one that waits for its deletion is restored first. The first
    /// version is put by itself, because not every emulator heeds the `ClientRequestToken` of a creation.
    async fn create(&self, name: &str, version: SecretVersionId, value: &Secret) -> Result<(), SecretsError> {
        match self.client.create_secret().name(name).send().await {
            Ok(_) => {}
            Err(error) if matches!(error.code(), Some("ResourceExistsException" | "InvalidRequestException")) => {
                let restored = self.client.restore_secret().secret_id(name).send().await;
                restored.map_err(|error| backend(name, &error))?;
            }
            Err(error) => return Err(backend(name, &error)),
        }
        self.put(name, version, value).await
    }

    async fn put(&self, name: &str, version: SecretVersionId, value: &Secret) -> Result<(), SecretsError> {
        self.client
            .put_secret_value()
            .secret_id(name)
            .client_request_token(version.to_string())
            .secret_string(value.expose())
            .version_stages(Self::CURRENT)
            // A version without a label may be deleted at any time; its own label stays with it until it is let go.
            .version_stages(version.to_string())
            .send()
            .await
            .map(drop)
            .map_err(|error| backend(name, &error))
    }

    /// Takes the labels from the versions of an app's secret that are not to `keep`, so that Secrets Manager can delete
    /// them; but not from one so young that a change under way may be about to pin it.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn let_go_of_app_secrets(&self, app: AppId, keep: &[SecretVersionId]) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app);
        let youngest = SystemTime::now().checked_sub(Self::LONGEST_CHANGE).unwrap_or(UNIX_EPOCH);
        let versions = self
            .client
            .list_secret_version_ids()
            .secret_id(&name)
            .send()
            .await
            .map_err(|error| backend(&name, &error))?
            .versions
            .unwrap_or_default();
        for version in versions {
            let Some(id) = version.version_id else { continue };
            let own_label = version.version_stages.unwrap_or_default().contains(&id);
            let old = version
                .created_date
                .and_then(|date| SystemTime::try_from(date).ok())
                .is_some_and(|date| date < youngest);
            if own_label && old && !keep.iter().any(|kept| kept.to_string() == id) {
                self.client
                    .update_secret_version_stage()
                    .secret_id(&name)
                    .version_stage(&id)
                    .remove_from_version_id(&id)
                    .send()
                    .await
                    .map_err(|error| backend(&name, &error))?;
            }
        }
        Ok(())
    }

    /// Schedules the deletion of an app's secret and of its signing keys' private halves, with Secrets Manager's
    /// recovery window of 30 days. What is not there or already scheduled is passed over.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn delete_all(
        &self,
        app: AppId,
        signing_keys: impl IntoIterator<Item = SigningKeyId>,
    ) -> Result<(), SecretsError> {
        let signing_keys = signing_keys.into_iter().map(|key| self.signing_key_name(app, key));
        for name in std::iter::once(self.app_secret_name(app)).chain(signing_keys) {
            match self.client.delete_secret().secret_id(&name).send().await {
                Ok(_) => {}
                Err(error) if matches!(error.code(), Some("ResourceNotFoundException" | "InvalidRequestException")) => {
                }
                Err(error) => return Err(backend(&name, &error)),
            }
        }
        Ok(())
    }
}

fn backend<E, R>(name: &str, error: &SdkError<E, R>) -> SecretsError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    SecretsError::Backend { name: name.to_owned(), cause: causes(error) }
}
