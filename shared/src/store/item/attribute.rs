use std::{collections::HashMap, fmt};

use aws_sdk_dynamodb::types::AttributeValue;

/// An item in the SDK's form.
pub type Attributes = HashMap<String, AttributeValue>;

pub const PK: &str = "pk";
pub const SK: &str = "sk";
/// From when on DynamoDB may delete an item, in seconds since 1970.
pub const TTL: &str = "ttl";
pub const UUID: &str = "uuid";
pub const NAME: &str = "name";
pub const CREATED_AT: &str = "createdAt";
pub const UPDATED_AT: &str = "updatedAt";

/// Counts an app's changes.
pub const VERSION: &str = "version";
pub const IS_DISABLED: &str = "isDisabled";
pub const SECRET_VERSION_ID: &str = "secretVersionId";
pub const PREVIOUS_SECRET_VERSION_ID: &str = "previousSecretVersionId";
pub const PREVIOUS_SECRET_EXPIRES_AT: &str = "previousSecretExpiresAt";
pub const SIGNING_KEYS: &str = "signingKeys";

pub const STATE: &str = "state";
pub const PUBLIC_KEY: &str = "publicKey";
pub const IS_IMPORTED: &str = "isImported";

pub const TYPE: &str = "type";
pub const HINT: &str = "hint";
pub const EXPIRES_AT: &str = "expiresAt";
pub const REVOKED_AT: &str = "revokedAt";
pub const LAST_USED_AT: &str = "lastUsedAt";

pub const REQUEST: &str = "request";
/// The result of a write. Named before results were called so; records of earlier versions must stay readable.
pub const RESULT: &str = "answer";

pub fn text(attribute: &str, value: impl fmt::Display) -> (String, AttributeValue) {
    (attribute.to_owned(), AttributeValue::S(value.to_string()))
}

pub fn number(attribute: &str, value: u64) -> (String, AttributeValue) {
    (attribute.to_owned(), AttributeValue::N(value.to_string()))
}

pub fn boolean(attribute: &str, value: bool) -> (String, AttributeValue) {
    (attribute.to_owned(), AttributeValue::Bool(value))
}
