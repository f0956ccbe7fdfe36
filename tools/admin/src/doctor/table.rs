use std::collections::HashSet;

use userdocks::{
    domain::{ApiKey, App, AppId, Timestamp},
    secrets::Purpose,
    store::{Record, StoreError},
};

use super::{
    Doctor,
    api_keys::SeenApiKeys,
    finding::{Finding, Repair},
};
use crate::AdminError;

/// The API keys of an app whose record has not been read yet.
struct WithoutApp {
    app: AppId,
    keys: Vec<ApiKey>,
}

/// Checks of the table's items.
impl Doctor<'_> {
    pub(super) async fn examine_table(&mut self, app: Option<AppId>) -> Result<(), AdminError> {
        let mut pages = self.services.store.records(app);
        let mut without_app: Option<WithoutApp> = None;
        let mut seen = SeenApiKeys::default();
        while let Some(records) = pages.next().await? {
            let (mut findings, mut apps, mut keys, mut index) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for record in records {
                match record {
                    Err(corrupt) => findings.push(Finding::corrupt_item(&corrupt)),
                    Ok(Record::StoredResult(_)) => {}
                    Ok(Record::Index(item)) => index.push(item),
                    Ok(Record::App(app)) => {
                        without_app = without_app.filter(|group| group.app != app.id);
                        findings.extend(repeated_signing_keys(&app));
                        apps.push(*app);
                    }
                    Ok(Record::ApiKey(app, key)) => {
                        findings.extend(seen.repeated_id(app, &key));
                        keys.push((app, (*key).clone()));
                        match &mut without_app {
                            Some(group) if group.app == app => group.keys.push(*key),
                            _ => {
                                let before = without_app.replace(WithoutApp { app, keys: vec![*key] });
                                findings.extend(self.api_keys_without_app(before).await?);
                            }
                        }
                    }
                }
            }
            findings.extend(self.examine_index_of(keys, app.is_some(), &mut seen).await?);
            findings.extend(self.examine_index(index).await?);
            self.report(findings).await?;
            self.examine_apps(apps).await?;
        }
        let findings = self.api_keys_without_app(without_app).await?;
        self.report(findings).await
    }

    /// Finds API keys without an app. Reads the app again, because its record may be on another page.
    async fn api_keys_without_app(&self, group: Option<WithoutApp>) -> Result<Vec<Finding>, AdminError> {
        let Some(WithoutApp { app, keys }) = group else { return Ok(vec![]) };
        match self.services.store.find_app(app).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(StoreError::Corrupt(_)) => return Ok(vec![]),
            Err(error) => return Err(error.into()),
        }
        // Imported keys keep their old times, so the age of the app's secret shows whether the import is still running.
        let secret = self.services.secrets.describe(Purpose::AppSecret(app)).await?;
        if secret.is_some_and(|secret| !self.is_old(secret.changed_at)) {
            return Ok(vec![]);
        }
        let long_ago = Timestamp::now().before(self.min_age);
        let old = keys.into_iter().filter(|key| key.updated_at <= long_ago);
        Ok(old
            .map(|key| Finding {
                kind: "api-key-without-app",
                app: Some(app),
                id: key.id.to_string(),
                detail: "the app does not exist; the key would be accepted if an app of this id were created"
                    .to_owned(),
                repair: Some(Repair::DeleteApiKey(app, key.hash)),
            })
            .collect())
    }
}

fn repeated_signing_keys(app: &App) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let repeated = app.signing_keys.iter().filter(|key| !seen.insert(key.id));
    repeated
        .map(|key| Finding {
            kind: "repeated-signing-key-id",
            app: Some(app.id),
            id: key.id.to_string(),
            detail:
                "the app has another signing key of this id, and verifiers may use the wrong one; use `signing-key \
                     create`, then `activate`"
                    .to_owned(),
            repair: None,
        })
        .collect()
}
