//! Adding, replacing and revoking API keys, and noting their use.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use tokio::time::sleep;

use super::{
    Store,
    error::StoreError,
    item,
    transactions::{into_transaction, waits_after_conflict},
};
use crate::{
    aws::send,
    domain::{ApiKey, ApiKeyHash, AppId, Timestamp},
};

impl Store {
    /// Adds an API key to an app.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is no such app or the key is already there; or DynamoDB fails.
    pub async fn add_api_key(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let app_exists = self.check_app(app, "attribute_exists(#pk)");
        self.transact([app_exists, into_transaction(self.put_new(item::from_api_key(app, key)))]).await
    }

    /// Deletes an API key of an app that does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the app exists; or DynamoDB fails.
    pub async fn delete_api_key_without_app(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        let deletion = self.deletion(item::api_key_key(app, hash));
        self.transact([self.check_app(app, "attribute_not_exists(#pk)"), deletion]).await
    }

    /// Adds an API key to an app and lets the one that it replaces expire as `retired` says, all or nothing. Counts the
    /// app's `version` up, so that a write in flight by the replaced key fails.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the replaced key is gone, revoked or changed since; or DynamoDB fails.
    pub async fn replace_api_key(
        &self,
        app: AppId,
        new: &ApiKey,
        read: &ApiKey,
        retired: &ApiKey,
    ) -> Result<(), StoreError> {
        let end = retired.expires_at.unwrap_or(retired.updated_at);
        let retirement = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::api_key_key(app, &retired.hash)))
            .update_expression("SET #expires = :end, #updated = :now")
            .condition_expression("#updated = :read AND attribute_not_exists(#revoked)")
            .expression_attribute_names("#expires", item::EXPIRES_AT)
            .expression_attribute_names("#updated", item::UPDATED_AT)
            .expression_attribute_names("#revoked", item::REVOKED_AT)
            .expression_attribute_values(":end", AttributeValue::S(end.to_string()))
            .expression_attribute_values(":now", AttributeValue::S(retired.updated_at.to_string()))
            .expression_attribute_values(":read", AttributeValue::S(read.updated_at.to_string()))
            .build()
            .map(|update| TransactWriteItem::builder().update(update).build());
        let new = into_transaction(self.put_new(item::from_api_key(app, new)));
        let changes = [new, retirement].into_iter().collect::<Result<_, _>>()?;
        let is_as_read = |key: &ApiKey| key.updated_at == read.updated_at && key.revoked_at.is_none();
        self.change_api_key(app, &read.hash, changes, retired.updated_at, is_as_read).await
    }

    /// Notes that an API key was used at `now`: forward only, at most once an hour. It takes no notice of a revocation:
    /// noting the last use of a key that was just revoked does no harm, and `revokedAt` stays out of the permission.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn note_use(&self, app: AppId, hash: &ApiKeyHash, now: Timestamp) -> Result<(), StoreError> {
        let noting = self
            .dynamodb
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::api_key_key(app, hash)))
            .update_expression("SET #used = :now")
            .condition_expression("attribute_exists(#pk) AND (attribute_not_exists(#used) OR #used <= :old)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#used", item::LAST_USED_AT)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(
                ":old",
                AttributeValue::S(now.before(ApiKey::LAST_USED_PRECISION).to_string()),
            );
        match send(noting.send()).await.map_err(|error| self.failed(error)) {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Revokes an API key from `now` on; one that is revoked stays as it is. Counts the app's `version` up, so that a
    /// write in flight by the key fails.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the key is gone or was revoked before; or DynamoDB fails.
    pub async fn revoke_api_key(&self, app: AppId, hash: &ApiKeyHash, now: Timestamp) -> Result<(), StoreError> {
        let revocation = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::api_key_key(app, hash)))
            .update_expression("SET #revoked = :now, #updated = :now")
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#revoked)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#revoked", item::REVOKED_AT)
            .expression_attribute_names("#updated", item::UPDATED_AT)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .build()
            .map(|update| TransactWriteItem::builder().update(update).build())?;
        match self.change_api_key(app, hash, vec![revocation.clone()], now, |key| key.revoked_at.is_none()).await {
            Err(StoreError::Contended) => self.revoke_and_then_count_up(app, revocation, now).await,
            revoked => revoked,
        }
    }

    /// A thief can write to the app's record without pause, but not to the API key's: revokes it first, and then counts up.
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

    /// Commits `changes` of an API key and one more change of its app, as one transaction. The count needs no version that
    /// was read, so only a concurrent transaction stands in the way: the operator's command tries again while the key's
    /// record `is_as_read`.
    async fn change_api_key(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        changes: Vec<TransactWriteItem>,
        now: Timestamp,
        is_as_read: impl Fn(&ApiKey) -> bool,
    ) -> Result<(), StoreError> {
        let mut waits = waits_after_conflict();
        let mut of_app = self.count_up(app, now);
        loop {
            match self.transact(std::iter::once(of_app).chain(changes.iter().cloned().map(Ok))).await {
                Err(StoreError::Conflict) => {}
                other => return other,
            }
            let mut found = self.find_all(vec![item::app_key(app), item::api_key_key(app, hash)]).await?;
            // An API key without an app is no use to anyone, but can still be revoked.
            of_app = match found.iter().position(|item| item::has_sk(item, item::APP_SK)) {
                Some(index) => {
                    found.swap_remove(index);
                    self.count_up(app, now)
                }
                None => self.check_app(app, "attribute_not_exists(#pk)"),
            };
            let key = found.pop().map(item::to_api_key).transpose()?;
            if !key.as_ref().is_some_and(&is_as_read) {
                return Err(StoreError::Conflict);
            }
            sleep(waits.next().ok_or(StoreError::Contended)?).await;
        }
    }
}
