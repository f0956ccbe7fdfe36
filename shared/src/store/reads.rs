//! Strongly consistent reads of single records and of an app's API keys.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use tokio::time::sleep;

use super::{
    Store,
    error::StoreError,
    item::{self, CorruptItem},
};
use crate::{
    aws::{BatchGetItemOutput, Item},
    domain::{ApiKey, ApiKeyHash, App, AppId, StoredResult, WriteId},
};

/// The most keys that `BatchGetItem` accepts.
const MAX_BATCH_KEYS: usize = 100;

/// The waits before keys that DynamoDB did not process are read again.
const RETRY_UNPROCESSED_AFTER: [Duration; 3] =
    [Duration::from_millis(25), Duration::from_millis(100), Duration::from_millis(400)];

/// A caller's records. Decoding errors are kept per record, so that the API key can be checked first.
#[derive(Debug)]
pub struct CallerRecords {
    pub api_key: ApiKey,
    pub app: Result<App, CorruptItem>,
    /// The result of the first write with the same `Idempotency-Key`.
    pub stored_result: Option<Result<StoredResult, CorruptItem>>,
}

impl Store {
    /// Reads the app, its API key with this hash and the stored result of this write, in one strongly consistent round
    /// trip. Returns `None` if the app or the key is missing.
    pub async fn find_caller(
        &self,
        app: AppId,
        hash: &ApiKeyHash,
        write: Option<&WriteId>,
    ) -> Result<Option<CallerRecords>, StoreError> {
        let mut wanted = vec![item::app_key(app), item::api_key_key(app, hash)];
        wanted.extend(write.map(|write| item::stored_result_key(app, write)));
        let mut found = self.find_together(&wanted).await?;
        let mut take = |sk: &str| {
            let index = found.iter().position(|item| item::has_sk(item, sk))?;
            Some(found.swap_remove(index))
        };
        let (Some(app), Some(api_key)) = (take(item::APP_SK), take(&item::api_key_sk(hash))) else { return Ok(None) };
        let stored_result =
            write.and_then(|id| Some(item::to_stored_result(id.clone(), take(&item::stored_result_sk(id))?)));
        Ok(Some(CallerRecords { api_key: item::to_api_key(api_key)?, app: item::to_app(app), stored_result }))
    }

    /// Reads the stored result of a write. It may have expired: see [`StoredResult::is_kept`].
    pub async fn find_stored_result(&self, app: AppId, id: &WriteId) -> Result<Option<StoredResult>, StoreError> {
        let mut found = self.find_items(vec![item::stored_result_key(app, id)]).await?;
        Ok(found.pop().map(|item| item::to_stored_result(id.clone(), item)).transpose()?)
    }

    /// Reads the existing items of any number of distinct keys, strongly consistent.
    pub(super) async fn find_items(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(MAX_BATCH_KEYS));
            self.find_batch(keys, &mut found).await?;
            keys = rest;
        }
        Ok(found)
    }

    async fn find_batch(&self, mut keys: Vec<Item>, found: &mut Vec<Item>) -> Result<(), StoreError> {
        let mut waits = RETRY_UNPROCESSED_AFTER.into_iter();
        loop {
            let output = self.read_batch(&keys).await?;
            found.extend(output.items);
            keys = output.unprocessed_keys;
            if keys.is_empty() {
                return Ok(());
            }
            sleep(waits.next().ok_or_else(unprocessed)?).await;
        }
    }

    /// Reads the existing items of a few keys in one call. If DynamoDB leaves out a key, reads all again. Otherwise an API
    /// key that was read before its revocation could be accepted with an app that was read after it.
    async fn find_together(&self, keys: &[Item]) -> Result<Vec<Item>, StoreError> {
        let mut waits = RETRY_UNPROCESSED_AFTER.into_iter();
        loop {
            let output = self.read_batch(keys).await?;
            if output.unprocessed_keys.is_empty() {
                return Ok(output.items);
            }
            sleep(waits.next().ok_or_else(unprocessed)?).await;
        }
    }

    async fn read_batch(&self, keys: &[Item]) -> Result<BatchGetItemOutput, StoreError> {
        self.dynamodb.batch_get_item(&self.table, keys).await.map_err(|error| self.to_store_error(error))
    }

    /// Reads an app, strongly consistent.
    pub async fn find_app(&self, app: AppId) -> Result<Option<App>, StoreError> {
        let mut found = self.find_items(vec![item::app_key(app)]).await?;
        Ok(found.pop().map(item::to_app).transpose()?)
    }

    /// Reads those of the apps that exist, strongly consistent. A corrupt record is an error of its own app.
    pub async fn find_apps(
        &self,
        apps: impl IntoIterator<Item = AppId>,
    ) -> Result<HashMap<AppId, Result<App, CorruptItem>>, StoreError> {
        let mut found = HashMap::new();
        for app in self.find_items(apps.into_iter().map(item::app_key).collect()).await?.into_iter().map(item::to_app) {
            if let Some(id) = app.as_ref().map_or_else(|corrupt| corrupt.app, |app| Some(app.id)) {
                found.insert(id, app);
            }
        }
        Ok(found)
    }

    /// Reads those of the API keys that exist, strongly consistent. Returns them with their apps, and the corrupt
    /// records.
    pub async fn find_api_keys_of_apps(
        &self,
        places: &[(AppId, ApiKeyHash)],
    ) -> Result<(Vec<(AppId, ApiKey)>, Vec<CorruptItem>), StoreError> {
        let (mut keys, mut corrupt) = (Vec::new(), Vec::new());
        let wanted = places.iter().map(|(app, hash)| item::api_key_key(*app, hash)).collect();
        for record in self.find_items(wanted).await? {
            match item::to_api_key_of_app(record) {
                Ok(key) => keys.push(key),
                Err(error) => corrupt.push(error),
            }
        }
        Ok((keys, corrupt))
    }

    /// Reads all API keys of an app. Returns them, oldest first, and the corrupt records.
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

    /// Returns a builder for a strongly consistent query.
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

fn unprocessed() -> StoreError {
    StoreError::Throttled("keys stayed unprocessed".to_owned())
}
