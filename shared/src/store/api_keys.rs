//! Adds, replaces, changes and revokes API keys.

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
use crate::{
    aws::send,
    domain::{ApiKey, ApiKeyHash, AppId, Timestamp},
};

/// A change of an API key, stored in one transaction with its app.
#[derive(Debug)]
pub enum ApiKeyChange {
    Create(Box<ApiKey>),
    /// Fails if the key was deleted, revoked or changed since it was read.
    Update {
        read: Box<ApiKey>,
        changed: Box<ApiKey>,
    },
}

impl ApiKeyChange {
    #[must_use]
    pub fn update(read: ApiKey, changed: ApiKey) -> Self {
        Self::Update { read: read.into(), changed: changed.into() }
    }
}

impl Store {
    /// Adds an API key to an app. Fails with [`StoreError::Conflict`] if the app does not exist, or if this or another
    /// app has the key.
    pub async fn add_api_key(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let app_exists = self.check_app(app, "attribute_exists(#pk)");
        self.transact(std::iter::once(app_exists).chain(self.new_api_key(app, key))).await
    }

    /// Deletes an API key whose app does not exist. Fails with [`StoreError::Conflict`] if the app exists.
    pub async fn delete_api_key_without_app(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        let no_app = self.check_app(app, "attribute_not_exists(#pk)")?;
        self.delete_api_key_items(app, item::api_key_key(app, hash), item::index_key(hash), Some(no_app)).await
    }

    /// Adds an API key to an app and retires the key that it replaces, in one transaction. Increments the app's
    /// `version`, so that a write in flight by the replaced key fails.
    ///
    /// Fails with [`StoreError::Conflict`] if the replaced key was deleted, revoked or changed since it was read.
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

    /// Stores the changed allow list of an API key. Increments the app's `version`, so that a write in flight by the
    /// key fails.
    ///
    /// Fails with [`StoreError::Conflict`] if the key was deleted, revoked or changed since it was read.
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

    /// Returns the record of a new key and its index item, as actions of a transaction.
    pub(super) fn new_api_key(&self, app: AppId, key: &ApiKey) -> [Result<TransactWriteItem, BuildError>; 2] {
        [into_transaction(self.put_new(item::from_api_key(app, key))), self.put_index(app, key)]
    }

    /// Fails if the key was deleted, revoked or changed since it was read.
    fn changed_api_key(&self, app: AppId, read: &ApiKey, changed: &ApiKey) -> Result<TransactWriteItem, BuildError> {
        let update = self
            .api_key_update(app, read, changed)
            .condition_expression("#updatedAt = :read AND attribute_not_exists(#revokedAt)")
            .expression_attribute_names("#updatedAt", item::UPDATED_AT)
            .expression_attribute_values(":read", AttributeValue::S(read.updated_at.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Fails only if the key was deleted or revoked since it was read.
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

    /// Revokes an API key. Increments the app's `version`, so that a write in flight by the key fails.
    ///
    /// Fails with [`StoreError::Conflict`] if the key was deleted or revoked since it was read.
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
            Err(StoreError::Contended) => self.revoke_before_version(app, revocation, now).await?,
            changed => changed?,
        }
        self.set_index_expiry(app, &revoked).await;
        Ok(())
    }

    /// Revokes a leaked key with a single conditional write. Changes nothing if the key is no longer active.
    ///
    /// A transaction in progress only delays the write. A thief who keeps changing the key cannot prevent it.
    pub async fn revoke_leaked_api_key(&self, app: AppId, hash: &ApiKeyHash, now: Timestamp) -> Result<(), StoreError> {
        let mut waits = waits_after_conflict();
        loop {
            let update = self
                .update_item(item::api_key_key(app, hash))
                .update_expression("SET #revoked = :now, #updated = :now")
                .condition_expression(
                    "attribute_exists(#pk) AND attribute_not_exists(#revoked) AND \
                     (attribute_not_exists(#expires) OR #expires > :now)",
                )
                .expression_attribute_names("#pk", item::PK)
                .expression_attribute_names("#revoked", item::REVOKED_AT)
                .expression_attribute_names("#updated", item::UPDATED_AT)
                .expression_attribute_names("#expires", item::EXPIRES_AT)
                .expression_attribute_values(":now", AttributeValue::S(now.to_string()));
            match send(update.send()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code.as_deref() == Some("ConditionalCheckFailedException") => return Ok(()),
                Err(error) => match self.to_store_error(error) {
                    StoreError::Conflict => sleep(waits.next().ok_or(StoreError::Contended)?).await,
                    error => return Err(error),
                },
            }
        }
    }

    /// Revokes the key first and increments the app's `version` later. A thief can keep changing the app's record, but
    /// not the key's.
    async fn revoke_before_version(
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
            match self.transact([self.increment_version(app, now)]).await {
                Err(StoreError::Conflict) => sleep(wait).await,
                counted => return counted,
            }
        }
        Err(StoreError::VersionNotIncremented)
    }

    /// Commits `changes` of an API key and increments its app's `version`, in one transaction.
    ///
    /// The increment does not depend on the version that was read, so only a concurrent transaction can win. In that
    /// case, tries again while the key's record fulfils `may_change`.
    async fn change_api_key(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        changes: Vec<TransactWriteItem>,
        now: Timestamp,
        may_change: impl Fn(&ApiKey) -> bool,
    ) -> Result<(), StoreError> {
        let mut waits = waits_after_conflict();
        let mut app_item = self.increment_version(app, now);
        loop {
            match self.transact(std::iter::once(app_item).chain(changes.iter().cloned().map(Ok))).await {
                Err(StoreError::Conflict) => {}
                other => return other,
            }
            let mut found = self.find_items(vec![item::app_key(app), item::api_key_key(app, hash)]).await?;
            // An API key without an app can still be revoked.
            app_item = match found.iter().position(|item| item::has_sk(item, item::APP_SK)) {
                Some(index) => {
                    found.swap_remove(index);
                    self.increment_version(app, now)
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
