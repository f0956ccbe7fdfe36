//! Lists, describes and deletes the secrets under the prefix, without reading their values.

use std::time::SystemTime;

use aws_sdk_secretsmanager::{
    error::SdkError,
    operation::list_secrets::{ListSecretsError, ListSecretsOutput},
    types::{Filter, FilterNameStringType},
};
use aws_smithy_async::future::pagination_stream::PaginationStream;

use super::{Secrets, error::SecretsError};
use crate::{
    aws::send,
    domain::{AppId, SecretVersionId, SigningKeyId},
};

/// The purpose of a secret, which its name shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    AppSecret(AppId),
    /// The private half of an app's signing key.
    SigningKey(AppId, SigningKeyId),
}

impl Purpose {
    #[must_use]
    pub fn app(self) -> AppId {
        match self {
            Self::AppSecret(app) | Self::SigningKey(app, _) => app,
        }
    }
}

/// The state of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretState {
    /// The value of such a secret cannot be read.
    pub is_scheduled_for_deletion: bool,
    /// A secret has a value if one of its versions has a label.
    pub has_value: bool,
    /// The versions that have their own id as a label, so that Secrets Manager keeps them.
    pub kept_versions: Vec<SecretVersionId>,
    /// The id of the version with the label `AWSCURRENT`. If others stored it, the id may be any text.
    pub current_version: Option<String>,
    /// The id of the version with the label `AWSPENDING`, which Secrets Manager's own rotation sets until it is done.
    pub pending_version: Option<String>,
    pub changed_at: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    pub id: SecretVersionId,
    pub created_at: Option<SystemTime>,
}

/// The names of secrets, read page by page, except secrets that are scheduled for deletion.
pub struct SecretNames {
    prefix: String,
    pages: PaginationStream<Result<ListSecretsOutput, SdkError<ListSecretsError>>>,
}

impl SecretNames {
    /// Reads the next page, which may be empty. Returns `None` after the last page.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, SecretsError> {
        let Some(page) = self.pages.next().await else { return Ok(None) };
        let page = page.map_err(|error| SecretsError::new(&self.prefix, error.into()))?;
        let names = page.secret_list.unwrap_or_default().into_iter().filter_map(|secret| secret.name);
        // Some emulators ignore the filter.
        Ok(Some(names.filter(|name| name.starts_with(&self.prefix)).collect()))
    }
}

impl Secrets {
    /// Lists the names of the secrets and private keys of one app, or of all apps.
    #[must_use]
    pub fn list_names(&self, app: Option<AppId>) -> SecretNames {
        let prefix = match app {
            None => format!("{}/apps/", self.prefix),
            Some(app) => format!("{}/apps/{app}/", self.prefix),
        };
        let filter = Filter::builder().key(FilterNameStringType::Name).values(&prefix).build();
        let pages = self.secrets_manager.client().list_secrets().filters(filter).into_paginator().send();
        SecretNames { prefix, pages }
    }

