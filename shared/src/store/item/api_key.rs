use std::time::Duration;

use super::{
    attribute::{
        ALLOWED_CIDRS, Attributes, CREATED_AT, Changes, EXPIRES_AT, FETCHED_AT, FETCHED_VERSION_ID, HINT, ISSUED_BY,
        LAST_USED_AT, LIFETIME_SECONDS, NAME, PK, REVOKED_AT, SK, TTL, TYPE, UPDATED_AT, UUID, difference, number,
        text, texts,
    },
    key::{API_KEY_SK_PREFIX, APP_PK_PREFIX, api_key_key},
    reader::{CorruptItem, Reader},
};
use crate::domain::{AllowList, ApiKey, AppId, SecretFetch, Timestamp};

pub fn from_api_key(app: AppId, key: &ApiKey) -> Attributes {
    let mut item = api_key_key(app, &key.hash);
    item.extend([
        text(UUID, key.id),
        text(NAME, &key.name),
        text(TYPE, key.kind.name()),
        text(HINT, &key.hint),
        text(CREATED_AT, key.created_at),
        text(UPDATED_AT, key.updated_at),
        number(LIFETIME_SECONDS, lifetime_seconds(key.lifetime)),
    ]);
    item.extend(key.expires_at.map(|moment| text(EXPIRES_AT, moment)));
    item.extend(key.revoked_at.map(|moment| text(REVOKED_AT, moment)));
    item.extend(key.last_used_at.map(|moment| text(LAST_USED_AT, moment)));
    item.extend(key.issued_by.map(|id| text(ISSUED_BY, id)));
    item.extend((!key.allow_list.is_unrestricted()).then(|| texts(ALLOWED_CIDRS, key.allow_list.networks())));
    if let Some(fetch) = key.last_fetch {
        item.extend([text(FETCHED_VERSION_ID, fetch.version_id), text(FETCHED_AT, fetch.at)]);
    }
    item.extend(key.deletable_at().map(|moment| number(TTL, moment.seconds_since_epoch())));
    item
}

/// Returns the changes from the record as read to the record to be stored.
pub fn api_key_changes(app: AppId, read: &ApiKey, changed: &ApiKey) -> Changes {
    let mut changes = difference(from_api_key(app, read), from_api_key(app, changed));
    if changes.contains_key(EXPIRES_AT) {
        // In records of earlier versions, only the expiry, which is about to change, implies the lifetime.
        let (name, value) = number(LIFETIME_SECONDS, lifetime_seconds(changed.lifetime));
        changes.insert(name, Some(value));
    }
    changes
}

fn lifetime_seconds(lifetime: Option<Duration>) -> u64 {
    // 0 would make a lifetime below a second endless.
    lifetime.map_or(0, |lifetime| lifetime.as_secs().max(1))
}

/// Reads an API key and the id of its app, which may not exist.
pub fn to_api_key_of_app(item: Attributes) -> Result<(AppId, ApiKey), CorruptItem> {
    let app = Reader::new(item.clone()).parse_key(PK, APP_PK_PREFIX)?;
    Ok((app, to_api_key(item)?))
}

