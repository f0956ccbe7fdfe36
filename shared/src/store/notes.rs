//! Updates of API keys' records: the last use, and the last fetched version of the secret.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Store, error::StoreError, item};
use crate::domain::{ApiKey, ApiKeyHash, AppId, SecretFetch, Timestamp};

impl Store {
    /// Stores that an API key was used at `now`: only forward in time, at most once an hour. Does not check for a
    /// revocation, so that the permission needs no `revokedAt`; the last use of a revoked key does no harm.
    pub async fn note_use(&self, app: AppId, hash: &ApiKeyHash, now: Timestamp) -> Result<(), StoreError> {
        let update = self
            .update_item(item::api_key_key(app, hash))
            .update_expression("SET #used = :now")
            .condition_expression("attribute_exists(#pk) AND (attribute_not_exists(#used) OR #used <= :old)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#used", item::LAST_USED_AT)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(
                ":old",
                AttributeValue::S(now.before(ApiKey::LAST_USED_PRECISION).to_string()),
            );
        self.update_if_possible(update).await
    }

    /// Stores which version of the secret a read key fetched: once for each version, only forward in time.
    pub async fn note_fetch(&self, app: AppId, hash: &ApiKeyHash, fetch: SecretFetch) -> Result<(), StoreError> {
        let update = self
            .update_item(item::api_key_key(app, hash))
            .update_expression("SET #version = :version, #at = :now")
            .condition_expression(
                "attribute_exists(#pk) AND (attribute_not_exists(#at) OR (#at < :now AND #version <> :version))",
            )
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#version", item::FETCHED_VERSION_ID)
            .expression_attribute_names("#at", item::FETCHED_AT)
            .expression_attribute_values(":version", AttributeValue::S(fetch.version_id.to_string()))
            .expression_attribute_values(":now", AttributeValue::S(fetch.at.to_string()));
        self.update_if_possible(update).await
    }
}
