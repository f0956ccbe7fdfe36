use super::{AppId, SecretVersionId, SigningKeys, Timestamp};

/// An app of the platform and everything that is public or merely named about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its id, in every path.
    pub id: AppId,
    /// What people call it.
    pub name: String,
    /// Whether its API keys are refused with E4030.
    pub is_disabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// Counts the changes of the record; each change is conditional on the count it read.
    pub version: u64,
    /// Which version of its secret is handed out.
    pub secret_version_id: SecretVersionId,
    /// The keys that its tokens are signed with.
    pub signing_keys: SigningKeys,
}

impl App {
    /// A new, enabled app.
    #[must_use]
    pub fn new(
        id: AppId,
        name: String,
        secret_version_id: SecretVersionId,
        signing_keys: SigningKeys,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            name,
            is_disabled: false,
            created_at: now,
            updated_at: now,
            version: 1,
            secret_version_id,
            signing_keys,
        }
    }
}
