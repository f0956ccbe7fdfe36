use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use aws_sdk_dynamodb::types::AttributeValue;

/// An item in the SDK's form.
pub type Attributes = HashMap<String, AttributeValue>;

pub const PK: &str = "pk";
pub const SK: &str = "sk";
/// The time from which DynamoDB may delete an item, in seconds since 1970.
pub const TTL: &str = "ttl";
pub const UUID: &str = "uuid";
pub const NAME: &str = "name";
pub const CREATED_AT: &str = "createdAt";
pub const UPDATED_AT: &str = "updatedAt";

/// Counts an app's changes, for optimistic locking.
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
/// 0 for a key that was issued without end. Records of earlier versions lack the attribute.
pub const LIFETIME_SECONDS: &str = "lifetimeSeconds";
pub const ISSUED_BY: &str = "issuedBy";
pub const ALLOWED_CIDRS: &str = "allowedCidrs";
pub const FETCHED_VERSION_ID: &str = "fetchedVersionId";
pub const FETCHED_AT: &str = "fetchedAt";

/// The app of the API key that an index item finds.
pub const APP: &str = "app";

pub const REQUEST: &str = "request";
/// The result of a write. Records of earlier versions must stay readable, so the name does not change.
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

pub fn texts(attribute: &str, values: impl Iterator<Item = impl fmt::Display>) -> (String, AttributeValue) {
    (attribute.to_owned(), AttributeValue::L(values.map(|value| AttributeValue::S(value.to_string())).collect()))
}

/// Attributes to set or, with `None`, to remove.
pub type Changes = BTreeMap<String, Option<AttributeValue>>;

/// Returns the changes that turn the item `before` into the item `after`.
pub fn difference(before: Attributes, mut after: Attributes) -> Changes {
    let differing = before.into_iter().filter_map(|(name, value)| match after.remove(&name) {
        Some(new) if new == value => None,
        other => Some((name, other)),
    });
    let mut differing: Changes = differing.collect();
    differing.extend(after.into_iter().map(|(name, value)| (name, Some(value))));
    differing
}