pub fn to_api_key(item: Attributes) -> Result<ApiKey, CorruptItem> {
    let mut item = Reader::new(item);
    let created_at: Timestamp = item.parse(CREATED_AT)?;
    let expires_at: Option<Timestamp> = item.parse_optional(EXPIRES_AT)?;
    let lifetime = if item.has(LIFETIME_SECONDS) {
        Some(item.number(LIFETIME_SECONDS)?).filter(|seconds| *seconds > 0).map(Duration::from_secs)
    } else {
        ApiKey::implied_lifetime(created_at, expires_at)
    };
    let networks = if item.has(ALLOWED_CIDRS) { item.texts(ALLOWED_CIDRS)? } else { Vec::new() };
    Ok(ApiKey {
        id: item.parse(UUID)?,
        name: item.text(NAME)?,
        kind: item.parse(TYPE)?,
        hash: item.parse_key(SK, API_KEY_SK_PREFIX)?,
        hint: item.text(HINT)?,
        created_at,
        updated_at: item.parse(UPDATED_AT)?,
        expires_at,
        revoked_at: item.parse_optional(REVOKED_AT)?,
        last_used_at: item.parse_optional(LAST_USED_AT)?,
        lifetime,
        issued_by: item.parse_optional(ISSUED_BY)?,
        allow_list: AllowList::parse(&networks).map_err(|error| item.corrupt(ALLOWED_CIDRS, error))?,
        last_fetch: item
            .parse_optional(FETCHED_VERSION_ID)?
            .map(|version_id| Ok(SecretFetch { version_id, at: item.parse(FETCHED_AT)? }))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::{
        domain::{ApiKeyId, ApiKeyType, ApiKeyValue, SecretVersionId},
        store::item::{attribute::PK, reader::tests::check_each_attribute},
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> Timestamp {
        "2026-01-01T00:00:00.000Z".parse().unwrap()
    }

    /// Returns an API key with every attribute.
    fn api_key() -> ApiKey {
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        ApiKey {
            revoked_at: Some(now()),
            last_used_at: Some(now()),
            issued_by: Some(ApiKeyId::random()),
            allow_list: AllowList::parse(&["192.0.2.0/24", "2001:db8::/32"]).unwrap(),
            last_fetch: Some(SecretFetch { version_id: SecretVersionId::random(), at: now() }),
            ..ApiKey::new(&value, ApiKeyType::Read, "deploy".to_owned(), now(), Some(DAY))
        }
    }

    /// Returns an API key without optional attributes.
    fn minimal_api_key() -> ApiKey {
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        ApiKey::new(&value, ApiKeyType::Read, "deploy".to_owned(), now(), None)
    }

    #[test]
    fn api_key_round_trips() {
        for key in [api_key(), minimal_api_key()] {
            assert_eq!(to_api_key(from_api_key(AppId::random(), &key)), Ok(key));
        }
    }

    #[test]
    fn missing_attribute_of_api_key_is_named() {
        let item = from_api_key(AppId::random(), &api_key());
        let optional = [
            PK,
            EXPIRES_AT,
            REVOKED_AT,
            LAST_USED_AT,
            LIFETIME_SECONDS,
            ISSUED_BY,
            ALLOWED_CIDRS,
            FETCHED_VERSION_ID,
            TTL,
        ];
        check_each_attribute(&item, &optional, to_api_key);
    }

    /// Returns the record of a key as earlier versions stored it.
    fn earlier_record(key: &ApiKey) -> Attributes {
        let mut item = from_api_key(AppId::random(), key);
        item.retain(|name, _| ![LIFETIME_SECONDS, TTL].contains(&name.as_str()));
        item
    }

    #[test]
    fn lifetime_of_earlier_record_is_expiry_minus_creation() {
        let key = ApiKey { last_fetch: None, issued_by: None, allow_list: AllowList::default(), ..api_key() };
        assert_eq!(to_api_key(earlier_record(&key)), Ok(key));
        let key = minimal_api_key();
        assert_eq!(to_api_key(earlier_record(&key)), Ok(key));
    }

    #[test]
    fn lifetime_survives_change_of_expiry() {
        for read in [api_key(), minimal_api_key()] {
            let app = AppId::random();
            let mut item = earlier_record(&read);
            let mut retired = read.clone();
            retired.retire(Duration::from_secs(60), now());
            for (name, value) in api_key_changes(app, &read, &retired) {
                match value {
                    Some(value) => drop(item.insert(name, value)),
                    None => drop(item.remove(&name)),
                }
            }
            assert_eq!(to_api_key(item), Ok(retired));
        }
    }

    #[test]
    fn lifetime_below_1_second_stays_limited() {
        let short = Duration::from_millis(1);
        let key = ApiKey { lifetime: Some(short), expires_at: Some(now() + short), ..api_key() };
        for item in [earlier_record(&key), from_api_key(AppId::random(), &key)] {
            let read = to_api_key(item).unwrap();
            assert_eq!(read.lifetime, Some(Duration::from_secs(1)));
            assert_eq!(to_api_key(from_api_key(AppId::random(), &read)), Ok(read));
        }
    }

    #[test]
    fn only_changed_attributes_of_api_key_are_stored() {
        let (app, read) = (AppId::random(), minimal_api_key());
        let names = |change: fn(&mut ApiKey)| {
            let mut changed = read.clone();
            change(&mut changed);
            api_key_changes(app, &read, &changed).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(|_| {}), [""; 0]);
        assert_eq!(names(|key| key.revoke(key.created_at + DAY)), [REVOKED_AT, TTL, UPDATED_AT]);
        let retired = names(|key| key.retire(DAY, key.created_at + DAY));
        assert_eq!(retired, [EXPIRES_AT, LIFETIME_SECONDS, TTL, UPDATED_AT]);
    }

    #[test]
    fn malformed_allow_list_is_corrupt() {
        let mut item = from_api_key(AppId::random(), &api_key());
        let lists = [
            AttributeValue::S("192.0.2.0/24".to_owned()),
            AttributeValue::L(vec![AttributeValue::N("1".to_owned())]),
            AttributeValue::L(vec![AttributeValue::S("192.0.2.1".to_owned())]),
        ];
        for list in lists {
            item.insert(ALLOWED_CIDRS.to_owned(), list);
            assert_eq!(to_api_key(item.clone()).unwrap_err().attribute, ALLOWED_CIDRS);
        }
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
