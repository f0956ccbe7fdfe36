use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Attributes, PK, SK};
use crate::domain::{ApiKeyHash, AppId, WriteId};

pub const APP_PK_PREFIX: &str = "APP#";
pub const APP_SK: &str = "APP";
pub const API_KEY_SK_PREFIX: &str = "APIKEY#";
pub const INDEX_PK_PREFIX: &str = "APIKEY#";
pub const INDEX_SK: &str = "APIKEY";
pub const STORED_RESULT_SK_PREFIX: &str = "IDEMPOTENCY#";

pub fn app_key(app: AppId) -> Attributes {
    primary_key(app, APP_SK.to_owned())
}

pub fn api_key_key(app: AppId, hash: &ApiKeyHash) -> Attributes {
    primary_key(app, api_key_sk(hash))
}

pub fn api_key_sk(hash: &ApiKeyHash) -> String {
    format!("{API_KEY_SK_PREFIX}{}", hash.as_str())
}

pub fn index_key(hash: &ApiKeyHash) -> Attributes {
    let pk = format!("{INDEX_PK_PREFIX}{}", hash.as_str());
    HashMap::from([(PK.to_owned(), AttributeValue::S(pk)), (SK.to_owned(), AttributeValue::S(INDEX_SK.to_owned()))])
}

pub fn stored_result_key(app: AppId, write: &WriteId) -> Attributes {
    primary_key(app, stored_result_sk(write))
}

pub fn stored_result_sk(write: &WriteId) -> String {
    format!("{STORED_RESULT_SK_PREFIX}{}", write.as_str())
}

pub fn app_pk(app: AppId) -> AttributeValue {
    AttributeValue::S(format!("{APP_PK_PREFIX}{app}"))
}

pub fn has_sk(item: &Attributes, sk: &str) -> bool {
    matches!(item.get(SK), Some(AttributeValue::S(value)) if value == sk)
}

fn primary_key(app: AppId, sk: String) -> Attributes {
    HashMap::from([(PK.to_owned(), app_pk(app)), (SK.to_owned(), AttributeValue::S(sk))])
}

/// Returns the primary key of an API key's index item from the primary key of its record; `None` for other records.
pub fn index_key_of(key: &Attributes) -> Option<Attributes> {
    let Some(AttributeValue::S(sk)) = key.get(SK) else { return None };
    let hash: ApiKeyHash = sk.strip_prefix(API_KEY_SK_PREFIX)?.parse().ok()?;
    Some(index_key(&hash))
}
