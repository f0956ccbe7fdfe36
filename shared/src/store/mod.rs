//! The table: apps and API keys in DynamoDB.

mod batch_get;
mod item;
mod pages;

use std::{
    collections::HashSet,
    error::Error,
    fmt::Display,
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::Region,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, Delete, KeySchemaElement, KeyType,
        KeysAndAttributes, Put, ScalarAttributeType, TransactWriteItem, Update, builders::PutBuilder,
    },
};

use self::item::Attributes;
pub use self::{
    item::{AppSummary, CorruptItem, Record},
    pages::Pages,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    LazyClient,
    aws_json::{AwsJson, is_throttling},
    causes::sdk_cause,
    domain::{ApiKey, ApiKeyHash, App, AppId, StoredResult, Timestamp, WriteId},
};

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused, failed or did not answer in time; the whole cause.
    #[error("DynamoDB: {0}")]
    Backend(String),
    /// DynamoDB throttles; the whole cause.
    #[error("DynamoDB: {0}")]
    Throttled(String),
    /// There is no such table where the client looks.
    #[error(
        "cannot find DynamoDB table {table} in region {region} at {endpoint} (ResourceNotFoundException); check the \
         table's name, the region and the endpoint"
    )]
    NoTable {
        /// The table's name.
        table: String,
        /// The client's region.
        region: String,
        /// The client's endpoint.
        endpoint: String,
    },
    /// What is in the table can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptItem),
    /// Other changes won each time that this one was tried; nothing was changed.
    #[error("cannot change the record: other changes of the app keep winning; run the command again")]
    Contended,
    /// What the change was based on is no longer so; nothing was changed.
    #[error("a concurrent change won, or the record is not there; nothing was changed")]
    Conflict,
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> Self {
        Self::Backend(error.to_string())
    }
}

/// The waits before a change that commutes with all others is tried again after a [`StoreError::Conflict`]. They are random,
/// so that the same writers do not compete again, and end within 4 seconds.
pub fn waits_after_conflict() -> impl Iterator<Item = Duration> {
    const LONGEST: [u64; 10] = [20, 40, 80, 160, 320, 640, 640, 640, 640, 640];
    LONGEST.into_iter().map(|longest| Duration::from_millis(longest).mul_f64(fastrand::f64()))
}

/// A caller's records. What is corrupt is an error of its own, for after the API key has been judged.
#[derive(Debug)]
pub struct Found {
    /// The API key.
    pub api_key: ApiKey,
    /// The app.
    pub app: Result<App, CorruptItem>,
    /// The write that was asked for, if it was done before.
    pub done_write: Option<Result<StoredResult, CorruptItem>>,
}

/// The table that holds apps and API keys.
#[derive(Debug, Clone)]
pub struct Store {
    client: LazyClient<Client>,
    /// The way that reads take, where there is one without the SDK.
    direct: Option<Arc<AwsJson>>,
    table: String,
    /// Where the client was told to find DynamoDB, for errors.
    endpoint: Option<String>,
}

impl Store {
    /// The exception for a table that is not there.
    const MISSING: &str = "ResourceNotFoundException";

    /// A transaction has 100 items, of which one is the app.
    const BESIDE_THE_APP: usize = 99;

    /// How long to wait before asking again for what DynamoDB left unprocessed.
    const RETRY_UNPROCESSED_AFTER: [Duration; 3] =
        [Duration::from_millis(25), Duration::from_millis(100), Duration::from_millis(400)];

    /// The table of that name; with `direct`, reads go without the SDK.
    #[must_use]
    pub fn new(client: impl FnOnce() -> Client + Send + 'static, direct: Option<AwsJson>, table: String) -> Self {
        let client = Arc::new(LazyLock::new(Box::new(client) as Box<_>));
        Self { client, direct: direct.map(Arc::new), table, endpoint: None }
    }

    /// Names the client's endpoint in errors, if it is not AWS's own.
    #[must_use]
    pub fn with_endpoint(self, endpoint: Option<String>) -> Self {
        Self { endpoint, ..self }
    }

