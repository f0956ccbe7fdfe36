//! Reads of single records, strongly consistent.

use std::time::Duration;

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use tokio::time::sleep;

use super::{
    Store,
    error::StoreError,
    item::{self, CorruptItem},
};
use crate::{
    aws::Item,
    domain::{ApiKey, ApiKeyHash, App, AppId, StoredResult, WriteId},
};

/// The waits before keys that DynamoDB did not process are read again.
const RETRY_UNPROCESSED_AFTER: [Duration; 3] =
    [Duration::from_millis(25), Duration::from_millis(100), Duration::from_millis(400)];

/// A caller's records. Decoding errors are kept per record, so that the API key can be checked first.
#[derive(Debug)]
pub struct CallerRecords {
    pub api_key: ApiKey,
    pub app: Result<App, CorruptItem>,
    /// The stored result of the write that the caller repeats, if there is one.
    pub stored_result: Option<Result<StoredResult, CorruptItem>>,
}

impl Store {
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
    ) -> Result<Option<CallerRecords>, StoreError> {
        let mut wanted = vec![item::app_key(app), item::api_key_key(app, hash)];
        wanted.extend(write.map(|write| item::stored_result_key(app, write)));
        let mut found = self.find_all(wanted).await?;
        let mut take = |sk: &str| {
            let index = found.iter().position(|item| item::has_sk(item, sk))?;
            Some(found.swap_remove(index))
        };
        let (Some(app), Some(api_key)) = (take(item::APP_SK), take(&item::api_key_sk(hash))) else { return Ok(None) };
        let stored_result =
            write.and_then(|id| Some(item::to_stored_result(id.clone(), take(&item::stored_result_sk(id))?)));
        Ok(Some(CallerRecords { api_key: item::to_api_key(api_key)?, app: item::to_app(app), stored_result }))
    }

    /// The write of that id, if it was stored and is kept.
    ///
    /// # Errors
    /// DynamoDB fails, or the record is corrupt.
    pub async fn find_stored_result(&self, app: AppId, id: &WriteId) -> Result<Option<StoredResult>, StoreError> {
        let mut found = self.find_all(vec![item::stored_result_key(app, id)]).await?;
        Ok(found.pop().map(|item| item::to_stored_result(id.clone(), item)).transpose()?)
    }

    /// Reads items strongly consistently. Asks again for keys that DynamoDB did not process.
    pub(super) async fn find_all(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut waits = RETRY_UNPROCESSED_AFTER.into_iter();
        loop {
            let output =
                self.dynamodb.batch_get_item(&self.table, keys).await.map_err(|error| self.to_store_error(error))?;
            found.extend(output.items);
            keys = output.unprocessed_keys;
            if keys.is_empty() {
                return Ok(found);
            }
            let wait = waits.next().ok_or_else(|| StoreError::Throttled("keys stayed unprocessed".to_owned()))?;
            sleep(wait).await;
        }
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

    async fn query_api_keys(&self, app: AppId) -> Result<Vec<Item>, StoreError> {
        let query = self
            .query()
            .key_condition_expression("#pk = :app AND begins_with(#sk, :apikey)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", item::app_pk(app))
            .expression_attribute_values(":apikey", AttributeValue::S(item::API_KEY_SK_PREFIX.to_owned()));
        self.query_all(query).await
    }

    /// Begins a strongly consistent query.
    pub(super) fn query(&self) -> QueryFluentBuilder {
        self.dynamodb.client().query().table_name(&self.table).consistent_read(true)
    }

    /// Reads the items of all pages.
    pub(super) async fn query_all(&self, query: QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
        let mut pages = query.into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.map_err(|error| self.to_store_error(error.into()))?);
        }
        Ok(items)
    }
}
