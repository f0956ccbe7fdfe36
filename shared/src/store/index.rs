//! Index items, which find an API key's app from the key's hash.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, Delete, TransactWriteItem, builders::DeleteBuilder},
};

use super::{
    Store,
    error::StoreError,
    item::{self, CorruptItem},
    transactions::into_transaction,
};
use crate::{
    aws::{Item, failure_within},
    domain::{ApiKey, ApiKeyHash, AppId},
};

/// Fails if the index item names another app.
const NONE_OR_OF_APP: &str = "attribute_not_exists(#pk) OR #app = :app";

impl Store {
    /// Returns the API keys with these hashes and their apps, and the corrupt items. Finds only keys that have an index
    /// item.
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

    /// Returns the apps that the index items of these hashes name. The hashes must be distinct.
    pub async fn find_index_items(
        &self,
        hashes: &[ApiKeyHash],
    ) -> Result<HashMap<ApiKeyHash, Result<AppId, CorruptItem>>, StoreError> {
        let mut found = HashMap::new();
        for index in self.find_items(hashes.iter().map(item::index_key).collect()).await? {
            let hash = item::hash_of_index(&index)?;
            found.insert(hash, item::to_index(index).map(|index| index.app));
        }
        Ok(found)
    }

    /// Stores the missing index item of an API key. Fails with [`StoreError::Conflict`] if the app does not have the
    /// key, or the index item names another app.
    pub async fn repair_index(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let has_key = self.check(item::api_key_key(app, &key.hash), "attribute_exists(#pk)");
        self.transact([has_key, self.put_index(app, key)]).await
    }

    /// Deletes an index item whose app does not have the key. Fails with [`StoreError::Conflict`] if the app has the
    /// key, or the index item names another app.
    pub async fn delete_index_without_key(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        let has_no_key = self.check(item::api_key_key(app, hash), "attribute_not_exists(#pk)");
        let deletion = self
            .index_deletion(app, item::index_key(hash), "#app = :app")
            .build()
            .map(|deletion| TransactWriteItem::builder().delete(deletion).build());
        self.transact([has_no_key, deletion]).await
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

    /// Deletes an API key's record and its index item, if `condition` holds. Keeps an index item that names another
    /// app.
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

    /// Sets the index item's expiry to that of the key's record. Best effort and at most one second, because an index
    /// item without its key is harmless.
    pub async fn set_index_expiry(&self, app: AppId, key: &ApiKey) {
        const EXPIRY_TIMEOUT: Duration = Duration::from_secs(1);
        let Some(expiry) = key.deletable_at() else { return };
        let update = self
            .update_item(item::index_key(&key.hash))
            .update_expression("SET #ttl = :ttl")
            .condition_expression("#app = :app")
            .expression_attribute_names("#app", item::APP)
            .expression_attribute_names("#ttl", item::TTL)
            .expression_attribute_values(":app", AttributeValue::S(app.to_string()))
            .expression_attribute_values(":ttl", AttributeValue::N(expiry.seconds_since_epoch().to_string()));
        if let Some(cause) = failure_within(EXPIRY_TIMEOUT, self.update_if_possible(update)).await {
            tracing::warn!(appId = %app, keyId = %key.id, cause, "cannot set the expiry of the index item");
        }
    }
}
