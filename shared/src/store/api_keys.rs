//! Adding, replacing and revoking API keys, and noting their use.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, TransactWriteItem, builders::UpdateBuilder},
};
use tokio::time::sleep;

use super::{
    Store,
    error::StoreError,
    item,
    transactions::{into_transaction, update, waits_after_conflict},
};
use crate::domain::{ApiKey, ApiKeyHash, AppId, Timestamp};

/// A change of an API key, stored in one transaction with its app.
#[derive(Debug)]
pub enum ApiKeyChange {
    Create(Box<ApiKey>),
    /// Fails if the key is revoked, or no longer as it was read.
    Update {
        read: Box<ApiKey>,
        changed: Box<ApiKey>,
    },
}

impl Store {
    /// Adds an API key to an app.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no such app, or it or another app has the key.
    pub async fn add_api_key(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let app_exists = self.check_app(app, "attribute_exists(#pk)");
        self.transact(std::iter::once(app_exists).chain(self.new_api_key(app, key))).await
    }

    /// Deletes an API key of an app that does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the app exists.
    pub async fn delete_api_key_without_app(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        let no_app = self.check_app(app, "attribute_not_exists(#pk)")?;
        self.delete_api_key_items(app, item::api_key_key(app, hash), item::index_key(hash), Some(no_app)).await
    }

    /// Adds an API key to an app and retires the key that it replaces, all or nothing. Counts the app's `version` up, so
    /// that a write in flight by the replaced key fails.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the replaced key is gone, revoked or changed since.
    pub async fn replace_api_key(
        &self,
        app: AppId,
        new: &ApiKey,
        read: &ApiKey,
        retired: &ApiKey,
    ) -> Result<(), StoreError> {
        let items = self.new_api_key(app, new).into_iter().chain([self.changed_api_key(app, read, retired)]);
        let items = items.collect::<Result<_, _>>()?;
        self.change_api_key(app, &read.hash, items, retired.updated_at, |key| is_as_read(key, read)).await?;
        self.set_index_expiry(app, retired).await;
        Ok(())
    }

    /// Stores the allow list of an API key that is not revoked. Counts the app's `version` up, so that a write in flight by
    /// the key fails.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the key is gone, revoked or changed since.
    pub async fn change_allow_list(&self, app: AppId, read: &ApiKey, changed: &ApiKey) -> Result<(), StoreError> {
        let items = vec![self.changed_api_key(app, read, changed)?];
        self.change_api_key(app, &read.hash, items, changed.updated_at, |key| is_as_read(key, read)).await
    }

    pub(super) fn api_key_items(
        &self,
        app: AppId,
        change: &ApiKeyChange,
    ) -> Vec<Result<TransactWriteItem, BuildError>> {
        match change {
            ApiKeyChange::Create(key) => self.new_api_key(app, key).into(),
            ApiKeyChange::Update { read, changed } => vec![self.changed_api_key(app, read, changed)],
        }
    }

    /// The record of a new key, and its index item.
    pub(super) fn new_api_key(&self, app: AppId, key: &ApiKey) -> [Result<TransactWriteItem, BuildError>; 2] {
        [into_transaction(self.put_new(item::from_api_key(app, key))), self.put_index(app, key)]
    }

    /// Changes a key that is not revoked and still as it was read.
    fn changed_api_key(&self, app: AppId, read: &ApiKey, changed: &ApiKey) -> Result<TransactWriteItem, BuildError> {
        let update = self
            .api_key_update(app, read, changed)
            .condition_expression("#updatedAt = :read AND attribute_not_exists(#revokedAt)")
            .expression_attribute_names("#updatedAt", item::UPDATED_AT)
            .expression_attribute_values(":read", AttributeValue::S(read.updated_at.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Revokes a key that is not revoked, whatever else has changed.
    fn revoked_api_key(&self, app: AppId, read: &ApiKey, revoked: &ApiKey) -> Result<TransactWriteItem, BuildError> {
        let update = self
            .api_key_update(app, read, revoked)
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#revokedAt)")
            .expression_attribute_names("#pk", item::PK)
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn api_key_update(&self, app: AppId, read: &ApiKey, changed: &ApiKey) -> UpdateBuilder {
        update(&self.table, item::api_key_key(app, &read.hash), item::api_key_changes(app, read, changed))
            .expression_attribute_names("#revokedAt", item::REVOKED_AT)
    }

    /// Stores the revocation of an API key. Counts the app's `version` up, so that a write in flight by the key fails.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the key is gone, or was revoked since it was read.
    pub async fn revoke_api_key(&self, app: AppId, read: &ApiKey, now: Timestamp) -> Result<(), StoreError> {
        if read.revoked_at.is_some() {
            return Err(StoreError::Conflict);
        }
        let mut revoked = read.clone();
        revoked.revoke(now);
        let revocation = self.revoked_api_key(app, read, &revoked)?;
        let is_active = |key: &ApiKey| key.revoked_at.is_none();
        let change = self.change_api_key(app, &read.hash, vec![revocation.clone()], now, is_active);
        match change.await {
            Err(StoreError::Contended) => self.revoke_and_then_count_up(app, revocation, now).await?,
            changed => changed?,
        }
        self.set_index_expiry(app, &revoked).await;
        Ok(())
    }

    /// Revokes the key first and then counts up. A thief can change the app's record without pause, but not the key's.
    async fn revoke_and_then_count_up(
        &self,
        app: AppId,
        revocation: TransactWriteItem,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transact([Ok(revocation)]).await.map_err(|error| match error {
            StoreError::Conflict => StoreError::Contended,
            error => error,
        })?;
        for wait in waits_after_conflict() {
            match self.transact([self.count_up(app, now)]).await {
                Err(StoreError::Conflict) => sleep(wait).await,
                counted => return counted,
            }
        }
        let cause =
            "the API key is revoked, but a write by it that was in flight may still be stored within 30 seconds";
        Err(StoreError::Failed(cause.to_owned()))
    }

    /// Commits `changes` of an API key in one transaction with the count of its app's changes. The count needs no version
    /// that was read, so only a concurrent transaction can win: the operator's command tries again while the key's record
    /// `may_change`.
    async fn change_api_key(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        changes: Vec<TransactWriteItem>,
        now: Timestamp,
        may_change: impl Fn(&ApiKey) -> bool,
    ) -> Result<(), StoreError> {
        let mut waits = waits_after_conflict();
        let mut of_app = self.count_up(app, now);
        loop {
            match self.transact(std::iter::once(of_app).chain(changes.iter().cloned().map(Ok))).await {
                Err(StoreError::Conflict) => {}
                other => return other,
            }
            let mut found = self.find_all(vec![item::app_key(app), item::api_key_key(app, hash)]).await?;
            // An API key without an app can still be revoked.
            of_app = match found.iter().position(|item| item::has_sk(item, item::APP_SK)) {
                Some(index) => {
                    found.swap_remove(index);
                    self.count_up(app, now)
                }
                None => self.check_app(app, "attribute_not_exists(#pk)"),
            };
            let key = found.pop().map(item::to_api_key).transpose()?;
            if !key.as_ref().is_some_and(&may_change) {
                return Err(StoreError::Conflict);
            }
            sleep(waits.next().ok_or(StoreError::Contended)?).await;
        }
    }
}

fn is_as_read(stored: &ApiKey, read: &ApiKey) -> bool {
    stored.updated_at == read.updated_at && stored.revoked_at.is_none()
}
