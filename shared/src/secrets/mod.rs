//! Secrets Manager: apps' secrets and the private halves of signing keys.

mod inspection;
mod retries;

use std::{
    num::NonZeroUsize,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::SecretVersionsListEntry,
};
use lru::LruCache;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

pub use self::inspection::{Purpose, SecretNames, SecretState, SecretVersion};
use self::retries::{LIMIT_REACHED, one_attempt_at_a_limit, until_visible};
use crate::{
    LazyClient,
    aws_json::{AwsJson, CallError, is_throttling},
    causes::sdk_cause,
    domain::{App, AppId, Secret, SecretPrefix, SecretVersionId, SigningKeyId},
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
    /// Secrets Manager throttles; the whole cause.
    #[error("Secrets Manager, secret {name}: {cause}")]
    Throttled {
        /// The secret's name.
        name: String,
        /// The whole cause.
        cause: String,
    },
    /// The secret or the version is missing, maybe only for a moment after it was stored.
    #[error("Secrets Manager, secret {name}: {cause}")]
    Missing {
        /// The secret's name.
        name: String,
        /// The whole cause.
        cause: String,
    },
    /// The secret has as many versions or labels as Secrets Manager allows.
    #[error(
        "cannot store a version of secret {name}: {cause}; Secrets Manager deletes an unused version a day after it was \
         created: see docs/OPERATIONS.md, \"Too many versions\""
    )]
    TooManyVersions {
        /// The secret's name.
        name: String,
        /// The whole cause.
        cause: String,
    },
    /// The secret has as many new versions as the API may create in a day.
    #[error(
        "cannot rotate secret {name}: {count} of its versions are younger than a day; `userdocks-admin secret rotate` \
         still can"
    )]
    TooManyNewVersions {
        /// The secret's name.
        name: String,
        /// How many versions are younger than a day.
        count: usize,
    },
    /// The label is no longer on the version: another change has moved it meanwhile.
    #[error("Secrets Manager, secret {name}: {cause}")]
    LabelMoved {
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

impl SecretsError {
    /// The same error, unless its cause repeats the value that was sent: an AWS response may quote the request.
    fn without(mut self, value: &Secret) -> Self {
        if let Self::Backend { cause, .. }
        | Self::Throttled { cause, .. }
        | Self::Missing { cause, .. }
        | Self::TooManyVersions { cause, .. } = &mut self
        {
            let escaped = Zeroizing::new(json!(value.expose()).to_string());
            if [value.expose(), escaped.trim_matches('"')].into_iter().any(|value| cause.contains(value)) {
                "the AWS response is not shown, because it repeats the secret".clone_into(cause);
            }
        }
        self
    }
}

/// A private key whose public half is not published yet. If it is dropped before, at whatever point of a request, the log
/// names its secret: functions may not delete it, and `userdocks-admin doctor` does.
#[derive(Debug)]
#[must_use]
pub struct UnpublishedKey {
    secret: Option<String>,
}

impl UnpublishedKey {
    /// The public half is published, or the private half is gone.
    pub fn settled(mut self) {
        self.secret = None;
    }
}

impl Drop for UnpublishedKey {
    fn drop(&mut self) {
        if let Some(secret) = &self.secret {
            tracing::warn!(
                secret,
                "a private key may be left without its public half; doctor names it as orphaned-private-key"
            );
        }
    }
}

type Version = (AppId, SecretVersionId);

/// The secrets under one prefix, and a cache of the versions that were read.
#[derive(Debug)]
pub struct Secrets {
    client: LazyClient<Client>,
    /// The way that reads take, where there is one without the SDK.
    direct: Option<AwsJson>,
    prefix: String,
    /// What new secrets are encrypted with; Secrets Manager's own key where there is none.
    kms_key: Option<String>,
    /// A version's value never changes, so what is here is never stale.
    cache: Mutex<LruCache<Version, Arc<Secret>>>,
}

impl Secrets {
    /// Versions kept per process; at some 100 bytes each they are never what fills its memory.
    const CACHED_VERSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

    /// The exception for a secret or a version that is not there.
    const MISSING: &str = "ResourceNotFoundException";

    /// The exception for a secret that was created before.
    const EXISTS: &str = "ResourceExistsException";

    /// The label that keeps the newest version findable for people; the app's record decides what is handed out.
    const CURRENT: &str = "AWSCURRENT";

    /// The secrets whose names begin with `prefix` and a slash; with `direct`, reads go without the SDK.
    #[must_use]
    pub fn new(
        client: impl FnOnce() -> Client + Send + 'static,
        direct: Option<AwsJson>,
        prefix: &SecretPrefix,
    ) -> Self {
        let client = Arc::new(LazyLock::new(Box::new(client) as Box<_>));
        let prefix = prefix.as_str().to_owned();
        Self { client, direct, prefix, kms_key: None, cache: Mutex::new(LruCache::new(Self::CACHED_VERSIONS)) }
    }

    /// New secrets are encrypted with that KMS key (its ARN, id or alias), not with Secrets Manager's own.
    #[must_use]
    pub fn with_kms_key(self, kms_key: Option<String>) -> Self {
        Self { kms_key, ..self }
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
        let secret = until_visible(async || match &self.direct {
            Some(direct) => self.read_directly(direct, &name, version).await,
            None => self.read(&name, version).await,
        })
        .await?
        .ok_or(SecretsError::NoText { name, version })?;
        let secret = Arc::new(secret);
        self.cached(|cache| cache.put((app, version), Arc::clone(&secret)));
        Ok(secret)
    }

    /// Makes the connection, so that the first request that needs it need not wait for the handshake.
    ///
    /// # Errors
    /// There is no connection; the first request will then make one.
    pub async fn connect(&self) -> Result<(), CallError> {
        match &self.direct {
            Some(direct) => direct.connect().await,
            None => Ok(()),
        }
    }

    async fn read(&self, name: &str, version: SecretVersionId) -> Result<Option<Secret>, SecretsError> {
        let answer = self.client.get_secret_value().secret_id(name).version_id(version.to_string()).send().await;
        Ok(answer.map_err(|error| backend(name, &error))?.secret_string.map(Secret::from))
    }

    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    async fn read_directly(
        &self,
        direct: &AwsJson,
        name: &str,
        version: SecretVersionId,
    ) -> Result<Option<Secret>, SecretsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            secret_string: Option<String>,
        }
        let request = json!({"SecretId": name, "VersionId": version.to_string()}).to_string();
        match direct.call("GetSecretValue", &request).await {
            Ok(answer) => match serde_json::from_slice::<Answer>(&Zeroizing::new(answer)) {
                Ok(answer) => Ok(answer.secret_string.map(Secret::from)),
                // Where, not what: the error's own text may quote the secret.
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    let cause = format!("an answer that can't be read at line {line}, column {column}");
                    Err(SecretsError::Backend { name: name.to_owned(), cause })
                }
            },
            Err(error) => Err(failure(name, error.code(), error.to_string())),
        }
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

    /// Creates the secret with a signing key's private half (PKCS#8 PEM), in one call. The key's id must be a new random
    /// one, and its public half is published next.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn create_signing_key(
        &self,
        app: AppId,
        key: SigningKeyId,
        private_key: &Secret,
    ) -> Result<UnpublishedKey, SecretsError> {
        let name = self.signing_key_name(app, key);
        let answer = self
            .client
            .create_secret()
            .name(&name)
            .set_kms_key_id(self.kms_key.clone())
            .client_request_token(SecretVersionId::random().to_string())
            .secret_string(private_key.expose())
            .customize()
            .config_override(one_attempt_at_a_limit())
            .send();
        let unpublished = UnpublishedKey { secret: Some(name.clone()) };
        match answer.await {
            Ok(answer) if answer.name() == Some(&name) => Ok(unpublished),
            Ok(_) => Err(unnamed(name)),
            // Only this process knows the random id in the name: an earlier attempt, whose response was lost, has created
            // the secret with this value. Secrets Manager tells that by the token; not every emulator does.
            Err(error) if error.code() == Some(Self::EXISTS) => Ok(unpublished),
            Err(error) => {
                // Other refusals may follow an attempt that has created the secret.
                if matches!(error.code(), Some(LIMIT_REACHED | "AccessDeniedException")) {
                    unpublished.settled();
                }
                Err(backend(&name, &error).without(private_key))
            }
        }
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
        self.put(&self.app_secret_name(app), version, value, vec![version.to_string()]).await?;
        self.cached(|cache| cache.put((app, version), Arc::new(value.clone())));
        Ok(())
    }

    /// A secret that is there already is used, and one that waits for its deletion is restored first. The first
    /// version is put by itself, because not every emulator heeds the `ClientRequestToken` of a creation.
    async fn create(&self, name: &str, version: SecretVersionId, value: &Secret) -> Result<(), SecretsError> {
        let creation = self.client.create_secret().name(name).set_kms_key_id(self.kms_key.clone());
        match creation.customize().config_override(one_attempt_at_a_limit()).send().await {
            Ok(_) => {}
            Err(error) if matches!(error.code(), Some(Self::EXISTS | "InvalidRequestException")) => {
                self.restore_named(name).await?;
            }
            Err(error) => return Err(backend(name, &error)),
        }
        let labels = [version.to_string(), Self::CURRENT.to_owned()];
        until_visible(async || self.put(name, version, value, labels.to_vec()).await).await
    }

    async fn restore_named(&self, name: &str) -> Result<(), SecretsError> {
        let restored = self.client.restore_secret().secret_id(name).send().await;
        restored.map(drop).map_err(|error| backend(name, &error))
    }

    /// A version without a label may be deleted at any time: its own stays with it until it is let go.
    async fn put(
        &self,
        name: &str,
        version: SecretVersionId,
        value: &Secret,
        labels: Vec<String>,
    ) -> Result<(), SecretsError> {
        let version = version.to_string();
        let answer = self
            .client
            .put_secret_value()
            .secret_id(name)
            .client_request_token(&version)
            .secret_string(value.expose())
            .set_version_stages(Some(labels))
            .customize()
            .config_override(one_attempt_at_a_limit())
            .send()
            .await
            .map_err(|error| {
                let failed = match error.code() {
                    Some(LIMIT_REACHED) => {
                        SecretsError::TooManyVersions { name: name.to_owned(), cause: sdk_cause(&error) }
                    }
                    _ => backend(name, &error),
                };
                failed.without(value)
            })?;
        // A record is about to pin it: no answer but Secrets Manager's own may let that happen.
        if answer.version_id() == Some(&version) { Ok(()) } else { Err(unnamed(name.to_owned())) }
    }

    /// Puts the labels of an app's secret in order: `AWSCURRENT` to the pinned version, for people who look; and none of
    /// its own on a version that no change under way can be about to pin, since it was made before the pinned one or
    /// longer ago than `changes_need`, so that Secrets Manager deletes it. The previous version, like the pinned one,
    /// keeps its own. All versions of a secret have 20 labels together at most, and each put takes one.
    ///
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
    ///
    /// # Errors
    /// Secrets Manager fails; nothing depends on the labels that are left then, and the next change puts them in order.
    pub async fn tidy_app_secret(&self, app: &App, changes_need: Duration) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app.id);
        let pinned = app.secret_version_id;
        let answer = self.client.list_secret_version_ids().secret_id(&name).send().await;
        let versions = answer.map_err(|error| backend(&name, &error))?.versions.unwrap_or_default();
        let made = |version: &SecretVersionsListEntry| SystemTime::try_from(version.created_date?).ok();
        let is = |version: &SecretVersionsListEntry, id: SecretVersionId| version.version_id() == Some(&id.to_string());
        let pinned_made = versions.iter().find(|version| is(version, pinned)).and_then(made);
        let now = SystemTime::now();
        for version in versions.iter().filter(|version| !is(version, pinned)) {
            let Some(id) = version.version_id() else { continue };
            let has_label = |label: &str| version.version_stages().iter().any(|found| found == label);
            // Of a later rotation that has been quicker, AWSCURRENT and its own stay.
            let is_older = made(version).zip(pinned_made).is_some_and(|(made, pinned)| made <= pinned);
            if has_label(Self::CURRENT) && is_older {
                moved_by_anyone(self.move_label(&name, Self::CURRENT, Some(id), Some(pinned)).await)?;
            }
            let age = made(version).and_then(|made| now.duration_since(made).ok());
            let is_left_over = age.is_some_and(|age| age > changes_need);
            let is_kept = app.previous_secret.is_some_and(|previous| is(version, previous.version_id));
            if has_label(id) && !is_kept && (is_older || is_left_over) {
                moved_by_anyone(self.move_label(&name, id, Some(id), None).await)?;
            }
        }
        Ok(())
    }

    /// Takes the label from a version that was put for a change which did not come about.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn let_go_of_app_secret(&self, app: AppId, version: SecretVersionId) -> Result<(), SecretsError> {
        let id = version.to_string();
        moved_by_anyone(self.move_label(&self.app_secret_name(app), &id, Some(&id), None).await)
    }

    /// Removes what a change that lost against another left on an app's secret: `AWSCURRENT` goes back to the version that
    /// the app pins, and the own label of `lost` goes.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn discard_app_secret(&self, app: &App, lost: SecretVersionId) -> Result<(), SecretsError> {
        /// Each of several changes that lost moves the label away from its own version only.
        const ATTEMPTS: usize = 3;
        for attempt in 1..=ATTEMPTS {
            match self.return_current(app, &lost.to_string()).await {
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {}
                Ok(()) => break,
            }
        }
        self.let_go_of_app_secret(app.id, lost).await
    }

    /// Moves `AWSCURRENT` to the version that the app pins, if it is on the version `from`.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn return_current(&self, app: &App, from: &str) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app.id);
        let secret = self.client.describe_secret().secret_id(&name).send().await;
        let labels = secret.map_err(|error| backend(&name, &error))?.version_ids_to_stages.unwrap_or_default();
        if labels.get(from).is_some_and(|labels| labels.iter().any(|label| label == Self::CURRENT)) {
            self.move_label(&name, Self::CURRENT, Some(from), Some(app.secret_version_id)).await?;
        }
        Ok(())
    }

    async fn move_label(
        &self,
        name: &str,
        label: &str,
        from: Option<&str>,
        to: Option<SecretVersionId>,
    ) -> Result<(), SecretsError> {
        self.client
            .update_secret_version_stage()
            .secret_id(name)
            .version_stage(label)
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(|version| version.to_string()))
            .send()
            .await
            .map(drop)
            .map_err(|error| match error.code() {
                Some("InvalidParameterException") => {
                    SecretsError::LabelMoved { name: name.to_owned(), cause: sdk_cause(&error) }
                }
                _ => backend(name, &error),
            })
    }

    /// Schedules the deletion of all secrets of an app, with Secrets Manager's recovery window of 30 days: its secret,
    /// and the private halves of all signing keys it ever had. What is already scheduled is passed over. Those that the
    /// app's record names need no listing, which may lack what was made in the last minutes.
    ///
    /// # Errors
    /// Secrets Manager fails.
    pub async fn delete_all(&self, app: &App) -> Result<(), SecretsError> {
        self.delete(&self.app_secret_name(app.id)).await?;
        for key in app.signing_keys.iter().filter(|key| !key.is_imported) {
            self.delete(&self.signing_key_name(app.id, key.id)).await?;
        }
        let mut pages = self.names(Some(app.id));
        while let Some(names) = pages.next().await? {
            for name in &names {
                self.delete(name).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        match self.client.delete_secret().secret_id(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some(Self::MISSING | "InvalidRequestException")) => Ok(()),
            Err(error) => Err(backend(name, &error)),
        }
    }
}

fn backend<E: std::error::Error + ProvideErrorMetadata + 'static>(name: &str, error: &SdkError<E>) -> SecretsError {
    failure(name, error.code(), sdk_cause(error))
}

/// Parallel changes tidy the same labels: one that another has moved is as good as moved.
fn moved_by_anyone(outcome: Result<(), SecretsError>) -> Result<(), SecretsError> {
    match outcome {
        Err(SecretsError::LabelMoved { .. }) => Ok(()),
        outcome => outcome,
    }
}

fn failure(name: &str, code: Option<&str>, cause: String) -> SecretsError {
    let name = name.to_owned();
    match code {
        Some(Secrets::MISSING) => SecretsError::Missing { name, cause },
        Some(code) if is_throttling(code) => SecretsError::Throttled { name, cause },
        _ => SecretsError::Backend { name, cause },
    }
}

fn unnamed(name: String) -> SecretsError {
    SecretsError::Backend { name, cause: "the response does not name what was stored".to_owned() }
}
