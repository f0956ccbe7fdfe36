use serde::Serialize;

use super::listed_type::ListedType;
use crate::domain::SigningKey;

/// The only type of listed signing keys.
const PUBLIC: ListedType = ListedType::new("appkeytype_11111111-1111-1111-1111-111111111111", "public");

/// A signing key in the list envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSigningKey<'a> {
    uuid: String,
    created_at: String,
    updated_at: String,
    r#type: ListedType,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl<'a> ListedSigningKey<'a> {
    #[must_use]
    pub fn new(key: &'a SigningKey) -> Self {
        Self {
            uuid: key.id.to_string(),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            r#type: PUBLIC,
            value: key.public_key.as_pem(),
            state: None,
        }
    }

    /// Adds the key's state, for responses to writes.
    #[must_use]
    pub fn with_state(key: &'a SigningKey) -> Self {
        Self { state: Some(key.state.name()), ..Self::new(key) }
    }
}