    /// Returns the purpose of the secret with this name; `None` if this system never gives the name.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<Purpose> {
        let (app, rest) = name.strip_prefix(&self.prefix)?.strip_prefix("/apps/")?.split_once('/')?;
        let app = app.parse().ok()?;
        let purpose = match rest.strip_prefix("signing-keys/") {
            Some(key) => Purpose::SigningKey(app, key.parse().ok()?),
            None => Purpose::AppSecret(app),
        };
        (self.name(purpose) == name).then_some(purpose)
    }

    #[must_use]
    pub fn name(&self, purpose: Purpose) -> String {
        match purpose {
            Purpose::AppSecret(app) => self.app_secret_name(app),
            Purpose::SigningKey(app, key) => self.signing_key_name(app, key),
        }
    }

    /// Reads the state of a secret, if the secret exists.
    pub async fn describe(&self, purpose: Purpose) -> Result<Option<SecretState>, SecretsError> {
        let name = self.name(purpose);
        let secret = match send(self.secrets_manager.client().describe_secret().secret_id(&name).send()).await {
            Ok(secret) => secret,
            Err(error) if error.code.as_deref() == Some(SecretsError::MISSING) => return Ok(None),
            Err(error) => return Err(SecretsError::new(&name, error)),
        };
        let versions = secret.version_ids_to_stages.unwrap_or_default();
        let labelled = |label: &str| {
            let found = versions.iter().find(|(_, labels)| labels.iter().any(|found| found == label));
            found.map(|(id, _)| id.clone())
        };
        Ok(Some(SecretState {
            is_scheduled_for_deletion: secret.deleted_date.is_some(),
            has_value: versions.values().any(|labels| !labels.is_empty()),
            kept_versions: versions
                .iter()
                .filter(|(id, labels)| labels.contains(id))
                .filter_map(|(id, _)| id.parse().ok())
                .collect(),
            current_version: labelled(Self::CURRENT),
            pending_version: labelled("AWSPENDING"),
            changed_at: secret.last_changed_date.or(secret.created_date).and_then(|moment| moment.try_into().ok()),
        }))
    }

    /// The most that Secrets Manager allows.
    const VERSIONS_PER_PAGE: i32 = 100;

    /// Lists all versions of an app's secret, including those without a label.
    pub async fn app_secret_versions(&self, app: AppId) -> Result<Vec<SecretVersion>, SecretsError> {
        let name = self.app_secret_name(app);
        let list = self.secrets_manager.client().list_secret_version_ids().secret_id(&name).include_deprecated(true);
        let mut pages = list.into_paginator().page_size(Self::VERSIONS_PER_PAGE).send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| SecretsError::new(&name, error.into()))?;
            versions.extend(page.versions.unwrap_or_default().into_iter().filter_map(|version| {
                let created_at = version.created_date.and_then(|moment| moment.try_into().ok());
                Some(SecretVersion { id: version.version_id?.parse().ok()?, created_at })
            }));
        }
        Ok(versions)
    }

    /// Gives a version of an app's secret its own label, so that Secrets Manager keeps it.
    pub async fn keep_app_secret(&self, app: AppId, version: SecretVersionId) -> Result<(), SecretsError> {
        self.move_label(&self.app_secret_name(app), &version.to_string(), None, Some(version)).await
    }

    /// Restores a secret that is scheduled for deletion.
    pub async fn restore(&self, purpose: Purpose) -> Result<(), SecretsError> {
        let name = self.name(purpose);
        let restored = send(self.secrets_manager.client().restore_secret().secret_id(&name).send()).await;
        restored.map(drop).map_err(|error| SecretsError::new(&name, error))
    }

    /// Schedules the deletion of a secret, with Secrets Manager's recovery window of 30 days. Does nothing if the
    /// deletion is scheduled already or the secret does not exist.
    pub async fn schedule_deletion(&self, purpose: Purpose) -> Result<(), SecretsError> {
        self.delete(&self.name(purpose)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::SecretsManager;

    #[test]
    fn name_shows_purpose_of_secret() {
        let config = aws_sdk_secretsmanager::Config::builder().behavior_version_latest().build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        let secrets = Secrets::new(SecretsManager::from_sdk(client, None), &"prefix".parse().unwrap(), None);
        let (app, key) = (AppId::random(), SigningKeyId::random());
        for purpose in [Purpose::AppSecret(app), Purpose::SigningKey(app, key)] {
            assert_eq!(secrets.purpose(&secrets.name(purpose)), Some(purpose));
            assert_eq!(purpose.app(), app);
        }
        let upper_case = secrets.app_secret_name(app).to_uppercase();
        for other in
            ["", "prefix/apps/", &format!("prefix/apps/{app}/other"), &format!("x/apps/{app}/secret"), &upper_case]
        {
            assert_eq!(secrets.purpose(other), None, "{other}");
        }
    }
}
