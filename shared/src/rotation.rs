//! Rotating an app's secret: the one order of steps, for the functions and for `userdocks-admin`.
//!
//! First the new version, then the record that pins it, then the labels: a crash between leaves a version that nobody
//! uses, or labels that the next rotation puts in order, but never an app without a secret.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use crate::{
    domain::{App, AppId, Secret, SecretVersionId, Timestamp},
    secrets::{Secrets, SecretsError},
};

/// How many versions of an app's secret the API may create in a day: half of those that Secrets Manager keeps, so that a
/// stolen API key can't stop the operator's rotation.
pub const MAX_NEW_VERSIONS: usize = 50;

/// Refuses a rotation when [`MAX_NEW_VERSIONS`] of the secret's versions are younger than a day, which is how long Secrets
/// Manager keeps a version that nothing uses. Rotations in parallel can each pass before the others' versions are there.
///
/// # Errors
/// [`SecretsError::TooManyNewVersions`]; or Secrets Manager fails.
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
    /// The app's record as it is to be stored.
    pub app: App,
}

impl PreparedRotation {
    /// Puts the new version and pins it in the record that is to be stored. Where rotations that came to nothing have used
    /// up the secret's labels, it takes them back first.
    ///
    /// # Errors
    /// Secrets Manager fails; nothing has changed.
    pub async fn new(
        secrets: &Secrets,
        mut app: App,
        value: &Secret,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Self, SecretsError> {
        /// Longer than a request may take; what an operator's interrupted command loses, `doctor` gives back.
        const CHANGES_NEED: Duration = Duration::from_secs(60);
        let version = SecretVersionId::random();
        let mut put = secrets.put_app_secret(app.id, version, value).await;
        if let Err(SecretsError::TooManyVersions { .. }) = put {
            secrets.tidy_app_secret(&app, CHANGES_NEED).await?;
            put = secrets.put_app_secret(app.id, version, value).await;
        }
        put?;
        app.rotate_secret(version, overlap, now);
        Ok(Self { app })
    }

    /// The version that is to be handed out.
    #[must_use]
    pub fn version(&self) -> SecretVersionId {
        self.app.secret_version_id
    }

    /// Puts the labels in order when the record is stored: soon, or not at all.
    pub async fn finish(self, secrets: &Secrets) {
        /// No change takes longer, an operator's neither, from putting a version to pinning it.
        const CHANGES_NEED: Duration = Duration::from_secs(3600);
        or_left_for_later(secrets.tidy_app_secret(&self.app, CHANGES_NEED)).await;
    }

    /// Lets go of the new version when the record was not stored, because another change won: soon, or not at all.
    pub async fn abandon(self, secrets: &Secrets) {
        or_left_for_later(secrets.let_go_of_app_secret(self.app.id, self.version())).await;
    }
}

/// The rotation is decided by then: neither a failure nor a slow answer may change how it ends.
async fn or_left_for_later(tidying: impl Future<Output = Result<(), SecretsError>>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let cause = match timeout(PATIENCE, tidying).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(late) => late.to_string(),
    };
    tracing::warn!(cause, "the secret's labels are left for a later rotation to put in order");
}
