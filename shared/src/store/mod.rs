//! The table: apps and API keys in DynamoDB.

mod item;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, KeySchemaElement, KeyType, KeysAndAttributes,
        Put, ScalarAttributeType, TransactWriteItem,
    },
};

use self::item::Attributes;
pub use self::item::CorruptItem;
use crate::{
    causes::causes,
    domain::{ApiKey, ApiKeyHash, App, AppId, Timestamp},
};

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused, failed or did not answer in time; the whole cause.
    #[error("DynamoDB: {0}")]
    Backend(String),
    /// What is in the table can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptItem),
    /// What the change was based on is no longer so; nothing was changed.
    #[error("a concurrent change won, or the record is not there; nothing was changed")]
    Conflict,
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        // A transaction is cancelled for other reasons too, throttling among them: its message lists them.
        let conflict = match error.code() {
            Some("ConditionalCheckFailedException" | "TransactionConflictException") => true,
            Some("TransactionCanceledException") => error.message().is_some_and(|reasons| {
                ["ConditionalCheckFailed", "TransactionConflict"].iter().any(|reason| reasons.contains(reason))
            }),
            _ => false,
        };
        if conflict { Self::Conflict } else { Self::Backend(causes(&error)) }
    }
}

/// The table that holds apps and API keys.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// How long to wait before asking again for what DynamoDB left unprocessed.
    const RETRY_UNPROCESSED_AFTER: [Duration; 3] =
        [Duration::from_millis(25), Duration::from_millis(100), Duration::from_millis(400)];

    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The app and its API key of that hash, in one strongly consistent round trip; `None` where either is missing.
    /// A corrupt app is an error of its own, for after the key has been judged.
    ///
    /// # Errors
    /// DynamoDB fails, or the API key's record is corrupt.
    pub async fn find_app_with_api_key(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
    ) -> Result<Option<(ApiKey, Result<App, CorruptItem>)>, StoreError> {
        let mut wanted = vec![item::app_key(app), item::api_key_key(app, hash)];
        let mut found = Vec::with_capacity(wanted.len());
        let mut waits = Self::RETRY_UNPROCESSED_AFTER.into_iter();
        loop {
            let unprocessed = self.batch_get(wanted, &mut found).await?;
            if unprocessed.is_empty() {
                break;
            }
            wanted = unprocessed;
            let wait = waits.next().ok_or_else(|| StoreError::Backend("keys stayed unprocessed".to_owned()))?;
            tokio::time::sleep(wait).await;
        }
        let api_key_sk = item::api_key_sk(hash);
        let mut take = |sk: &str| {
            let index = found.iter().position(|item| item::has_sk(item, sk))?;
            Some(found.swap_remove(index))
        };
        match (take(item::APP_SK), take(&api_key_sk)) {
            (Some(app), Some(api_key)) => Ok(Some((item::to_api_key(api_key)?, item::to_app(app)))),
            _ => Ok(None),
        }
    }

    /// One `BatchGetItem`: adds to `found` what is there, and returns the keys that were not processed.
    async fn batch_get(
        &self,
        keys: Vec<Attributes>,
        found: &mut Vec<Attributes>,
    ) -> Result<Vec<Attributes>, StoreError> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map_err(|error| StoreError::Backend(error.to_string()))?;
        let answer = self.client.batch_get_item().request_items(&self.table, wanted).send().await?;
        found.extend(answer.responses.unwrap_or_default().into_values().flatten());
        let unprocessed = answer.unprocessed_keys.unwrap_or_default();
        Ok(unprocessed.into_values().flat_map(|keys| keys.keys).collect())
    }

    /// The app, strongly consistent, if it exists.
    ///
    /// # Errors
    /// DynamoDB fails, or the record is corrupt.
    pub async fn find_app(&self, app: AppId) -> Result<Option<App>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::app_key(app)))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item.map(item::to_app).transpose()?)
    }

    /// All apps, page by page: `visit` sees each in turn, so that memory stays flat, and each corrupt record too.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn visit_apps(&self, mut visit: impl FnMut(Result<App, CorruptItem>)) -> Result<(), StoreError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("#sk = :app")
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", AttributeValue::S(item::APP_SK.to_owned()))
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            visit(item::to_app(item?));
        }
        Ok(())
    }

    /// All API keys of an app, oldest first.
    ///
    /// # Errors
    /// DynamoDB fails, or a record is corrupt.
    pub async fn list_api_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :app AND begins_with(#sk, :apikey)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", item::app_pk(app))
            .expression_attribute_values(":apikey", AttributeValue::S(item::API_KEY_SK_PREFIX.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            keys.push(item::to_api_key(item?)?);
        }
        keys.sort_by_key(|key| key.created_at);
        Ok(keys)
    }

    /// Creates the app and its first API keys, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the app or one of the keys exists; or DynamoDB fails.
    pub async fn create_app(&self, app: &App, api_keys: &[ApiKey]) -> Result<(), StoreError> {
        let app_put = self.put_new(item::from_app(app))?;
        let key_puts = api_keys.iter().map(|key| self.put_new(item::from_api_key(app.id, key)));
        let puts = std::iter::once(Ok(app_put)).chain(key_puts).collect::<Result<_, _>>()?;
        self.client.transact_write_items().set_transact_items(Some(puts)).send().await?;
        Ok(())
    }

    /// Replaces the app's record with `changed`, whose `version` is the one that was read, and counts it up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the record has changed since or is gone; or DynamoDB fails.
    pub async fn update_app(&self, mut changed: App, now: Timestamp) -> Result<App, StoreError> {
        let read = changed.version;
        changed.version += 1;
        changed.updated_at = now;
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::from_app(&changed)))
            .condition_expression("#version = :read")
            .expression_attribute_names("#version", item::VERSION)
            .expression_attribute_values(":read", AttributeValue::N(read.to_string()))
            .send()
            .await?;
        Ok(changed)
    }

    /// Adds an API key to an app.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is no such app or the key is already there; or DynamoDB fails.
    pub async fn add_api_key(&self, app: AppId, key: &ApiKey) -> Result<(), StoreError> {
        let app_exists = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(item::app_key(app)))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", item::PK)
            .build()
            .map_err(|error| StoreError::Backend(error.to_string()))?;
        self.client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(app_exists).build())
            .transact_items(self.put_new(item::from_api_key(app, key))?)
            .send()
            .await?;
        Ok(())
    }

    /// Revokes an API key from `now` on; one that is revoked stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the key is gone or was revoked before; or DynamoDB fails.
    pub async fn revoke_api_key(&self, app: AppId, hash: &ApiKeyHash, now: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::api_key_key(app, hash)))
            .update_expression("SET #revoked = :now, #updated = :now")
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#revoked)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#revoked", item::REVOKED_AT)
            .expression_attribute_names("#updated", item::UPDATED_AT)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .send()
            .await?;
        Ok(())
    }

    /// Deletes an API key's record, if it is there.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn delete_api_key(&self, app: AppId, hash: &ApiKeyHash) -> Result<(), StoreError> {
        self.delete(item::api_key_key(app, hash)).await
    }

    /// Deletes the app's own record, if it is there.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn delete_app(&self, app: AppId) -> Result<(), StoreError> {
        self.delete(item::app_key(app)).await
    }

    async fn delete(&self, key: Attributes) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await?;
        Ok(())
    }

    fn put_new(&self, item: Attributes) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", item::PK)
            .build()
            .map_err(|error| StoreError::Backend(error.to_string()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Makes the table, for emulators; on AWS the stack makes it. `false` where it was there before.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn create_table(&self) -> Result<bool, StoreError> {
        let invalid = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Backend(error.to_string());
        let mut request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (attribute, key_type) in [(item::PK, KeyType::Hash), (item::SK, KeyType::Range)] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(invalid)?;
            let element =
                KeySchemaElement::builder().attribute_name(attribute).key_type(key_type).build().map_err(invalid)?;
            request = request.attribute_definitions(definition).key_schema(element);
        }
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
