//! Rotates an app's secret: the one order of steps, for functions and for `userdocks-admin`.
//!
//! First the new version, then the record that pins it, then the labels. A crash between leaves an unused version, or labels
//! that the next rotation cleans up, but never an app without a secret.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use crate::{
    domain::{App, AppId, Secret, SecretVersionId, Timestamp},
    secrets::{Secrets, SecretsError},
};

/// The versions of an app's secret that the API may create in a day. Half of Secrets Manager's limit, so that a stolen API
/// key can't stop the operator's rotation.
pub const MAX_NEW_VERSIONS: usize = 50;

/// Fails with [`SecretsError::TooManyNewVersions`] if [`MAX_NEW_VERSIONS`] of the secret's versions are younger than a day.
/// Secrets Manager keeps an unused version for that long. Parallel rotations may exceed the limit together.
pub async fn check_rate(secrets: &Secrets, app: AppId) -> Result<(), SecretsError> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let now = SystemTime::now();
    let is_old = |made: SystemTime| now.duration_since(made).is_ok_and(|age| age >= DAY);
    let versions = secrets.app_secret_versions(app).await?;
    let count = versions.iter().filter(|version| !version.made.is_some_and(is_old)).count();
    if count < MAX_NEW_VERSIONS {
        Ok(())
    } else {
        Err(SecretsError::TooManyNewVersions { name: secrets.app_secret_name(app), count })
    }
}

/// A rotation whose new version is in Secrets Manager, and not yet pinned.
pub struct PreparedRotation {
    /// The app's record to store.
    pub app: App,
}

impl PreparedRotation {
    /// Puts the new version and pins it in the record to store. If failed rotations have used up the secret's labels, cleans
    /// up first. On failure, nothing has changed.
    pub async fn new(
        secrets: &Secrets,
        mut app: App,
        value: &Secret,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Self, SecretsError> {
        /// Longer than any request. `doctor` restores the label if an operator's slower command loses it.
        const MAX_REQUEST_TIME: Duration = Duration::from_secs(60);
        let version = SecretVersionId::random();
        let mut put = secrets.put_app_secret(app.id, version, value).await;
        if let Err(SecretsError::TooManyVersions { .. }) = put {
            secrets.tidy_app_secret(&app, MAX_REQUEST_TIME).await?;
            put = secrets.put_app_secret(app.id, version, value).await;
        }
        put?;
        app.rotate_secret(version, overlap, now);
        Ok(Self { app })
    }

    /// The new version.
    #[must_use]
    pub fn version(&self) -> SecretVersionId {
        self.app.secret_version_id
    }

    /// Cleans up staging labels after the record was stored; best effort, at most one second.
    pub async fn finish(self, secrets: &Secrets) {
        /// Longer than any change, an operator's included, takes from storing a version to pinning it.
        const MAX_CHANGE_TIME: Duration = Duration::from_secs(3600);
        best_effort(secrets.tidy_app_secret(&self.app, MAX_CHANGE_TIME)).await;
    }

    /// Releases the new version because another change won; best effort, at most one second.
    pub async fn abandon(self, secrets: &Secrets) {
        best_effort(secrets.release_app_secret(self.app.id, self.version())).await;
    }
}

/// The rotation's outcome is decided: neither a failure nor a slow AWS response may change it.
async fn best_effort(tidying: impl Future<Output = Result<(), SecretsError>>) {
    const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(1);
    let cause = match timeout(CLEAN_UP_TIMEOUT, tidying).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(late) => late.to_string(),
    };
    tracing::warn!(cause, "cannot clean up the secret's labels; a later rotation will");
}
