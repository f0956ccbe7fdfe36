use std::iter::once;

use futures_util::{StreamExt, TryStreamExt, stream};
use userdocks::{
    domain::{App, SecretVersionId, SigningKeyState, Timestamp},
    secrets::{Purpose, SecretState, SecretVersion},
};

use super::{
    Doctor,
    finding::{Finding, Repair},
};
use crate::AdminError;

/// Secrets Manager allows thousands of these calls per second.
const CONCURRENT_CHECKS: usize = 8;

/// Checks of the secrets of existing apps.
impl Doctor<'_> {
    pub(super) async fn examine_apps(&mut self, apps: Vec<App>) -> Result<(), AdminError> {
        let this = &*self;
        let examined = stream::iter(apps).map(|app| async move {
            if this.examine_app(&app).await?.is_empty() {
                return Ok(vec![]);
            }
            // A change may have been under way, so only a second check counts.
            match this.services.store.find_app(app.id).await? {
                Some(app) => this.examine_app(&app).await,
                None => Ok(vec![]),
            }
        });
        let findings: Vec<Vec<Finding>> = examined.buffered(CONCURRENT_CHECKS).try_collect().await?;
        self.report(findings.into_iter().flatten().collect()).await
    }

    async fn examine_app(&self, app: &App) -> Result<Vec<Finding>, AdminError> {
        let mut findings = Vec::new();
        let purpose = Purpose::AppSecret(app.id);
        match self.services.secrets.describe(purpose).await? {
            Some(state) if !state.is_scheduled_for_deletion => {
                findings.extend(self.examine_versions(app, &state).await?);
            }
            state => findings.extend(self.unavailable(app, purpose, state.as_ref())),
        }
        let generated = app.signing_keys.iter().filter(|key| !key.is_imported && key.state != SigningKeyState::Revoked);
        for key in generated {
            let purpose = Purpose::SigningKey(app.id, key.id);
            let state = self.services.secrets.describe(purpose).await?;
            findings.extend(self.unavailable(app, purpose, state.as_ref()));
        }
        Ok(findings)
    }

    /// Reports a secret of the record that has no value or is scheduled for deletion.
    fn unavailable(&self, app: &App, purpose: Purpose, state: Option<&SecretState>) -> Option<Finding> {
        let (id, scheduled, missing, remedy) = match purpose {
            Purpose::AppSecret(_) => (
                self.services.secrets.name(purpose),
                "secret-scheduled-for-deletion",
                "secret-missing",
                "create an empty secret of this name in Secrets Manager, then `secret set` or `secret rotate`",
            ),
            Purpose::SigningKey(_, key) => (
                key.to_string(),
                "private-key-scheduled-for-deletion",
                "private-key-missing",
                "`signing-key create`, then `activate` the new key and `revoke` this one",
            ),
        };
        let (kind, detail, repair) = match state {
            Some(state) if state.is_scheduled_for_deletion && app.is_disabled => (
                scheduled,
                "the app is disabled; finish `app delete`, or restore the secret in Secrets Manager".to_owned(),
                None,
            ),
            Some(state) if state.is_scheduled_for_deletion => {
                (scheduled, "the app needs this secret".to_owned(), Some(Repair::Restore(purpose)))
            }
            Some(state) if state.has_value => return None,
            _ => (missing, format!("the secret is gone or has no value; {remedy}"), None),
        };
        Some(Finding { kind, app: Some(app.id), id, detail, repair })
    }

    async fn examine_versions(&self, app: &App, state: &SecretState) -> Result<Vec<Finding>, AdminError> {
        let pinned = app.secret_version_id;
        // A previous version keeps its label after the overlap, until the next change.
        let kept = app.previous_secret.map(|previous| previous.version_id);
        let previous = app.previous_secret(Timestamp::now()).map(|previous| previous.version_id);
        let is_needed = |version: SecretVersionId| version == pinned || Some(version) == previous;
        let needed = once(pinned).chain(previous);
        let is_consistent = needed.clone().all(|version| state.kept_versions.contains(&version))
            && state.kept_versions.iter().all(|version| is_needed(*version) || Some(*version) == kept)
            && state.current_version.as_ref().is_none_or(|current| *current == pinned.to_string())
            && state.pending_version.as_ref().is_none_or(|pending| *pending == pinned.to_string());
        if is_consistent {
            return Ok(vec![]);
        }
        let versions = self.services.secrets.app_secret_versions(app.id).await?;
        let labels = self.examine_labels(app, state, &versions);
        let finding = |kind, version: SecretVersionId, detail: &str, repair| Finding {
            kind,
            app: Some(app.id),
            id: version.to_string(),
            detail: detail.to_owned(),
            repair,
        };
        let missing = needed.filter(|version| !state.kept_versions.contains(version)).map(|version| {
            if versions.iter().any(|found| found.id == version) {
                let detail =
                    "the app returns this version, but it has lost its label, so Secrets Manager may delete it";
                finding("unlabelled-version", version, detail, Some(Repair::Keep(app.id, version)))
            } else if version == pinned {
                let detail = "the app returns this version, but it is gone; use `secret set` or `secret rotate`";
                finding("pinned-version-missing", version, detail, None)
            } else {
                let detail =
                    "the app returns this version as the previous one, but it is gone; use `secret end-overlap`";
                finding("previous-version-missing", version, detail, None)
            }
        });
        let is_pinned_there = versions.iter().any(|version| version.id == pinned);
        let left_over = versions
            .iter()
            .filter(|version| state.kept_versions.contains(&version.id))
            .filter(|version| !is_needed(version.id) && Some(version.id) != kept && self.is_old(version.created_at))
            .map(|version| {
                let detail = "no record names this version of the app's secret, but its label keeps it";
                let repair = is_pinned_there.then_some(Repair::Release(Box::new(app.clone()), version.id));
                finding("orphaned-version", version.id, detail, repair)
            });
        // AWSCURRENT moves first, while the version still has the label that shows that userdocks stored it.
        Ok(labels.into_iter().chain(missing).chain(left_over).collect())
    }

    /// Checks AWSCURRENT and AWSPENDING, which the console and Secrets Manager's own rotation use.
    fn examine_labels(&self, app: &App, state: &SecretState, versions: &[SecretVersion]) -> Vec<Finding> {
        let pinned = app.secret_version_id;
        let named = |id: &str| versions.iter().find(|version| version.id.to_string() == id);
        // A version id that is not a UUID does not belong to a running change.
        let is_old = |id: &str| named(id).is_none_or(|version| self.is_old(version.created_at));
        let finding = |kind, id: &str, detail: &str, repair| Finding {
            kind,
            app: Some(app.id),
            id: id.to_owned(),
            detail: detail.to_owned(),
            repair,
        };
        let mut findings = Vec::new();
        let current = state.current_version.as_ref().filter(|current| **current != pinned.to_string());
        if let Some(current) = current.filter(|_| named(&pinned.to_string()).is_some()) {
            let is_ours = state.kept_versions.iter().any(|kept| kept.to_string() == *current);
            if !is_ours {
                let detail = "AWSCURRENT is on this version, which userdocks did not store and the API does not return; pass \
                              its value to `secret set`, or move AWSCURRENT back to the version that `app show` names";
                findings.push(finding("foreign-current-version", current, detail, None));
            } else if is_old(current) && is_old(&pinned.to_string()) {
                let detail = "AWSCURRENT is on this version, but the API returns another one";
                let repair = Repair::ReturnCurrent(Box::new(app.clone()), current.clone());
                findings.push(finding("misplaced-current-label", current, detail, Some(repair)));
            }
        }
        let pending = state.pending_version.as_ref().filter(|pending| **pending != pinned.to_string());
        if let Some(pending) = pending.filter(|pending| is_old(pending)) {
            let detail = "AWSPENDING is on this version, because Secrets Manager's own rotation began and did not end; turn that \
                          off, and remove the label with `aws secretsmanager update-secret-version-stage`";
            findings.push(finding("pending-version", pending, detail, None));
        }
        findings
    }
}
