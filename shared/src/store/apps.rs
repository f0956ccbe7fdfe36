//! Creating, changing and deleting apps.

use std::collections::HashSet;

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, TransactWriteItem, Update},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Store, error::StoreError, item, transactions::into_transaction};
use crate::{
    aws::{Item, send},
    domain::{ApiKey, App, AppId, StoredResult, Timestamp},
};

/// A transaction has 100 items, of which one is the app.
const BESIDE_THE_APP: usize = 99;

impl Store {
    /// Creates the app and its first API keys, all or nothing: the last transaction has the app. Keys for which it has no
    /// room are written before, and let nobody in while there is no app; after a crash, the same again completes it.
    /// Items that a deleted app of this id left behind are deleted first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the app or one of the keys exists; or DynamoDB fails.
    pub async fn create_app(&self, app: &App, api_keys: &[ApiKey]) -> Result<(), StoreError> {
        let (before, last) = api_keys.split_at(api_keys.len().saturating_sub(BESIDE_THE_APP));
        // A parallel import of the same app may have written them just now.
        self.delete_left_over(app.id, before).await?;
        for keys in before.chunks(BESIDE_THE_APP) {
            let keys = keys.iter().map(|key| into_transaction(self.put(item::from_api_key(app.id, key))));
            self.transact(std::iter::once(self.check_app(app.id, "attribute_not_exists(#pk)")).chain(keys)).await?;
        }
        let last = last.iter().map(|key| item::from_api_key(app.id, key));
        let items = std::iter::once(item::from_app(app)).chain(last);
        self.transact(items.map(|item| into_transaction(self.put_new(item)))).await?;
        self.add_missing_keys(app.id, before).await
    }

    /// Adds the keys of a new app that a parallel creation, which then lost, took for left over.
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

    /// Stores what differs between the app as it was `read` and as it is `changed`, and counts its `version` up. With
    /// `stored`, remembers the write in the same transaction. A function thus writes no attribute but those it changes,
    /// and its policy names them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the record has changed since or is gone, or the write was stored already; or DynamoDB fails.
    pub async fn update_app(
        &self,
        read: &App,
        mut changed: App,
        now: Timestamp,
        stored: Option<&StoredResult>,
    ) -> Result<App, StoreError> {
        changed.version = read.version + 1;
        changed.updated_at = now;
        let stored = stored.map(|stored| {
            let put = self
                .put(item::from_stored_result(changed.id, stored))
                .condition_expression("attribute_not_exists(#pk) OR #ttl <= :now")
                .expression_attribute_names("#pk", item::PK)
                .expression_attribute_names("#ttl", item::TTL)
                .expression_attribute_values(":now", AttributeValue::N(now.seconds_since_epoch().to_string()));
            into_transaction(put)
        });
        self.transact(std::iter::once(self.change_app(read, &changed)).chain(stored)).await?;
        Ok(changed)
    }

    fn change_app(&self, read: &App, changed: &App) -> Result<TransactWriteItem, BuildError> {
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::app_key(read.id)))
            .condition_expression("#version = :read")
            .expression_attribute_values(":read", AttributeValue::N(read.version.to_string()));
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (attribute, value) in item::changes(read, changed) {
            let name = format!("#{attribute}");
            match value {
                Some(value) => {
                    set.push(format!("{name} = :{attribute}"));
                    update = update.expression_attribute_values(format!(":{attribute}"), value);
                }
                None => removed.push(name.clone()),
            }
            update = update.expression_attribute_names(name, attribute);
        }
        // The version always changes, so there is always something to set.
        let mut expression = format!("SET {}", set.join(", "));
        if !removed.is_empty() {
            expression.push_str(&format!(" REMOVE {}", removed.join(", ")));
        }
        Ok(TransactWriteItem::builder().update(update.update_expression(expression).build()?).build())
    }

    /// Deletes all items of an app, readable or not, and its own record last.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn delete_app(&self, app: AppId) -> Result<(), StoreError> {
        /// A write's capacity is the table's; more at a time would only be throttled.
        const AT_A_TIME: usize = 8;
        let keys = stream::iter(self.keys_beside_app(app).await?).map(Ok);
        keys.try_for_each_concurrent(AT_A_TIME, |key| self.delete(key)).await?;
        self.delete(item::app_key(app)).await
    }

    async fn delete(&self, key: Item) -> Result<(), StoreError> {
        let deleting = self.dynamodb.client().delete_item().table_name(&self.table).set_key(Some(key));
        send(deleting.send()).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Deletes what an app of this id left behind, such as remembered writes, except the API keys `kept`. Nothing is
    /// deleted while the app exists.
    async fn delete_left_over(&self, app: AppId, kept: &[ApiKey]) -> Result<(), StoreError> {
        let kept: HashSet<_> = kept.iter().map(|key| item::api_key_sk(&key.hash)).collect();
        let is_kept = |key: &Item| kept.iter().any(|sk| item::has_sk(key, sk));
        let left_over: Vec<_> = self.keys_beside_app(app).await?.into_iter().filter(|key| !is_kept(key)).collect();
        for keys in left_over.chunks(BESIDE_THE_APP) {
            let deletions = keys.iter().map(|key| self.deletion(key.clone()));
            self.transact(std::iter::once(self.check_app(app, "attribute_not_exists(#pk)")).chain(deletions)).await?;
        }
        Ok(())
    }

    /// The keys of an app's items, without the app's own record.
    async fn keys_beside_app(&self, app: AppId) -> Result<Vec<Item>, StoreError> {
        let mut pages = self
            .dynamodb
            .client()
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :app")
            .projection_expression("#pk, #sk")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", item::app_pk(app))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(key) = pages.next().await {
            keys.push(key.map_err(|error| self.failed(error.into()))?);
        }
        keys.retain(|key| !item::has_sk(key, item::APP_SK));
        Ok(keys)
    }
}
