use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    attribute::{
        Attributes, CREATED_AT, Changes, IS_DISABLED, IS_IMPORTED, NAME, PK, PREVIOUS_SECRET_EXPIRES_AT,
        PREVIOUS_SECRET_VERSION_ID, PUBLIC_KEY, SECRET_VERSION_ID, SIGNING_KEYS, STATE, UPDATED_AT, UUID, VERSION,
        boolean, difference, number, text,
    },
    key::{APP_PK_PREFIX, app_key},
    reader::{CorruptItem, Reader},
};
use crate::domain::{App, AppId, PreviousSecret, PublicKey, SigningKey, SigningKeys, Timestamp};

/// The part of an app's record that a list of apps shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSummary {
    pub id: AppId,
    pub name: String,
    pub is_disabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The attributes that [`to_app_summary`] reads.
pub const SUMMARY: [&str; 5] = [PK, NAME, IS_DISABLED, CREATED_AT, UPDATED_AT];

pub fn from_app(app: &App) -> Attributes {
    let mut item = app_key(app.id);
    let signing_keys = app.signing_keys.iter().map(|key| AttributeValue::M(from_signing_key(key))).collect();
    item.extend([
        text(NAME, &app.name),
        boolean(IS_DISABLED, app.is_disabled),
        text(CREATED_AT, app.created_at),
        text(UPDATED_AT, app.updated_at),
        number(VERSION, app.version),
        text(SECRET_VERSION_ID, app.secret_version_id),
        (SIGNING_KEYS.to_owned(), AttributeValue::L(signing_keys)),
    ]);
    if let Some(previous) = app.previous_secret {
        item.extend([
            text(PREVIOUS_SECRET_VERSION_ID, previous.version_id),
            text(PREVIOUS_SECRET_EXPIRES_AT, previous.expires_at),
        ]);
    }
    item
}

/// Returns the changes from the record as read to the record to be stored.
pub fn changes(read: &App, changed: &App) -> Changes {
    difference(from_app(read), from_app(changed))
}

fn from_signing_key(key: &SigningKey) -> Attributes {
    let mut map = HashMap::from([
        text(UUID, key.id),
        text(STATE, key.state.name()),
        text(PUBLIC_KEY, key.public_key.as_pem()),
        text(CREATED_AT, key.created_at),
        text(UPDATED_AT, key.updated_at),
    ]);
    map.extend(key.is_imported.then(|| boolean(IS_IMPORTED, true)));
    map
}

