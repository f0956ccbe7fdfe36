use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    api_key::to_api_key_of_app,
    app::to_app,
    attribute::{Attributes, PK, REQUEST, RESULT, SK, TTL},
    index::{IndexItem, to_index},
    key::{API_KEY_SK_PREFIX, APP_PK_PREFIX, APP_SK, INDEX_SK, STORED_RESULT_SK_PREFIX},
    reader::{CorruptItem, Reader},
};
use crate::domain::{ApiKey, App, AppId};

/// An item of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    App(Box<App>),
    /// The app may be missing.
    ApiKey(AppId, Box<ApiKey>),
    Index(IndexItem),
    /// The app may be missing.
    StoredResult(AppId),
}

pub fn to_record(item: Attributes) -> Result<Record, CorruptItem> {
    let sk = match item.get(SK) {
        Some(AttributeValue::S(sk)) => sk.clone(),
        _ => String::new(),
    };
    if sk == APP_SK {
        return to_app(item).map(|app| Record::App(Box::new(app)));
    }
    if sk == INDEX_SK {
        return to_index(item).map(Record::Index);
    }
    if sk.starts_with(API_KEY_SK_PREFIX) {
        return to_api_key_of_app(item).map(|(app, key)| Record::ApiKey(app, Box::new(key)));
    }
    let mut item = Reader::new(item);
    let app = item.parse_key(PK, APP_PK_PREFIX)?;
    if !sk.starts_with(STORED_RESULT_SK_PREFIX) {
        return Err(item.corrupt(SK, "of an unknown kind"));
    }
    item.text(REQUEST)?;
    item.text(RESULT)?;
    item.number::<u64>(TTL)?;
    Ok(Record::StoredResult(app))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ApiKeyType, ApiKeyValue, Timestamp},
        store::item::{api_key::from_api_key, index::from_index, key::api_key_key},
    };

    #[test]
    fn record_of_api_key_differs_from_its_index_item() {
        let (app, now) = (AppId::random(), "2026-01-01T00:00:00.000Z".parse::<Timestamp>().unwrap());
        let value = ApiKeyValue::issue(ApiKeyType::Write).unwrap();
        let key = ApiKey::new(&value, ApiKeyType::Write, String::new(), now, None);
        let index = IndexItem { hash: key.hash.clone(), app, deletable_at: None };
        assert_eq!(to_record(from_index(app, &key)), Ok(Record::Index(index)));
        assert_eq!(to_record(from_api_key(app, &key)), Ok(Record::ApiKey(app, Box::new(key))));
    }

    #[test]
    fn record_of_unknown_kind_is_corrupt() {
        let key = ApiKeyValue::issue(ApiKeyType::Write).unwrap();
        let mut item = api_key_key(AppId::random(), &key.hash());
        item.insert(SK.to_owned(), AttributeValue::S("APIKEYS".to_owned()));
        assert_eq!(to_record(item).unwrap_err().attribute, SK);
    }
}
