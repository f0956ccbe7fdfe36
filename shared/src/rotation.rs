//! Rotates an app's secret, for functions and for `userdocks-admin`.
//!
//! Stores the new version first, then the record that pins it, and then cleans up the labels. A crash in between leaves
//! an unused version or labels that the next rotation cleans up, but never an app without a secret.

use std::time::{Duration, SystemTime};

use crate::{
    aws::failure_within,
    domain::{App, AppId, Secret, SecretVersionId, Timestamp},
    secrets::{Secrets, SecretsError},
};

/// The most versions of an app's secret that the API creates in a day. This is half of Secrets Manager's limit, so that
/// a stolen API key cannot block the operator's rotation.
pub const MAX_NEW_VERSIONS: usize = 50;

/// Fails with [`SecretsError::TooManyNewVersions`] if [`MAX_NEW_VERSIONS`] of the secret's versions are younger than a
/// day, the time for which Secrets Manager keeps an unused version. Parallel rotations may together exceed the limit.
pub async fn check_rate(secrets: &Secrets, app: AppId) -> Result<(), SecretsError> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let now = SystemTime::now();
    let is_old = |created_at: SystemTime| now.duration_since(created_at).is_ok_and(|age| age >= DAY);
    let versions = secrets.app_secret_versions(app).await?;
    let count = versions.iter().filter(|version| !version.created_at.is_some_and(is_old)).count();
    if count < MAX_NEW_VERSIONS {
        Ok(())
    } else {
        Err(SecretsError::TooManyNewVersions { name: secrets.app_secret_name(app), count })
    }
}

/// A rotation whose new version is in Secrets Manager but not pinned yet.
pub struct PreparedRotation {
    /// The record to store, which pins the new version.
    pub app: App,
    read_at: Timestamp,
}

impl PreparedRotation {
    /// Stores a new version of the secret and pins it in the returned record. If failed rotations have used up the
    /// secret's labels, cleans them up and tries again.
    ///
    /// `read_at` is a time before the app's record was read; the overlap begins then.
    pub async fn new(
        secrets: &Secrets,
        mut app: App,
        value: &Secret,
        overlap: Duration,
        read_at: Timestamp,
    ) -> Result<Self, SecretsError> {
        /// Longer than any request. `doctor` restores the label if an operator's slower command loses it.
        const MAX_REQUEST_TIME: Duration = Duration::from_secs(60);
        let version = SecretVersionId::random();
        let mut put = secrets.put_app_secret(app.id, version, value).await;
        if let Err(SecretsError::TooManyVersions { .. }) = put {
            secrets.tidy_app_secret(&app, read_at, MAX_REQUEST_TIME).await?;
            put = secrets.put_app_secret(app.id, version, value).await;
        }
        put?;
        app.rotate_secret(version, overlap, read_at);
        Ok(Self { app, read_at })
    }

    #[must_use]
    pub fn version(&self) -> SecretVersionId {
        self.app.secret_version_id
    }

    /// Cleans up staging labels after the record was stored; best effort, at most one second.
    pub async fn finish(self, secrets: &Secrets) {
        /// Longer than any change, an operator's included, takes from storing a version to pinning it.
        const MAX_CHANGE_TIME: Duration = Duration::from_secs(3600);
        best_effort(&self, secrets.tidy_app_secret(&self.app, self.read_at, MAX_CHANGE_TIME)).await;
    }

    /// Releases the new version because another change won; best effort, at most one second.
    pub async fn abandon(self, secrets: &Secrets) {
        best_effort(&self, secrets.release_app_secret(self.app.id, self.version())).await;
    }
}

/// Neither a failure nor a slow AWS response may change the outcome of the rotation, which is already decided.
async fn best_effort(rotation: &PreparedRotation, clean_up: impl Future<Output = Result<(), SecretsError>>) {
    const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(1);
    if let Some(cause) = failure_within(CLEAN_UP_TIMEOUT, clean_up).await {
        tracing::warn!(
            appId = %rotation.app.id,
            version = %rotation.version(),
            cause,
            "cannot clean up the secret's staging labels; the next rotation tries again"
        );
    }
}
