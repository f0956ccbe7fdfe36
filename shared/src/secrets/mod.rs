//! Apps' secrets and private signing keys in Secrets Manager.

mod error;
mod inspection;
mod labels;
mod retries;
mod unpublished_key;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use self::retries::{one_attempt_at_a_limit, until_visible};
pub use self::{
    error::SecretsError,
    inspection::{Purpose, SecretNames, SecretState, SecretVersion},
    unpublished_key::UnpublishedKey,
};
use crate::{
    aws::{CallError, SecretsManager, send},
    domain::{App, AppId, Secret, SecretPrefix, SecretVersionId, SigningKeyId},
};

type Version = (AppId, SecretVersionId);

/// The secrets under one prefix, with a cache of the versions that were read or stored.
#[derive(Debug)]
pub struct Secrets {
    secrets_manager: SecretsManager,
    prefix: String,
    /// The KMS key for new secrets (ARN, id or alias); `None` for Secrets Manager's own.
    kms_key: Option<String>,
    /// A version's value never changes, so no entry is ever stale.
    cache: Mutex<LruCache<Version, Arc<Secret>>>,
}

impl Secrets {
    /// Most take some 100 bytes. Even a cache full of the longest, with 64 KiB each, is a quarter of a function's memory.
    const CACHED_VERSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

    /// The error code for a secret that exists already.
    const EXISTS: &str = "ResourceExistsException";

    /// The error code for a secret that is scheduled for deletion.
    const SCHEDULED_FOR_DELETION: &str = "InvalidRequestException";

    /// Marks the current version for people who read the secret by hand. The app's record decides which version is
    /// returned.
    const CURRENT: &str = "AWSCURRENT";

    #[must_use]
    pub fn new(secrets_manager: SecretsManager, prefix: &SecretPrefix, kms_key: Option<String>) -> Self {
        let prefix = prefix.as_str().to_owned();
        Self { secrets_manager, prefix, kms_key, cache: Self::empty_cache() }
    }

    fn empty_cache() -> Mutex<LruCache<Version, Arc<Secret>>> {
        Mutex::new(LruCache::new(Self::CACHED_VERSIONS))
    }

    #[must_use]
    pub fn app_secret_name(&self, app: AppId) -> String {
        format!("{}/apps/{app}/secret", self.prefix)
    }

    /// Returns the name of the secret with a signing key's private half.
    #[must_use]
    pub fn signing_key_name(&self, app: AppId, key: SigningKeyId) -> String {
        format!("{}/apps/{app}/signing-keys/{key}", self.prefix)
    }

    /// Returns one version of an app's secret, from the cache if possible.
    pub async fn app_secret(&self, app: AppId, version: SecretVersionId) -> Result<Arc<Secret>, SecretsError> {
        if let Some(secret) = self.cached(|cache| cache.get(&(app, version)).cloned()) {
            return Ok(secret);
        }
        let name = self.app_secret_name(app);
        let id = version.to_string();
        let read = async || {
            let read = self.secrets_manager.get_secret_value(&name, &id).await;
            read.map_err(|error| SecretsError::new(&name, error))
        };
        let value = until_visible(read).await?.ok_or_else(|| SecretsError::NoText { name: name.clone(), version })?;
        let secret = Arc::new(Secret::from(value));
        self.cached(|cache| cache.put((app, version), Arc::clone(&secret)));
        Ok(secret)
    }

    /// See [`SecretsManager::rehearsal`]. The cache is another one.
    pub(crate) fn rehearsal(&self, secret: &'static str) -> Self {
        Self {
            secrets_manager: self.secrets_manager.rehearsal(secret),
            prefix: self.prefix.clone(),
            kms_key: self.kms_key.clone(),
            cache: Self::empty_cache(),
        }
    }

    /// Opens a connection, so that the first read does not wait for the handshake.
    pub async fn connect(&self) -> Result<(), CallError> {
        self.secrets_manager.connect().await
    }

    fn cached<T>(&self, access: impl FnOnce(&mut LruCache<Version, Arc<Secret>>) -> T) -> T {
        access(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Creates an app's secret with its first version.
    ///
    /// If the secret exists, adds the version to it. If the secret is scheduled for deletion, restores it first. The
    /// version needs a call of its own, because some emulators ignore the `ClientRequestToken` of `CreateSecret`.
    pub async fn create_app_secret(
        &self,
        app: AppId,
        version: SecretVersionId,
        value: &Secret,
    ) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app);
        let creation = self.secrets_manager.client().create_secret().name(&name).set_kms_key_id(self.kms_key.clone());
        match send(creation.customize().config_override(one_attempt_at_a_limit()).send()).await {
            Ok(_) => {}
            Err(error) if matches!(error.code.as_deref(), Some(Self::EXISTS | Self::SCHEDULED_FOR_DELETION)) => {
                self.restore(Purpose::AppSecret(app)).await?;
            }
            Err(error) => return Err(SecretsError::new(&name, error)),
        }
        let labels = [version.to_string(), Self::CURRENT.to_owned()];
        until_visible(async || self.put(&name, version, value, labels.to_vec()).await).await
    }