pub fn to_app(item: Attributes) -> Result<App, CorruptItem> {
    let mut item = Reader::new(item);
    let id = item.parse_key(PK, APP_PK_PREFIX)?;
    let keys = item.maps(SIGNING_KEYS)?.into_iter().map(to_signing_key).collect::<Result<_, _>>()?;
    Ok(App {
        id,
        name: item.text(NAME)?,
        is_disabled: item.boolean(IS_DISABLED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
        // A smaller type than the field's, so that an increment never overflows.
        version: item.number::<u32>(VERSION)?.into(),
        secret_version_id: item.parse(SECRET_VERSION_ID)?,
        previous_secret: item
            .parse_optional(PREVIOUS_SECRET_VERSION_ID)?
            .map(|version_id| Ok(PreviousSecret { version_id, expires_at: item.parse(PREVIOUS_SECRET_EXPIRES_AT)? }))
            .transpose()?,
        signing_keys: SigningKeys::new(keys).map_err(|error| item.corrupt(SIGNING_KEYS, error))?,
    })
}

fn to_signing_key(mut item: Reader) -> Result<SigningKey, CorruptItem> {
    let public_key = item.text(PUBLIC_KEY)?;
    Ok(SigningKey {
        id: item.parse(UUID)?,
        state: item.parse(STATE)?,
        public_key: PublicKey::from_stored(public_key).map_err(|error| item.corrupt(PUBLIC_KEY, error))?,
        is_imported: item.has(IS_IMPORTED) && item.boolean(IS_IMPORTED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
    })
}

/// Reads an app's whole item, or only its [`SUMMARY`] attributes.
pub fn to_app_summary(item: Attributes) -> Result<AppSummary, CorruptItem> {
    let mut item = Reader::new(item);
    Ok(AppSummary {
        id: item.parse_key(PK, APP_PK_PREFIX)?,
        name: item.text(NAME)?,
        is_disabled: item.boolean(IS_DISABLED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{SecretVersionId, SigningKeyId, SigningKeyLimits},
        store::item::{attribute::SK, reader::tests::check_each_attribute},
    };

    fn app() -> App {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut keys = SigningKeys::default();
        let public_key = PublicKey::import(include_str!("../../domain/testdata/rsa-2048.pem")).unwrap();
        keys.add_in_use(SigningKeyId::random(), public_key.clone(), now);
        keys.import(SigningKeyId::random(), public_key, now);
        let mut app = App::new(AppId::random(), "App".to_owned(), SecretVersionId::random(), keys, now);
        app.rotate_secret(SecretVersionId::random(), App::DEFAULT_OVERLAP, now);
        app
    }

    #[test]
    fn app_round_trips() {
        let app = app();
        assert_eq!(to_app(from_app(&app)), Ok(app.clone()));
        let before_any_rotation = App { previous_secret: None, ..app };
        assert_eq!(to_app(from_app(&before_any_rotation)), Ok(before_any_rotation));
    }

    /// Returns the size of an item as DynamoDB counts it, or a little more.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
    fn size(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
            AttributeValue::L(values) => 3 + values.iter().map(|value| size(value) + 1).sum::<usize>(),
            AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| name.len() + size(value) + 1).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn record_with_most_keys_costs_18_read_units() {
        const READ_UNIT: usize = 4096;
        /// An RSA-4096 key in PEM has 800 characters.
        const BASE64: usize = 747;
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", "A".repeat(BASE64));
        let public_key = PublicKey::from_stored(pem).unwrap();
        assert_eq!(public_key.as_pem().len(), 800);
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut app = App { signing_keys: SigningKeys::default(), ..app() };
        let mut keys = Vec::new();
        for _ in 0..1000 {
            let id = SigningKeyId::random();
            if app.signing_keys.add_standby(SigningKeyLimits::API, id, public_key.clone(), now).is_ok() {
                keys.push(id);
            } else if keys.len() < 50 {
                break;
            } else if let Some(oldest) = keys.first() {
                app.signing_keys.revoke(*oldest, false, now).unwrap();
                keys.remove(0);
            }
        }
        let size = size(&AttributeValue::M(from_app(&app)));
        assert!(size.div_ceil(READ_UNIT) <= 18, "{size} bytes");
    }

    #[test]
    fn changes_name_only_attributes_that_differ() {
        let read = app();
        let names = |change: fn(&mut App)| {
            let mut changed = read.clone();
            change(&mut changed);
            let changes = changes(&read, &changed);
            changes.into_iter().map(|(name, value)| (name, value.is_some())).collect::<Vec<_>>()
        };
        let named = |names: &[(&str, bool)]| -> Vec<_> {
            names.iter().map(|(name, is_set)| ((*name).to_owned(), *is_set)).collect()
        };
        assert_eq!(names(|_| {}), []);
        assert_eq!(names(|app| app.version += 1), named(&[(VERSION, true)]));
        let removed = [(PREVIOUS_SECRET_EXPIRES_AT, false), (PREVIOUS_SECRET_VERSION_ID, false)];
        assert_eq!(names(|app| app.previous_secret = None), named(&removed));
        assert_eq!(names(|app| app.signing_keys = SigningKeys::default()), named(&[(SIGNING_KEYS, true)]));
        let before_any_rotation = App { previous_secret: None, ..read.clone() };
        let added = changes(&before_any_rotation, &read).into_keys().collect::<Vec<_>>();
        assert_eq!(added, [PREVIOUS_SECRET_EXPIRES_AT, PREVIOUS_SECRET_VERSION_ID]);
    }

    #[test]
    fn missing_attribute_of_app_is_named() {
        check_each_attribute(&from_app(&app()), &[SK, PREVIOUS_SECRET_VERSION_ID], to_app);
    }

    #[test]
    fn version_too_large_to_increment_is_corrupt() {
        let mut item = from_app(&app());
        item.insert(VERSION.to_owned(), AttributeValue::N(u64::MAX.to_string()));
        assert_eq!(to_app(item).unwrap_err().attribute, VERSION);
    }

    #[test]
    fn corrupt_signing_key_is_named_with_its_path() {
        let mut item = from_app(&app());
        let Some(AttributeValue::L(keys)) = item.get_mut(SIGNING_KEYS) else { panic!() };
        let AttributeValue::M(second) = &mut keys[1] else { panic!() };
        second.insert(STATE.to_owned(), AttributeValue::S("lost".to_owned()));
        let error = to_app(item.clone()).unwrap_err();
        assert_eq!(error.attribute, "signingKeys[1].state");
        assert!(error.item.starts_with("APP#") && error.item.ends_with(" / APP"));

        let Some(AttributeValue::L(keys)) = item.get_mut(SIGNING_KEYS) else { panic!() };
        keys[1] = AttributeValue::Bool(true);
        assert_eq!(to_app(item).unwrap_err().attribute, "signingKeys[1]");
    }
}
