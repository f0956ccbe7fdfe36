//! Creates, changes and deletes apps.

use std::collections::HashSet;

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, TransactWriteItem},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Store,
    api_keys::ApiKeyChange,
    error::StoreError,
    item,
    transactions::{into_transaction, update},
};
use crate::{
    aws::{Item, send},
    domain::{ApiKey, App, AppId, StoredResult, Timestamp},
};

/// A transaction has at most 100 items: the app, and two items for each API key.
const MAX_API_KEYS_BESIDE_APP: usize = 49;

impl Store {
    /// Creates the app and its first API keys. Deletes left-over items of a deleted app with the same id first.
    ///
    /// The last transaction creates the app. Keys that do not fit into it are stored before, and are rejected while
    /// there is no app. Calling this again after a crash completes the creation.
    ///
    /// Fails with [`StoreError::Conflict`] if the app or one of the keys exists, or another app has one of the keys.
    pub async fn create_app(&self, app: &App, api_keys: &[ApiKey]) -> Result<(), StoreError> {
        let (before, last) = api_keys.split_at(api_keys.len().saturating_sub(MAX_API_KEYS_BESIDE_APP));
        // The keys in `before` stay, because a parallel import of the same app may have stored them just now.
        self.delete_left_over(app.id, before).await?;
        for keys in before.chunks(MAX_API_KEYS_BESIDE_APP) {
            let keys = keys.iter().flat_map(|key| {
                let put = into_transaction(self.put(item::from_api_key(app.id, key)));
                [put, self.put_index(app.id, key)]
            });
            self.transact(std::iter::once(self.check_app(app.id, "attribute_not_exists(#pk)")).chain(keys)).await?;
        }
        let last = last.iter().flat_map(|key| self.new_api_key(app.id, key));
        let app_item = into_transaction(self.put_new(item::from_app(app)));
        self.transact(std::iter::once(app_item).chain(last)).await?;
        self.add_missing_keys(app.id, before).await
    }

    /// Adds keys that a parallel creation of the same app deleted as left over, before it failed.
    async fn add_missing_keys(&self, app: AppId, keys: &[ApiKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let stored: HashSet<_> = self.list_api_keys(app).await?.0.into_iter().map(|key| key.hash).collect();
        for key in keys.iter().filter(|key| !stored.contains(&key.hash)) {
            self.add_api_key(app, key).await?;
        }
        Ok(())
    }

    /// Stores the attributes that differ between `read` and `changed`, and increments `version`. Each function's policy
    /// names the attributes that it may change.
    ///
    /// Fails with [`StoreError::Conflict`] if the app was changed or deleted since it was read.
    pub async fn update_app(&self, read: &App, changed: App, now: Timestamp) -> Result<App, StoreError> {
        self.update_app_and_api_keys(read, changed, now, &[], None).await
    }

    /// Stores changes of the app and of its API keys, and the result of an idempotent write, in one transaction, like
    /// [`Store::update_app`]. The expiry of a changed key's index item is not part of it: see [`Store::set_index_expiry`].
    ///
    /// Also fails with [`StoreError::Conflict`] if a key was changed since it was read, or if the result is stored
    /// already.
    pub async fn update_app_and_api_keys(
        &self,
        read: &App,
        mut changed: App,
        now: Timestamp,
        key_changes: &[ApiKeyChange],
        result: Option<&StoredResult>,
    ) -> Result<App, StoreError> {
        changed.version = read.version + 1;
        changed.updated_at = now;
        let key_items = key_changes.iter().flat_map(|change| self.api_key_items(read.id, change));
        let result = result.map(|result| {
            let put = self
                .put(item::from_stored_result(changed.id, result))
                .condition_expression("attribute_not_exists(#pk) OR #ttl <= :now")
                .expression_attribute_names("#pk", item::PK)
                .expression_attribute_names("#ttl", item::TTL)
                .expression_attribute_values(":now", AttributeValue::N(now.seconds_since_epoch().to_string()));
            into_transaction(put)
        });
        let app = self.change_app(read, &changed);
        self.transact(std::iter::once(app).chain(key_items).chain(result)).await?;
        Ok(changed)
    }

    fn change_app(&self, read: &App, changed: &App) -> Result<TransactWriteItem, BuildError> {
        // The version always changes, so there is always an attribute to set.
        let update = update(&self.table, item::app_key(read.id), item::changes(read, changed))
            .condition_expression("#version = :read")
            .expression_attribute_names("#version", item::VERSION)
            .expression_attribute_values(":read", AttributeValue::N(read.version.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Deletes all items of an app, even corrupt ones, and its own record last.
    pub async fn delete_app(&self, app: AppId) -> Result<(), StoreError> {
        /// More at a time would only be throttled by the table's write capacity.
        const CONCURRENT_DELETIONS: usize = 8;
        let keys = stream::iter(self.keys_beside_app(app).await?).map(Ok);
        let delete = async |key: Item| match item::index_key_of(&key) {
            Some(index) => self.delete_api_key_items(app, key, index, None).await,
            None => self.delete(key).await,
        };
        keys.try_for_each_concurrent(CONCURRENT_DELETIONS, delete).await?;
        self.delete(item::app_key(app)).await
    }

    async fn delete(&self, key: Item) -> Result<(), StoreError> {
        let deleting = self.dynamodb.client().delete_item().table_name(&self.table).set_key(Some(key));
        send(deleting.send()).await.map(drop).map_err(|error| self.to_store_error(error))
    }

    /// Deletes left-over items of a deleted app with this id, except the API keys `kept`. Deletes nothing while the app
    /// exists.
    async fn delete_left_over(&self, app: AppId, kept: &[ApiKey]) -> Result<(), StoreError> {
        let kept: HashSet<_> = kept.iter().map(|key| item::api_key_sk(&key.hash)).collect();
        let is_kept = |key: &Item| kept.iter().any(|sk| item::has_sk(key, sk));
        for key in self.keys_beside_app(app).await?.into_iter().filter(|key| !is_kept(key)) {
            let no_app = self.check_app(app, "attribute_not_exists(#pk)")?;
            match item::index_key_of(&key) {
                Some(index) => self.delete_api_key_items(app, key, index, Some(no_app)).await?,
                None => self.transact([Ok(no_app), self.deletion(key)]).await?,
            }
        }
        Ok(())
    }

    /// Returns the primary keys of an app's items, except the app's own record.
    async fn keys_beside_app(&self, app: AppId) -> Result<Vec<Item>, StoreError> {
        let query = self
            .query()
            .key_condition_expression("#pk = :app")
            .projection_expression("#pk, #sk")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", item::app_pk(app));
        let mut keys = self.query_all(query).await?;
        keys.retain(|key| !item::has_sk(key, item::APP_SK));
        Ok(keys)
    }
}