    /// Creates the secret with a signing key's private half (PKCS#8 PEM), in one call. The key's id must be new and
    /// random. The caller publishes the public half next.
    pub async fn create_signing_key(
        &self,
        app: AppId,
        key: SigningKeyId,
        private_key: &Secret,
    ) -> Result<UnpublishedKey, SecretsError> {
        let name = self.signing_key_name(app, key);
        let creation = self
            .secrets_manager
            .client()
            .create_secret()
            .name(&name)
            .set_kms_key_id(self.kms_key.clone())
            .client_request_token(SecretVersionId::random().to_string())
            .secret_string(private_key.expose())
            .customize()
            .config_override(one_attempt_at_a_limit());
        let unpublished = UnpublishedKey::new(name.clone());
        match send(creation.send()).await {
            Ok(created) if created.name() == Some(&name) => Ok(unpublished),
            Ok(_) => Err(SecretsError::unnamed(&name)),
            // Only this process knows the random id in the name, so an earlier attempt has created the secret and its
            // response was lost. Secrets Manager recognises the second attempt by its token, but some emulators do not.
            Err(error) if error.code.as_deref() == Some(Self::EXISTS) => Ok(unpublished),
            Err(error) => {
                // With any other error, an earlier attempt may have created the secret.
                if matches!(error.code.as_deref(), Some(SecretsError::LIMIT_REACHED | "AccessDeniedException")) {
                    unpublished.settled();
                }
                Err(SecretsError::new(&name, error).without(private_key))
            }
        }
    }

    /// Stores another version of an app's secret. Idempotent, because the version's id is the `ClientRequestToken`.
    /// Fails if the version exists with another value.
    pub async fn put_app_secret(
        &self,
        app: AppId,
        version: SecretVersionId,
        value: &Secret,
    ) -> Result<(), SecretsError> {
        self.put(&self.app_secret_name(app), version, value, vec![version.to_string()]).await?;
        self.cached(|cache| cache.put((app, version), Arc::new(value.clone())));
        Ok(())
    }

    /// Secrets Manager may delete a version without a label at any time, so `labels` has the version's own id.
    async fn put(
        &self,
        name: &str,
        version: SecretVersionId,
        value: &Secret,
        labels: Vec<String>,
    ) -> Result<(), SecretsError> {
        let version = version.to_string();
        let putting = self
            .secrets_manager
            .client()
            .put_secret_value()
            .secret_id(name)
            .client_request_token(&version)
            .secret_string(value.expose())
            .set_version_stages(Some(labels))
            .customize()
            .config_override(one_attempt_at_a_limit());
        let put = send(putting.send()).await.map_err(|error| SecretsError::from_put(name, error, value))?;
        // A record is about to pin the version, so the call counts as successful only if the response names the
        // version.
        if put.version_id() == Some(&version) { Ok(()) } else { Err(SecretsError::unnamed(name)) }
    }

    /// Schedules the deletion of an app's secret and of the private halves of all its signing keys, past ones included.
    /// The recovery window is Secrets Manager's 30 days.
    ///
    /// First deletes the keys in the app's record, because a listing may lack secrets of the last minutes.
    pub async fn delete_all(&self, app: &App) -> Result<(), SecretsError> {
        self.delete(&self.app_secret_name(app.id)).await?;
        for key in app.signing_keys.iter().filter(|key| !key.is_imported) {
            self.delete(&self.signing_key_name(app.id, key.id)).await?;
        }
        let mut pages = self.list_names(Some(app.id));
        while let Some(names) = pages.next().await? {
            for name in &names {
                self.delete(name).await?;
            }
        }
        Ok(())
    }

    /// Does nothing if the deletion is scheduled already or the secret does not exist.
    async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        let gone = [SecretsError::MISSING, Self::SCHEDULED_FOR_DELETION];
        match send(self.secrets_manager.client().delete_secret().secret_id(name).send()).await {
            Err(error) if !error.code.as_deref().is_some_and(|code| gone.contains(&code)) => {
                Err(SecretsError::new(name, error))
            }
            _ => Ok(()),
        }
    }
}
