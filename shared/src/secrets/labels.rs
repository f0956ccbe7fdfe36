//! The staging labels of an app's secret.

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::types::SecretVersionsListEntry;

use super::{Secrets, error::SecretsError};
use crate::{
    aws::send,
    domain::{App, AppId, SecretVersionId},
};

impl Secrets {
    /// Cleans up the staging labels of an app's secret. A secret can have 20 labels, and each new version takes one.
    ///
    /// Moves `AWSCURRENT` to the pinned version, for people who read the secret by hand. Removes the own label of a
    /// version that is neither pinned nor previous, so that Secrets Manager deletes the version.
    ///
    /// A version keeps its label if a change in flight may be about to pin it. Such a version is younger than the
    /// pinned one and than `max_change_time`.
    ///
    /// Labels that remain after a failure do no harm; the next change cleans up again.
    ///
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
    pub async fn tidy_app_secret(&self, app: &App, max_change_time: Duration) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app.id);
        let pinned = app.secret_version_id;
        let listing = self.secrets_manager.client().list_secret_version_ids().secret_id(&name);
        let listed = send(listing.send()).await.map_err(|error| SecretsError::new(&name, error))?;
        let versions = listed.versions.unwrap_or_default();
        let created_at = |version: &SecretVersionsListEntry| SystemTime::try_from(version.created_date?).ok();
        let is = |version: &SecretVersionsListEntry, id: SecretVersionId| version.version_id() == Some(&id.to_string());
        let pinned_created_at = versions.iter().find(|version| is(version, pinned)).and_then(created_at);
        let now = SystemTime::now();
        for version in versions.iter().filter(|version| !is(version, pinned)) {
            let Some(id) = version.version_id() else { continue };
            let has_label = |label: &str| version.version_stages().iter().any(|found| found == label);
            // The version of a later rotation that was quicker keeps both labels.
            let is_older =
                created_at(version).zip(pinned_created_at).is_some_and(|(created, pinned)| created <= pinned);
            if has_label(Self::CURRENT) && is_older {
                moved_by_anyone(self.move_label(&name, Self::CURRENT, Some(id), Some(pinned)).await)?;
            }
            let age = created_at(version).and_then(|created_at| now.duration_since(created_at).ok());
            let is_left_over = age.is_some_and(|age| age > max_change_time);
            let is_kept = app.previous_secret.is_some_and(|previous| is(version, previous.version_id));
            if has_label(id) && !is_kept && (is_older || is_left_over) {
                moved_by_anyone(self.move_label(&name, id, Some(id), None).await)?;
            }
        }
        Ok(())
    }

    /// Removes the label of a version whose rotation was not committed.
    pub async fn release_app_secret(&self, app: AppId, version: SecretVersionId) -> Result<(), SecretsError> {
        let id = version.to_string();
        moved_by_anyone(self.move_label(&self.app_secret_name(app), &id, Some(&id), None).await)
    }

    /// Cleans up after a change that lost against another one. Moves `AWSCURRENT` back to the version that the app
    /// pins, and removes the own label of the version `lost`.
    pub async fn discard_app_secret(&self, app: &App, lost: SecretVersionId) -> Result<(), SecretsError> {
        /// Other changes that lost may move the label at the same time, each away from its own version.
        const MAX_ATTEMPTS: usize = 3;
        let mut retries = 1..MAX_ATTEMPTS;
        while let Err(error) = self.return_current(app, &lost.to_string()).await {
            if !matches!(error, SecretsError::LabelMoved { .. }) || retries.next().is_none() {
                return Err(error);
            }
        }
        self.release_app_secret(app.id, lost).await
    }

    /// Moves `AWSCURRENT` from the version `from`, if it has the label, to the version that the app pins.
    pub async fn return_current(&self, app: &App, from: &str) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app.id);
        let describing = self.secrets_manager.client().describe_secret().secret_id(&name);
        let secret = send(describing.send()).await.map_err(|error| SecretsError::new(&name, error))?;
        let labels = secret.version_ids_to_stages.unwrap_or_default();
        if labels.get(from).is_some_and(|labels| labels.iter().any(|label| label == Self::CURRENT)) {
            self.move_label(&name, Self::CURRENT, Some(from), Some(app.secret_version_id)).await?;
        }
        Ok(())
    }

    pub(super) async fn move_label(
        &self,
        name: &str,
        label: &str,
        from: Option<&str>,
        to: Option<SecretVersionId>,
    ) -> Result<(), SecretsError> {
        let moving = self
            .secrets_manager
            .client()
            .update_secret_version_stage()
            .secret_id(name)
            .version_stage(label)
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(|version| version.to_string()));
        send(moving.send()).await.map(drop).map_err(|error| SecretsError::from_label_change(name, error))
    }
}

/// Treats a label that a parallel change has moved as success, because such changes clean up the same labels.
fn moved_by_anyone(outcome: Result<(), SecretsError>) -> Result<(), SecretsError> {
    match outcome {
        Err(SecretsError::LabelMoved { .. }) => Ok(()),
        outcome => outcome,
    }
}
