//! Index items: they find an API key's app from the key's hash.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, Delete, TransactWriteItem, builders::DeleteBuilder},
};
use tokio::time::sleep;

use super::{
    Store,
    error::StoreError,
    item::{self, CorruptItem},
    transactions::{into_transaction, waits_after_conflict},
};
use crate::{
    aws::{Item, send},
    domain::{ApiKey, ApiKeyHash, AppId, Timestamp},
};

/// Accepts no index item of another app.
const NONE_OR_OF_APP: &str = "attribute_not_exists(#pk) OR #app = :app";

/// The keys that `BatchGetItem` takes.
const AT_A_TIME: usize = 100;

impl Store {
    /// Returns the API keys of those hashes that index items find, with their apps, and the items that are not readable.
    pub async fn find_api_keys(
        &self,
        hashes: &[ApiKeyHash],
    ) -> Result<(Vec<(AppId, ApiKey)>, Vec<CorruptItem>), StoreError> {
        let (mut places, mut corrupt) = (Vec::new(), Vec::new());
        for (hash, app) in self.find_index_items(hashes).await? {
            match app {
                Ok(app) => places.push((app, hash)),
                Err(error) => corrupt.push(error),
            }
        }
        let (keys, corrupt_keys) = self.find_api_keys_of_apps(&places).await?;
        corrupt.extend(corrupt_keys);
        Ok((keys, corrupt))
    }

    /// Returns the apps that the index items of those distinct hashes name.
    pub async fn find_index_items(
        &self,
        hashes: &[ApiKeyHash],
    ) -> Result<HashMap<ApiKeyHash, Result<AppId, CorruptItem>>, StoreError> {
        let mut found = HashMap::new();
        for hashes in hashes.chunks(AT_A_TIME) {
            for index in self.find_all(hashes.iter().map(item::index_key).collect()).await? {
                let hash = item::hash_of_index(&index)?;
                found.insert(hash, item::to_index(index).map(|index| index.app));
            }
        }
        Ok(found)
    }

    /// Returns those of some distinct API keys that have a record, with their apps, and the records that are not readable.
    pub async fn find_api_keys_of_apps(
        &self,
        places: &[(AppId, ApiKeyHash)],
    ) -> Result<(Vec<(AppId, ApiKey)>, Vec<CorruptItem>), StoreError> {
        let (mut keys, mut corrupt) = (Vec::new(), Vec::new());
        for places in places.chunks(AT_A_TIME) {
            let wanted = places.iter().map(|(app, hash)| item::api_key_key(*app, hash)).collect();
            for record in self.find_all(wanted).await? {
                match item::to_api_key_of_app(record) {
                    Ok(key) => keys.push(key),
                    Err(error) => corrupt.push(error),
                }
            }
        }
        Ok((keys, corrupt))
    }

    /// Stores the index item of an API key that has none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the app does not have the key, or its index item names another app.
    pub async fn repair_index(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let has_key = self.check(item::api_key_key(app, &key.hash), "attribute_exists(#pk)");
        self.transact([has_key, self.put_index(app, key)]).await
    }

    /// Deletes an index item that names an app without the key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the app has the key, or the index item does not name it.
    pub async fn delete_index_without_key(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        let has_no_key = self.check(item::api_key_key(app, hash), "attribute_not_exists(#pk)");
        let deletion = self
            .index_deletion(app, item::index_key(hash), "#app = :app")
            .build()
            .map(|deletion| TransactWriteItem::builder().delete(deletion).build());
        self.transact([has_no_key, deletion]).await
    }

    /// Revokes a leaked key by a conditional write of its own. Returns `false` if it is no longer active.
    ///
    /// A transaction in progress delays the write, so a thief who keeps changing the key can't prevent it.
    pub async fn revoke_leaked_api_key(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut waits = waits_after_conflict();
        loop {
            // A repeated attempt, whose first response was lost, finds its own revocation.
            let revoking = self
                .update_item(item::api_key_key(app, hash))
                .update_expression("SET #revoked = :now, #updated = :now")
                .condition_expression(
                    "attribute_exists(#pk) AND (attribute_not_exists(#revoked) OR #revoked = :now) AND \
                     (attribute_not_exists(#expires) OR #expires > :now)",
                )
                .expression_attribute_names("#pk", item::PK)
                .expression_attribute_names("#revoked", item::REVOKED_AT)
                .expression_attribute_names("#updated", item::UPDATED_AT)
                .expression_attribute_names("#expires", item::EXPIRES_AT)
                .expression_attribute_values(":now", AttributeValue::S(now.to_string()));
            match send(revoking.send()).await {
                Ok(_) => return Ok(true),
                Err(error) if error.code.as_deref() == Some("ConditionalCheckFailedException") => return Ok(false),
                Err(error) => match self.to_store_error(error) {
                    StoreError::Conflict => sleep(waits.next().ok_or(StoreError::Contended)?).await,
                    error => return Err(error),
                },
            }
        }
    }

    pub(super) fn put_index(&self, app: AppId, key: &ApiKey) -> Result<TransactWriteItem, BuildError> {
        let put = self
            .put(item::from_index(app, key))
            .condition_expression(NONE_OR_OF_APP)
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#app", item::APP)
            .expression_attribute_values(":app", AttributeValue::S(app.to_string()));
        into_transaction(put)
    }

    /// Deletes an API key's record with its index item, if `condition` holds. An index item of another app stays.
    pub(super) async fn delete_api_key_items(
        &self,
        app: AppId,
        key: Item,
        index: Item,
        condition: Option<TransactWriteItem>,
    ) -> Result<(), StoreError> {
        let index = self
            .index_deletion(app, index, NONE_OR_OF_APP)
            .expression_attribute_names("#pk", item::PK)
            .build()
            .map(|deletion| TransactWriteItem::builder().delete(deletion).build());
        let condition = || condition.clone().map(Ok).into_iter();
        match self.transact(condition().chain([self.deletion(key.clone()), index])).await {
            Err(StoreError::Conflict) => self.transact(condition().chain([self.deletion(key)])).await,
            deleted => deleted,
        }
    }

    fn index_deletion(&self, app: AppId, index: Item, condition: &str) -> DeleteBuilder {
        Delete::builder()
            .table_name(&self.table)
            .set_key(Some(index))
            .condition_expression(condition)
            .expression_attribute_names("#app", item::APP)
            .expression_attribute_values(":app", AttributeValue::S(app.to_string()))
    }

    /// Sets the expiry of the index item of a key that ends. Best effort: an index item without its key finds nothing.
    pub(super) async fn set_index_expiry(&self, app: AppId, key: &ApiKey) {
        let Some(end) = key.deletable_at() else { return };
        let ending = self
            .update_item(item::index_key(&key.hash))
            .update_expression("SET #ttl = :ttl")
            .condition_expression("#app = :app")
            .expression_attribute_names("#app", item::APP)
            .expression_attribute_names("#ttl", item::TTL)
            .expression_attribute_values(":app", AttributeValue::S(app.to_string()))
            .expression_attribute_values(":ttl", AttributeValue::N(end.seconds_since_epoch().to_string()));
        if let Err(error) = self.update_if_possible(ending).await {
            tracing::warn!(apiKey = %key.id, cause = %error, "cannot set the expiry of the index item");
        }
    }
}
