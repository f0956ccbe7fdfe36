use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyHash, App, AppId, SecretVersionId},
    secrets::Purpose,
    store::CorruptItem,
};

use crate::AdminError;

/// An inconsistency.
pub struct Finding {
    pub kind: &'static str,
    pub app: Option<AppId>,
    /// The id of a version or key, the name of a secret, or the primary key of an item.
    pub id: String,
    /// The meaning, and instructions for the operator if there is no repair.
    pub detail: String,
    pub repair: Option<Repair>,
}

/// A repair that can be undone for 30 days, except the removal of a label.
pub enum Repair {
    Keep(AppId, SecretVersionId),
    Release(Box<App>, SecretVersionId),
    ReturnCurrent(Box<App>, String),
    Restore(Purpose),
    ScheduleDeletion(Purpose),
    DeleteApiKey(AppId, ApiKeyHash),
    WriteIndex(AppId, Box<ApiKey>),
    DeleteIndex(AppId, ApiKeyHash),
    /// Replaces the index item that names the first app, which does not have the key.
    ReplaceIndex(AppId, AppId, Box<ApiKey>),
}

impl Repair {
    fn description(&self) -> &'static str {
        match self {
            Self::Keep(..) => "add the version's label again",
            Self::Release(..) => "remove the label, so that Secrets Manager deletes the version",
            Self::ReturnCurrent(..) => "move AWSCURRENT to the version that the app returns",
            Self::Restore(..) => "restore the secret",
            Self::ScheduleDeletion(..) => "schedule the secret's deletion in 30 days",
            Self::DeleteApiKey(..) => "delete the record, which the table's point-in-time recovery keeps",
            Self::WriteIndex(..) => "write the index item",
            Self::DeleteIndex(..) => "delete the index item",
            Self::ReplaceIndex(..) => "replace the index item",
        }
    }

    pub async fn carry_out(&self, services: &Services) -> Result<(), AdminError> {
        let Services { secrets, store, .. } = services;
        match self {
            Self::Keep(app, version) => secrets.keep_app_secret(*app, *version).await?,
            Self::Release(app, version) => secrets.release_orphan(app, *version).await?,
            Self::ReturnCurrent(app, version) => secrets.return_current(app, version).await?,
            Self::Restore(purpose) => secrets.restore(*purpose).await?,
            Self::ScheduleDeletion(purpose) => secrets.schedule_deletion(*purpose).await?,
            Self::DeleteApiKey(app, hash) => store.delete_api_key_without_app(*app, hash).await?,
            Self::WriteIndex(app, key) => store.repair_index(*app, key).await?,
            Self::DeleteIndex(app, hash) => store.delete_index_without_key(*app, hash).await?,
            Self::ReplaceIndex(other, app, key) => {
                store.delete_index_without_key(*other, &key.hash).await?;
                store.repair_index(*app, key).await?;
            }
        }
        Ok(())
    }
}

impl Finding {
    pub fn corrupt_item(corrupt: &CorruptItem) -> Self {
        Self {
            kind: "corrupt-item",
            app: corrupt.app,
            id: corrupt.item.clone(),
            detail: format!("attribute {} is {}", corrupt.attribute, corrupt.problem),
            repair: None,
        }
    }

    pub fn row(&self, is_repaired: bool, failed: Option<&AdminError>) -> Value {
        let detail = match failed {
            Some(error) => format!("{}; the repair failed: {error}", self.detail),
            None => self.detail.clone(),
        };
        json!({
            "kind": self.kind,
            "app": self.app.map(|app| app.to_string()),
            "id": self.id,
            "isRepaired": is_repaired,
            "repair": self.repair.as_ref().map(Repair::description),
            "detail": detail,
        })
    }
}
