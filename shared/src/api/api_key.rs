use serde::Serialize;

use super::listed_type::ListedType;
use crate::domain::{ApiKey, ApiKeyId, ApiKeyType, Timestamp};

/// An API key in the list envelope (`appApiKeys`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedApiKey<'a> {
    uuid: String,
    created_at: String,
    updated_at: String,
    r#type: ListedType,
    name: &'a str,
    hint: &'a str,
    status: &'static str,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
    issued_by: Option<String>,
    allowed_cidrs: Option<Vec<String>>,
    is_caller: bool,
}

/// A new API key and its value, which only the first response shows; `None` in the response to a replay.
#[derive(Serialize)]
pub struct CreatedApiKey<'a> {
    #[serde(flatten)]
    pub key: ListedApiKey<'a>,
    pub value: Option<&'a str>,
}

impl<'a> ListedApiKey<'a> {
    pub const KIND: &'static str = "appApiKeys";

    #[must_use]
    pub fn new(key: &'a ApiKey, caller: ApiKeyId, now: Timestamp) -> Self {
        let text = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
        Self {
            uuid: key.id.to_string(),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            r#type: listed_type(key.kind),
            name: &key.name,
            hint: &key.hint,
            status: key.status(now).name(),
            expires_at: text(key.expires_at),
            revoked_at: text(key.revoked_at),
            last_used_at: text(key.last_used_at),
            issued_by: key.issued_by.map(|id| id.to_string()),
            allowed_cidrs: Some(key.allow_list.networks().map(|network| network.to_string()).collect()),
            is_caller: key.id == caller,
        }
    }

    /// Hides the allow list if the key is not the caller's.
    #[must_use]
    pub fn without_foreign_allow_list(mut self) -> Self {
        self.allowed_cidrs = self.allowed_cidrs.filter(|_| self.is_caller);
        self
    }
}

fn listed_type(kind: ApiKeyType) -> ListedType {
    let uuid = match kind {
        ApiKeyType::Read => "appapikeytype_11111111-1111-1111-1111-111111111111",
        ApiKeyType::Write => "appapikeytype_22222222-2222-2222-2222-222222222222",
    };
    ListedType::new(uuid, kind.name())
}
