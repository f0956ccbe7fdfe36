use super::{
    attribute::{APP, Attributes, PK, TTL, number, text},
    key::{INDEX_PK_PREFIX, index_key},
    reader::{CorruptItem, Reader},
};
use crate::domain::{ApiKey, ApiKeyHash, AppId};

/// Creates the item that finds an API key's app from its hash. DynamoDB may delete it together with the key's record.
pub fn from_index(app: AppId, key: &ApiKey) -> Attributes {
    let mut item = index_key(&key.hash);
    item.extend([text(APP, app)]);
    item.extend(key.deletable_at().map(|moment| number(TTL, moment.seconds_since_epoch())));
    item
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexItem {
    pub hash: ApiKeyHash,
    pub app: AppId,
    /// The time from which DynamoDB may delete the item, in seconds since 1970.
    pub deletable_at: Option<u64>,
}

pub fn to_index(item: Attributes) -> Result<IndexItem, CorruptItem> {
    let mut item = Reader::new(item);
    let deletable_at = if item.has(TTL) { Some(item.number(TTL)?) } else { None };
    Ok(IndexItem { hash: item.parse_key(PK, INDEX_PK_PREFIX)?, app: item.parse(APP)?, deletable_at })
}

/// Reads the hash of an index item whose other attributes may be corrupt.
pub fn hash_of_index(item: &Attributes) -> Result<ApiKeyHash, CorruptItem> {
    Reader::new(item.clone()).parse_key(PK, INDEX_PK_PREFIX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{ApiKeyType, ApiKeyValue, Timestamp},
        store::item::{api_key::from_api_key, attribute::SK, reader::tests::check_each_attribute},
    };

    fn key(kind: ApiKeyType) -> ApiKey {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        ApiKey::new(&ApiKeyValue::issue(kind).unwrap(), kind, String::new(), now, Some(Duration::from_secs(60)))
    }

    #[test]
    fn index_item_finds_app_and_expires_with_record() {
        let app = AppId::random();
        for kind in ApiKeyType::ALL {
            let key = key(kind);
            let item = from_index(app, &key);
            assert_eq!(item.get(TTL), from_api_key(app, &key).get(TTL));
            assert_eq!(item.contains_key(TTL), kind == ApiKeyType::Read);
            check_each_attribute(&item, &[SK, TTL], to_index);
            let deletable_at = key.deletable_at().map(Timestamp::seconds_since_epoch);
            assert_eq!(to_index(item), Ok(IndexItem { hash: key.hash, app, deletable_at }));
        }
    }

    #[test]
    fn error_of_corrupt_index_item_cuts_hash() {
        let key = key(ApiKeyType::Read);
        let mut item = from_index(AppId::random(), &key);
        item.remove(APP);
        let error = to_index(item).unwrap_err().to_string();
        assert!(error.contains(&key.hash.as_str()[..8]) && !error.contains(&key.hash.as_str()[..9]), "{error}");
    }
}
