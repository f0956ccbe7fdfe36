use super::{
    attribute::{
        Attributes, CREATED_AT, EXPIRES_AT, HINT, LAST_USED_AT, NAME, REVOKED_AT, SK, TYPE, UPDATED_AT, UUID, text,
    },
    key::{API_KEY_SK_PREFIX, api_key_key},
    reader::{CorruptItem, Reader},
};
use crate::domain::{ApiKey, AppId};

pub fn from_api_key(app: AppId, key: &ApiKey) -> Attributes {
    let mut item = api_key_key(app, &key.hash);
    item.extend([
        text(UUID, key.id),
        text(NAME, &key.name),
        text(TYPE, key.kind.name()),
        text(HINT, &key.hint),
        text(CREATED_AT, key.created_at),
        text(UPDATED_AT, key.updated_at),
    ]);
    item.extend(key.expires_at.map(|moment| text(EXPIRES_AT, moment)));
    item.extend(key.revoked_at.map(|moment| text(REVOKED_AT, moment)));
    item.extend(key.last_used_at.map(|moment| text(LAST_USED_AT, moment)));
    item
}

pub fn to_api_key(item: Attributes) -> Result<ApiKey, CorruptItem> {
    let mut item = Reader::new(item);
    Ok(ApiKey {
        id: item.parse(UUID)?,
        name: item.text(NAME)?,
        kind: item.parse(TYPE)?,
        hash: item.parse_key(SK, API_KEY_SK_PREFIX)?,
        hint: item.text(HINT)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
        expires_at: item.parse_optional(EXPIRES_AT)?,
        revoked_at: item.parse_optional(REVOKED_AT)?,
        last_used_at: item.parse_optional(LAST_USED_AT)?,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::{
        domain::{ApiKeyType, ApiKeyValue, Timestamp},
        store::item::{attribute::PK, reader::tests::check_each_attribute},
    };

    fn api_key() -> ApiKey {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let mut key = ApiKey::new(&value, ApiKeyType::Read, "deploy".to_owned(), now, Some(now));
        key.revoked_at = Some(now);
        key.last_used_at = Some(now);
        key
    }

    #[test]
    fn api_key_round_trips() {
        let key = api_key();
        assert_eq!(to_api_key(from_api_key(AppId::random(), &key)), Ok(key));
        let minimal = ApiKey { expires_at: None, revoked_at: None, last_used_at: None, ..api_key() };
        assert_eq!(to_api_key(from_api_key(AppId::random(), &minimal)), Ok(minimal));
    }

    #[test]
    fn missing_attribute_of_api_key_is_named() {
        let item = from_api_key(AppId::random(), &api_key());
        check_each_attribute(&item, &[PK, EXPIRES_AT, REVOKED_AT, LAST_USED_AT], to_api_key);
    }

    #[test]
    fn error_of_corrupt_item_shows_no_value() {
        let mut item = from_api_key(AppId::random(), &api_key());
        item.insert(TYPE.to_owned(), AttributeValue::S("do not show me".to_owned()));
        let error = to_api_key(item).unwrap_err();
        assert!(!error.to_string().contains("do not show me"));
        assert!(error.item.len() < 70, "the hash is cut: {}", error.item);
    }
}
