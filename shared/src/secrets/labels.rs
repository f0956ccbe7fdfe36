//! The staging labels of an app's secret.

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::types::SecretVersionsListEntry;

use super::{Secrets, error::SecretsError, inspection::Purpose};
use crate::{
    aws::send,
    domain::{App, AppId, SecretVersionId, Timestamp},
};

/// A version of an app's secret that has a label.
struct LabelledVersion {
    /// Of a version that was stored by others, any text.
    id: String,
    labels: Vec<String>,
    created_at: Option<SystemTime>,
    /// Whether it is older than the pinned version.
    is_older: bool,
}

impl LabelledVersion {
    fn new(version: SecretVersionsListEntry) -> Option<Self> {
        let created_at = version.created_date.and_then(|created_at| created_at.try_into().ok());
        Some(Self {
            id: version.version_id?,
            labels: version.version_stages.unwrap_or_default(),
            created_at,
            is_older: false,
        })
    }

    fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|found| found == label)
    }
}

impl Secrets {
    /// Attempts to move `AWSCURRENT` while other changes move it, too.
    const MAX_MOVES: usize = 3;

    /// Cleans up the staging labels of an app's secret. A secret can have 20 labels, and each new version takes one.
    ///
    /// Moves `AWSCURRENT` to the pinned version, for people who read the secret by hand. Removes the own label of a
    /// version that is neither pinned nor previous, so that Secrets Manager deletes the version.
    ///
    /// A version keeps its label if a change in flight may be about to pin it. Such a version is younger than the
    /// pinned one, and was younger than `max_change_time` at `read_at`.
    ///
    /// `read_at` is a time before the app's record was read. A version that is old only now may be pinned since then: a
    /// suspended process continues after hours.
    ///
    /// Labels that remain after a failure do no harm; the next change cleans up again.
    ///
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
    pub async fn tidy_app_secret(
        &self,
        app: &App,
        read_at: Timestamp,
        max_change_time: Duration,
    ) -> Result<(), SecretsError> {
        let name = self.app_secret_name(app.id);
        let versions = self.move_current(&name, app.secret_version_id).await?;
        let read_at = SystemTime::from(read_at);
        for version in &versions {
            let age = version.created_at.and_then(|created_at| read_at.duration_since(created_at).ok());
            let is_left_over = age.is_some_and(|age| age > max_change_time);
            let is_named = |id: SecretVersionId| version.id == id.to_string();
            let is_kept = app.previous_secret.is_some_and(|previous| is_named(previous.version_id))
                || is_named(app.secret_version_id);
            if version.has_label(&version.id) && !is_kept && (version.is_older || is_left_over) {
                moved_by_anyone(self.move_label(&name, &version.id, Some(&version.id), None).await)?;
            }
        }
        Ok(())
    }

    /// Moves `AWSCURRENT` to the pinned version, unless a later rotation has moved it to a younger one. Returns the
    /// versions that had a label before.
    ///
    /// Another change may move the label from an older version to one that is older than the pinned one, too. That one
    /// has to lose it before its own label is removed: `doctor` repairs `AWSCURRENT` only on a version with its own label.
    async fn move_current(&self, name: &str, pinned: SecretVersionId) -> Result<Vec<LabelledVersion>, SecretsError> {
        let mut retries = 1..Self::MAX_MOVES;
        loop {
            let versions = self.labelled_versions(name, pinned).await?;
            let current = versions.iter().find(|version| version.is_older && version.has_label(Self::CURRENT));
            let Some(current) = current else { return Ok(versions) };
            match self.move_label(name, Self::CURRENT, Some(&current.id), Some(pinned)).await {
                Err(SecretsError::LabelMoved { .. }) if retries.next().is_some() => {}
                outcome => return outcome.map(|()| versions),
            }
        }
    }

    async fn labelled_versions(
        &self,
        name: &str,
        pinned: SecretVersionId,
    ) -> Result<Vec<LabelledVersion>, SecretsError> {
        let listing = self.secrets_manager.client().list_secret_version_ids().secret_id(name);
        let listed = send(listing.send()).await.map_err(|error| SecretsError::new(name, error))?;
        let pinned = pinned.to_string();
        let mut versions: Vec<_> =
            listed.versions.unwrap_or_default().into_iter().filter_map(LabelledVersion::new).collect();
        let pinned_created_at = versions.iter().find(|version| version.id == pinned).and_then(|found| found.created_at);
        for version in versions.iter_mut().filter(|version| version.id != pinned) {
            // Some emulators count whole seconds, so that a version created at the same time is usually an older one.
            version.is_older =
                version.created_at.zip(pinned_created_at).is_some_and(|(created, pinned)| created <= pinned);
        }
        Ok(versions)
    }

    /// Removes the label of a version whose rotation was not committed.
    pub async fn release_app_secret(&self, app: AppId, version: SecretVersionId) -> Result<(), SecretsError> {
        let id = version.to_string();
        moved_by_anyone(self.move_label(&self.app_secret_name(app), &id, Some(&id), None).await)
    }

    /// Removes the own label of a version that the app's record does not name.
    ///
    /// Fails while `AWSCURRENT` is on another version than the pinned one: an interrupted clean-up could still move it to
    /// `version`, and `doctor` repairs `AWSCURRENT` only on a version with its own label.
    pub async fn release_orphan(&self, app: &App, version: SecretVersionId) -> Result<(), SecretsError> {
        let state = self.describe(Purpose::AppSecret(app.id)).await?;
        let is_misplaced = state.is_some_and(|state| {
            let current = state.current_version.and_then(|current| current.parse().ok());
            current.is_some_and(|id| id != app.secret_version_id && state.kept_versions.contains(&id))
        });
        if is_misplaced {
            let cause = "AWSCURRENT is not on the version that the app returns".to_owned();
            return Err(SecretsError::LabelMoved { name: self.app_secret_name(app.id), cause });
        }
        self.release_app_secret(app.id, version).await
    }

    /// Cleans up after a change that lost against another one. Moves `AWSCURRENT` back to the version that the app
    /// pins, and removes the own label of the version `lost`.
    pub async fn discard_app_secret(&self, app: &App, lost: SecretVersionId) -> Result<(), SecretsError> {
        // Other changes that lost may move the label at the same time, each away from its own version.
        let mut retries = 1..Self::MAX_MOVES;
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
