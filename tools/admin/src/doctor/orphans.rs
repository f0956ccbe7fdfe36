use std::collections::HashSet;

use userdocks::{
    domain::{App, AppId, SigningKeyState, Timestamp},
    secrets::Purpose,
};

use super::{
    Doctor,
    finding::{Finding, Repair},
};
use crate::AdminError;

/// Checks of the secrets under the prefix.
impl Doctor<'_> {
    pub(super) async fn examine_secrets(&mut self, app: Option<AppId>) -> Result<(), AdminError> {
        let mut pages = self.services.secrets.list_names(app);
        while let Some(names) = pages.next().await? {
            let purposes = names.into_iter().map(|name| (self.services.secrets.purpose(&name), name));
            let (known, unknown): (Vec<_>, Vec<_>) = purposes.partition(|(purpose, _)| purpose.is_some());
            let known: Vec<Purpose> = known.into_iter().filter_map(|(purpose, _)| purpose).collect();
            let owners: HashSet<AppId> = known.iter().map(|purpose| purpose.app()).collect();
            let apps = self.services.store.find_apps(owners).await?;
            self.report(unknown.into_iter().map(|(_, name)| unknown_secret(name)).collect()).await?;
            for purpose in known {
                let app = match apps.get(&purpose.app()) {
                    None => None,
                    Some(Ok(app)) => Some(app),
                    // The record is corrupt, so its secrets are unknown.
                    Some(Err(_)) => continue,
                };
                if self.orphan(app, purpose).is_some() {
                    let finding = self.examine_orphan(purpose).await?;
                    self.report(finding.into_iter().collect()).await?;
                }
            }
        }
        Ok(())
    }

    /// Checks a possible orphan again just before its repair. Listings of secrets are some minutes old, and a running command
    /// may be creating the secret's app.
    async fn examine_orphan(&mut self, purpose: Purpose) -> Result<Option<Finding>, AdminError> {
        let app = self.services.store.find_app(purpose.app()).await?;
        let Some(mut finding) = self.orphan(app.as_ref(), purpose) else { return Ok(None) };
        let belongs = match &app {
            Some(app) => self.pins_existing_version(app).await?,
            None => self.table_fits().await?,
        };
        if !belongs {
            finding.repair = None;
            finding.detail.push_str(
                "; the table pins no version under this prefix; check that the table and the prefix belong to the same stage",
            );
        }
        let state = self.services.secrets.describe(purpose).await?;
        let exists = state.is_some_and(|state| !state.is_scheduled_for_deletion && self.is_old(state.changed_at));
        Ok(exists.then_some(finding))
    }

    async fn pins_existing_version(&self, app: &App) -> Result<bool, AdminError> {
        let state = self.services.secrets.describe(Purpose::AppSecret(app.id)).await?;
        Ok(state.is_some_and(|state| state.kept_versions.contains(&app.secret_version_id)))
    }

    /// Returns whether one of the table's first apps has its pinned version under the prefix.
    async fn table_fits(&mut self) -> Result<bool, AdminError> {
        /// More than one app, because a single app's secret may be lost.
        const CHECKED_APPS: usize = 10;
        if let Some(known) = self.table_fits {
            return Ok(known);
        }
        let mut pages = self.services.store.apps();
        let mut apps = Vec::new();
        while let Some(page) = pages.next().await? {
            apps.extend(page.into_iter().flatten().take(CHECKED_APPS - apps.len()));
            if apps.len() == CHECKED_APPS {
                break;
            }
        }
        let mut fits = false;
        for app in &apps {
            fits = fits || self.pins_existing_version(app).await?;
        }
        self.table_fits = Some(fits);
        Ok(fits)
    }

    /// Reports a secret whose app does not exist, or a private key whose public key is revoked or not in the app's record.
    fn orphan(&self, app: Option<&App>, purpose: Purpose) -> Option<Finding> {
        let Some(app) = app else {
            return Some(secret_without_app(purpose, self.services.secrets.name(purpose)));
        };
        let Purpose::SigningKey(_, id) = purpose else { return None };
        let long_ago = Timestamp::now().before(self.min_age);
        let detail = match app.signing_keys.get(id) {
            Err(_) => "the app has no such signing key",
            Ok(key) if key.state == SigningKeyState::Revoked && key.updated_at <= long_ago => {
                "the signing key is revoked"
            }
            Ok(_) => return None,
        };
        Some(Finding {
            kind: "orphaned-private-key",
            app: Some(app.id),
            id: id.to_string(),
            detail: detail.to_owned(),
            repair: Some(Repair::ScheduleDeletion(purpose)),
        })
    }
}

fn unknown_secret(name: String) -> Finding {
    let detail = "this name under the prefix is not one that userdocks uses".to_owned();
    Finding { kind: "unknown-secret", app: None, id: name, detail, repair: None }
}

fn secret_without_app(purpose: Purpose, name: String) -> Finding {
    Finding {
        kind: "secret-without-app",
        app: Some(purpose.app()),
        id: name,
        detail: "the app does not exist".to_owned(),
        repair: Some(Repair::ScheduleDeletion(purpose)),
    }
}