    fn failed<E: Error + ProvideErrorMetadata + 'static>(&self, error: &SdkError<E>) -> StoreError {
        let says =
            |words: [&str; 2]| error.message().is_some_and(|message| words.iter().any(|word| message.contains(word)));
        match error.code() {
            Some("ConditionalCheckFailedException" | "TransactionConflictException") => StoreError::Conflict,
            // The message names the reason of each of the transaction's items.
            Some("TransactionCanceledException") if says(["ConditionalCheckFailed", "TransactionConflict"]) => {
                StoreError::Conflict
            }
            Some("TransactionCanceledException") if says(["ThrottlingError", "ProvisionedThroughputExceeded"]) => {
                StoreError::Throttled(sdk_cause(error))
            }
            Some(code) if is_throttling(code) => StoreError::Throttled(sdk_cause(error)),
            Some(Self::MISSING) => self.no_table(),
            _ => StoreError::Backend(sdk_cause(error)),
        }
    }

    fn no_table(&self) -> StoreError {
        StoreError::NoTable {
            table: self.table.clone(),
            region: self.client.config().region().map_or("(none)", Region::as_ref).to_owned(),
            endpoint: self.endpoint.as_deref().unwrap_or("AWS's own endpoint").to_owned(),
        }
    }

    /// The app, its API key of that hash and the write of that id, in one strongly consistent round trip; `None` where
    /// the app or the key is missing.
    ///
    /// # Errors
    /// DynamoDB fails, or the API key's record is corrupt.
    pub async fn find_caller(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        write: Option<&WriteId>,
    ) -> Result<Option<Found>, StoreError> {
        let mut wanted = vec![item::app_key(app), item::api_key_key(app, hash)];
        wanted.extend(write.map(|write| item::stored_result_key(app, write)));
        let mut found = self.find_all(wanted).await?;
        let mut take = |sk: &str| {
            let index = found.iter().position(|item| item::has_sk(item, sk))?;
            Some(found.swap_remove(index))
        };
        let (Some(app), Some(api_key)) = (take(item::APP_SK), take(&item::api_key_sk(hash))) else { return Ok(None) };
        let done_write =
            write.and_then(|id| Some(item::to_stored_result(id.clone(), take(&item::stored_result_sk(id))?)));
        Ok(Some(Found { api_key: item::to_api_key(api_key)?, app: item::to_app(app), done_write }))
    }

    /// The write of that id, if it was done and is kept.
    ///
    /// # Errors
    /// DynamoDB fails, or the record is corrupt.
    pub async fn find_done_write(&self, app: AppId, id: &WriteId) -> Result<Option<StoredResult>, StoreError> {
        let mut found = self.find_all(vec![item::stored_result_key(app, id)]).await?;
        Ok(found.pop().map(|item| item::to_stored_result(id.clone(), item)).transpose()?)
    }

    /// Reads items strongly consistently, and asks again for what DynamoDB left unprocessed.
    async fn find_all(&self, mut wanted: Vec<Attributes>) -> Result<Vec<Attributes>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut waits = Self::RETRY_UNPROCESSED_AFTER.into_iter();
        loop {
            wanted = self.batch_get(wanted, &mut found).await?;
            if wanted.is_empty() {
                return Ok(found);
            }
            let wait = waits.next().ok_or_else(|| StoreError::Throttled("keys stayed unprocessed".to_owned()))?;
            tokio::time::sleep(wait).await;
        }
    }

    /// One `BatchGetItem`: adds to `found` what is there, and returns the keys that were not processed.
    async fn batch_get(
        &self,
        keys: Vec<Attributes>,
        found: &mut Vec<Attributes>,
    ) -> Result<Vec<Attributes>, StoreError> {
        if let Some(direct) = &self.direct {
            return self.batch_get_directly(direct, keys, found).await;
        }
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?;
        let answer = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        found.extend(answer.responses.unwrap_or_default().into_values().flatten());
        let unprocessed = answer.unprocessed_keys.unwrap_or_default();
        Ok(unprocessed.into_values().flat_map(|keys| keys.keys).collect())
    }

    async fn batch_get_directly(
        &self,
        direct: &AwsJson,
        keys: Vec<Attributes>,
        found: &mut Vec<Attributes>,
    ) -> Result<Vec<Attributes>, StoreError> {
        let failed = |error: &dyn Display| StoreError::Backend(error.to_string());
        let request = batch_get::request(&self.table, keys).map_err(|error| failed(&error))?;
        let answer = direct.call("BatchGetItem", &request).await.map_err(|error| match error.code() {
            Some(Self::MISSING) => self.no_table(),
            Some(code) if is_throttling(code) => StoreError::Throttled(error.to_string()),
            _ => failed(&error),
        })?;
        let (items, unprocessed) =
            batch_get::answer(&answer).map_err(|error| failed(&format_args!("an answer that is none: {error}")))?;
        found.extend(items);
        Ok(unprocessed)
    }

    /// Reads an app and an API key as they are answered with, nobody's, so that a start has loaded what that takes.
    ///
    /// # Errors
    /// They can't be read.
    pub fn rehearse() -> Result<(), StoreError> {
        const ANSWER: &[u8] = include_bytes!("rehearsal.json");
        let (items, _) = batch_get::answer(ANSWER).map_err(|error| StoreError::Backend(error.to_string()))?;
        for item in items {
            if item::has_sk(&item, item::APP_SK) {
                item::to_app(item).map(drop)?;
            } else {
                item::to_api_key(item).map(drop)?;
            }
        }
        Ok(())
    }

    /// The app, strongly consistent, if it exists.
    ///
    /// # Errors
    /// DynamoDB fails, or the record is corrupt.
    pub async fn find_app(&self, app: AppId) -> Result<Option<App>, StoreError> {
        let mut found = self.find_all(vec![item::app_key(app)]).await?;
        Ok(found.pop().map(item::to_app).transpose()?)
    }

    /// All API keys of an app, oldest first, and the records that can't be read.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn list_api_keys(&self, app: AppId) -> Result<(Vec<ApiKey>, Vec<CorruptItem>), StoreError> {
        let (mut keys, mut corrupt) = (Vec::new(), Vec::new());
        for item in self.query_api_keys(app).await? {
            match item::to_api_key(item) {
                Ok(key) => keys.push(key),
                Err(error) => corrupt.push(error),
            }
        }
        keys.sort_by_key(|key| key.created_at);
        Ok((keys, corrupt))
    }

    async fn query_api_keys(&self, app: AppId) -> Result<Vec<Attributes>, StoreError> {
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
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.map_err(|error| self.failed(&error))?);
        }
        Ok(items)
    }

    /// Creates the app and its first API keys, all or nothing: the last transaction has the app. Keys for which it has no
    /// room are written before, and let nobody in while there is no app; after a crash, the same again completes it.
    /// Items that a deleted app of this id left behind are deleted first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the app or one of the keys exists; or DynamoDB fails.
    pub async fn create_app(&self, app: &App, api_keys: &[ApiKey]) -> Result<(), StoreError> {
        let (before, last) = api_keys.split_at(api_keys.len().saturating_sub(Self::BESIDE_THE_APP));
        // A parallel import of the same app may have written them just now.
        self.delete_left_over(app.id, before).await?;
        for keys in before.chunks(Self::BESIDE_THE_APP) {
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
    /// `done`, remembers the write in the same transaction. A function thus writes no attribute but those it changes,
    /// and its policy names them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the record has changed since or is gone, or the write was done already; or DynamoDB fails.
    pub async fn update_app(
        &self,
        read: &App,
        mut changed: App,
        now: Timestamp,
        done: Option<&StoredResult>,
    ) -> Result<App, StoreError> {
        changed.version = read.version + 1;
        changed.updated_at = now;
        let done = done.map(|done| {
            let put = self
                .put(item::from_stored_result(changed.id, done))
                .condition_expression("attribute_not_exists(#pk) OR #ttl <= :now")
                .expression_attribute_names("#pk", item::PK)
                .expression_attribute_names("#ttl", item::TTL)
                .expression_attribute_values(":now", AttributeValue::N(now.seconds_since_epoch().to_string()));
            into_transaction(put)
        });
        self.transact(std::iter::once(self.change_app(read, &changed)).chain(done)).await?;
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

    fn deletion(&self, key: Attributes) -> Result<TransactWriteItem, BuildError> {
        let deletion = Delete::builder().table_name(&self.table).set_key(Some(key)).build()?;
        Ok(TransactWriteItem::builder().delete(deletion).build())
    }

    fn check_app(&self, app: AppId, condition: &str) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(item::app_key(app)))
            .condition_expression(condition)
            .expression_attribute_names("#pk", item::PK)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
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
        let noted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::api_key_key(app, hash)))
            .update_expression("SET #used = :now")
            .condition_expression("attribute_exists(#pk) AND (attribute_not_exists(#used) OR #used <= :old)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#used", item::LAST_USED_AT)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(":old", AttributeValue::S(now.before(ApiKey::LAST_USED_PRECISION).to_string()))
            .send()
            .await
            .map_err(|error| self.failed(&error));
        match noted {
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
                Err(StoreError::Conflict) => tokio::time::sleep(wait).await,
                counted => return counted,
            }
        }
        let cause =
            "the API key is revoked, but a write by it that was in flight may still be stored within 30 seconds";
        Err(StoreError::Backend(cause.to_owned()))
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
            tokio::time::sleep(waits.next().ok_or(StoreError::Contended)?).await;
        }
    }

    fn count_up(&self, app: AppId, now: Timestamp) -> Result<TransactWriteItem, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::app_key(app)))
            .update_expression("SET #version = #version + :one, #updated = :now")
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#version", item::VERSION)
            .expression_attribute_names("#updated", item::UPDATED_AT)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
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

    async fn delete(&self, key: Attributes) -> Result<(), StoreError> {
        let deleted = self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await;
        deleted.map(drop).map_err(|error| self.failed(&error))
    }

    /// Deletes what an app of this id left behind, such as remembered writes, except the API keys `kept`. Nothing is
    /// deleted while the app exists.
    async fn delete_left_over(&self, app: AppId, kept: &[ApiKey]) -> Result<(), StoreError> {
        let kept: HashSet<_> = kept.iter().map(|key| item::api_key_sk(&key.hash)).collect();
        let is_kept = |key: &Attributes| kept.iter().any(|sk| item::has_sk(key, sk));
        let left_over: Vec<_> = self.keys_beside_app(app).await?.into_iter().filter(|key| !is_kept(key)).collect();
        for keys in left_over.chunks(Self::BESIDE_THE_APP) {
            let deletions = keys.iter().map(|key| self.deletion(key.clone()));
            self.transact(std::iter::once(self.check_app(app, "attribute_not_exists(#pk)")).chain(deletions)).await?;
        }
        Ok(())
    }

    /// The keys of an app's items, without the app's own record.
    async fn keys_beside_app(&self, app: AppId) -> Result<Vec<Attributes>, StoreError> {
        let mut pages = self
            .client
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
            keys.push(key.map_err(|error| self.failed(&error))?);
        }
        keys.retain(|key| !item::has_sk(key, item::APP_SK));
        Ok(keys)
    }

    fn put(&self, item: Attributes) -> PutBuilder {
        Put::builder().table_name(&self.table).set_item(Some(item))
    }

    fn put_new(&self, item: Attributes) -> PutBuilder {
        self.put(item).condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", item::PK)
    }

    async fn transact(
        &self,
        items: impl IntoIterator<Item = Result<TransactWriteItem, BuildError>>,
    ) -> Result<(), StoreError> {
        let items = items.into_iter().collect::<Result<_, _>>()?;
        let written = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        written.map(drop).map_err(|error| self.failed(&error))
    }

    /// Makes the table, for emulators; on AWS the stack makes it. `false` where it was there before.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn create_table(&self) -> Result<bool, StoreError> {
        let mut request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (attribute, key_type) in [(item::PK, KeyType::Hash), (item::SK, KeyType::Range)] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S)
                .build()?;
            let element = KeySchemaElement::builder().attribute_name(attribute).key_type(key_type).build()?;
            request = request.attribute_definitions(definition).key_schema(element);
        }
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

fn into_transaction(put: PutBuilder) -> Result<TransactWriteItem, BuildError> {
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_rehearses_with_is_an_app_and_an_api_key() {
        assert!(Store::rehearse().is_ok());
    }
}
