//! The form of the table's items: the one place that names an attribute.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{
    ApiKey, ApiKeyHash, ApiKeyType, App, AppId, DoneWrite, PreviousSecret, PublicKey, SigningKey, SigningKeyState,
    SigningKeys, WriteId,
};

use super::pages::{AppSummary, Record};

/// An item as the SDK has it.
pub type Attributes = HashMap<String, AttributeValue>;

/// The partition key.
pub const PK: &str = "pk";
/// The sort key.
pub const SK: &str = "sk";
/// The count of an app's changes.
pub const VERSION: &str = "version";
/// When an API key was revoked.
pub const REVOKED_AT: &str = "revokedAt";
/// When a record last changed.
pub const UPDATED_AT: &str = "updatedAt";
/// When an API key last let someone in.
pub const LAST_USED_AT: &str = "lastUsedAt";
/// When an API key expires.
pub const EXPIRES_AT: &str = "expiresAt";
/// From when on DynamoDB may delete an item, in seconds since 1970.
pub const TTL: &str = "ttl";
/// The sort key of an app's own record.
pub const APP_SK: &str = "APP";
/// What the sort key of every API key begins with.
pub const API_KEY_SK_PREFIX: &str = "APIKEY#";

/// What the sort key of every remembered write begins with.
const WRITE_SK_PREFIX: &str = "IDEMPOTENCY#";
const REQUEST: &str = "request";
const ANSWER: &str = "answer";
const APP_PK_PREFIX: &str = "APP#";
const UUID: &str = "uuid";
const NAME: &str = "name";
const TYPE: &str = "type";
const HINT: &str = "hint";
const STATE: &str = "state";
const PUBLIC_KEY: &str = "publicKey";
const IS_IMPORTED: &str = "isImported";
const IS_DISABLED: &str = "isDisabled";
const CREATED_AT: &str = "createdAt";
const SECRET_VERSION_ID: &str = "secretVersionId";
const PREVIOUS_SECRET_VERSION_ID: &str = "previousSecretVersionId";
const PREVIOUS_SECRET_EXPIRES_AT: &str = "previousSecretExpiresAt";
const SIGNING_KEYS: &str = "signingKeys";

/// The attributes of an app that [`to_app_summary`] reads.
pub const SUMMARY: [&str; 5] = [PK, NAME, IS_DISABLED, CREATED_AT, UPDATED_AT];

/// An item of the table that is not what was written there: says which and where, never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt item {item}: attribute {attribute} is {problem}")]
pub struct CorruptItem {
    /// The item's keys; of a hash, its beginning.
    pub item: String,
    /// The app that the keys name, if they name one.
    pub app: Option<AppId>,
    /// The attribute, with its place in a list.
    pub attribute: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The primary key of an app's record.
pub fn app_key(app: AppId) -> Attributes {
    primary_key(app, APP_SK.to_owned())
}

/// The primary key of an API key's record.
pub fn api_key_key(app: AppId, hash: &ApiKeyHash) -> Attributes {
    primary_key(app, api_key_sk(hash))
}

/// The sort key of an API key's record.
pub fn api_key_sk(hash: &ApiKeyHash) -> String {
    format!("{API_KEY_SK_PREFIX}{}", hash.as_str())
}

/// The primary key of a remembered write.
pub fn write_key(app: AppId, write: &WriteId) -> Attributes {
    primary_key(app, write_sk(write))
}

/// The sort key of a remembered write.
pub fn write_sk(write: &WriteId) -> String {
    format!("{WRITE_SK_PREFIX}{}", write.as_str())
}

/// The partition key of an app's items.
pub fn app_pk(app: AppId) -> AttributeValue {
    AttributeValue::S(format!("{APP_PK_PREFIX}{app}"))
}

fn primary_key(app: AppId, sk: String) -> Attributes {
    HashMap::from([(PK.to_owned(), app_pk(app)), (SK.to_owned(), AttributeValue::S(sk))])
}

/// The item of an app.
pub fn from_app(app: &App) -> Attributes {
    let mut item = app_key(app.id);
    let signing_keys = app.signing_keys.iter().map(|key| AttributeValue::M(from_signing_key(key))).collect();
    item.extend([
        text(NAME, &app.name),
        (IS_DISABLED.to_owned(), AttributeValue::Bool(app.is_disabled)),
        text(CREATED_AT, app.created_at),
        text(UPDATED_AT, app.updated_at),
        (VERSION.to_owned(), AttributeValue::N(app.version.to_string())),
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

/// The attributes that differ between an app's record as it was read and as it is to be stored, sorted by name; `None` is
/// for one that goes.
pub fn changes(read: &App, changed: &App) -> BTreeMap<String, Option<AttributeValue>> {
    let (before, mut after) = (from_app(read), from_app(changed));
    let differing = before.into_iter().filter_map(|(name, value)| match after.remove(&name) {
        Some(new) if new == value => None,
        other => Some((name, other)),
    });
    let mut differing: BTreeMap<_, _> = differing.collect();
    differing.extend(after.into_iter().map(|(name, value)| (name, Some(value))));
    differing
}

fn from_signing_key(key: &SigningKey) -> Attributes {
    let mut map = HashMap::from([
        text(UUID, key.id),
        text(STATE, key.state.name()),
        text(PUBLIC_KEY, key.public_key.as_pem()),
        text(CREATED_AT, key.created_at),
        text(UPDATED_AT, key.updated_at),
    ]);
    map.extend(key.is_imported.then(|| (IS_IMPORTED.to_owned(), AttributeValue::Bool(true))));
    map
}

/// The item of an API key.
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

/// The item of a remembered write.
pub fn from_done_write(app: AppId, done: &DoneWrite) -> Attributes {
    let mut item = write_key(app, &done.id);
    item.extend([
        text(REQUEST, &done.request),
        text(ANSWER, &done.answer),
        (TTL.to_owned(), AttributeValue::N(done.remembered_until.to_string())),
    ]);
    item
}

/// Reads the item of the remembered write of that id.
pub fn to_done_write(id: WriteId, item: Attributes) -> Result<DoneWrite, CorruptItem> {
    let mut item = Reader::of_item(item);
    Ok(DoneWrite { id, request: item.text(REQUEST)?, answer: item.text(ANSWER)?, remembered_until: item.number(TTL)? })
}

fn text(attribute: &str, value: impl fmt::Display) -> (String, AttributeValue) {
    (attribute.to_owned(), AttributeValue::S(value.to_string()))
}

/// Whether the item has this sort key.
pub fn has_sk(item: &Attributes, sk: &str) -> bool {
    matches!(item.get(SK), Some(AttributeValue::S(value)) if value == sk)
}

/// Reads an app's item.
pub fn to_app(item: Attributes) -> Result<App, CorruptItem> {
    let mut item = Reader::of_item(item);
    let id = item.parse_key(PK, APP_PK_PREFIX)?;
    let keys = item.list(SIGNING_KEYS)?.into_iter().map(to_signing_key).collect::<Result<_, _>>()?;
    Ok(App {
        id,
        name: item.text(NAME)?,
        is_disabled: item.boolean(IS_DISABLED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
        // Less than the type holds, so that it can always be counted up.
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
    let state = item.text(STATE)?;
    let public_key = item.text(PUBLIC_KEY)?;
    Ok(SigningKey {
        id: item.parse(UUID)?,
        state: SigningKeyState::of_name(&state).ok_or_else(|| item.corrupt(STATE, "not a state"))?,
        public_key: PublicKey::stored(public_key).map_err(|error| item.corrupt(PUBLIC_KEY, error))?,
        is_imported: item.attributes.contains_key(IS_IMPORTED) && item.boolean(IS_IMPORTED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
    })
}

/// Reads what a listing says of an app, from an app's item or a part of it.
pub fn to_app_summary(item: Attributes) -> Result<AppSummary, CorruptItem> {
    let mut item = Reader::of_item(item);
    Ok(AppSummary {
        id: item.parse_key(PK, APP_PK_PREFIX)?,
        name: item.text(NAME)?,
        is_disabled: item.boolean(IS_DISABLED)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
    })
}

/// Reads an item of any kind.
pub fn to_record(item: Attributes) -> Result<Record, CorruptItem> {
    let sk = match item.get(SK) {
        Some(AttributeValue::S(sk)) => sk.clone(),
        _ => String::new(),
    };
    if sk == APP_SK {
        return to_app(item).map(|app| Record::App(Box::new(app)));
    }
    let app = Reader::of_item(item.clone()).parse_key(PK, APP_PK_PREFIX)?;
    if sk.starts_with(API_KEY_SK_PREFIX) {
        return to_api_key(item).map(|key| Record::ApiKey(app, Box::new(key)));
    }
    let mut item = Reader::of_item(item);
    if !sk.starts_with(WRITE_SK_PREFIX) {
        return Err(item.corrupt(SK, "of no kind that is known"));
    }
    item.text(REQUEST)?;
    item.text(ANSWER)?;
    item.number::<u64>(TTL)?;
    Ok(Record::DoneWrite(app))
}

/// Reads an API key's item.
pub fn to_api_key(item: Attributes) -> Result<ApiKey, CorruptItem> {
    let mut item = Reader::of_item(item);
    let kind: String = item.text(TYPE)?;
    Ok(ApiKey {
        id: item.parse(UUID)?,
        name: item.text(NAME)?,
        kind: kind.parse::<ApiKeyType>().map_err(|()| item.corrupt(TYPE, "not a type of API key"))?,
        hash: item.parse_key(SK, API_KEY_SK_PREFIX)?,
        hint: item.text(HINT)?,
        created_at: item.parse(CREATED_AT)?,
        updated_at: item.parse(UPDATED_AT)?,
        expires_at: item.parse_optional(EXPIRES_AT)?,
        revoked_at: item.parse_optional(REVOKED_AT)?,
        last_used_at: item.parse_optional(LAST_USED_AT)?,
    })
}

/// What stands between an item's keys where both are shown.
const KEYS_SEPARATOR: &str = " / ";

/// Takes attributes out of an item, or out of a map inside one, and says where one is corrupt.
struct Reader {
    item: String,
    /// The place of the map inside the item, with a trailing dot; empty for the item itself.
    place: String,
    attributes: Attributes,
}

impl Reader {
    fn of_item(attributes: Attributes) -> Self {
        /// Enough of an API key's hash to find its item.
        const SHOWN_CHARACTERS: usize = API_KEY_SK_PREFIX.len() + 8;
        let shown = |key| match attributes.get(key) {
            Some(AttributeValue::S(value)) => value.as_str(),
            _ => "?",
        };
        let sk: String = shown(SK).chars().take(SHOWN_CHARACTERS).collect();
        Self { item: format!("{}{KEYS_SEPARATOR}{sk}", shown(PK)), place: String::new(), attributes }
    }

    fn corrupt(&self, attribute: &str, problem: impl fmt::Display) -> CorruptItem {
        let app = self.item.strip_prefix(APP_PK_PREFIX).and_then(|keys| keys.split_once(KEYS_SEPARATOR));
        CorruptItem {
            item: self.item.clone(),
            app: app.and_then(|(id, _)| id.parse().ok()),
            attribute: format!("{}{attribute}", self.place),
            problem: problem.to_string(),
        }
    }

    fn take(&mut self, attribute: &str) -> Result<AttributeValue, CorruptItem> {
        self.attributes.remove(attribute).ok_or_else(|| self.corrupt(attribute, "missing"))
    }

    fn text(&mut self, attribute: &str) -> Result<String, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::S(value) => Ok(value),
            _ => Err(self.corrupt(attribute, "not a string")),
        }
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, attribute: &str) -> Result<T, CorruptItem> {
        self.text(attribute)?.parse().map_err(|error| self.corrupt(attribute, error))
    }

    fn parse_optional<T: FromStr<Err: fmt::Display>>(&mut self, attribute: &str) -> Result<Option<T>, CorruptItem> {
        if self.attributes.contains_key(attribute) { self.parse(attribute).map(Some) } else { Ok(None) }
    }

    fn parse_key<T: FromStr<Err: fmt::Display>>(&mut self, attribute: &str, prefix: &str) -> Result<T, CorruptItem> {
        let value = self.text(attribute)?;
        let rest = value.strip_prefix(prefix).ok_or_else(|| self.corrupt(attribute, "of another kind"))?;
        rest.parse().map_err(|error| self.corrupt(attribute, error))
    }

    fn boolean(&mut self, attribute: &str) -> Result<bool, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::Bool(value) => Ok(value),
            _ => Err(self.corrupt(attribute, "not a boolean")),
        }
    }

    fn number<T: FromStr>(&mut self, attribute: &str) -> Result<T, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::N(value) => value.parse().map_err(|_| self.corrupt(attribute, "out of range")),
            _ => Err(self.corrupt(attribute, "not a number")),
        }
    }

    /// The maps of a list, each with its place.
    fn list(&mut self, attribute: &str) -> Result<Vec<Self>, CorruptItem> {
        let AttributeValue::L(values) = self.take(attribute)? else {
            return Err(self.corrupt(attribute, "not a list"));
        };
        let mut maps = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let place = format!("{}{attribute}[{index}]", self.place);
            let AttributeValue::M(attributes) = value else {
                return Err(self.corrupt(&place, "not a map"));
            };
            maps.push(Self { item: self.item.clone(), place: format!("{place}."), attributes });
        }
        Ok(maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyValue, KeyLimits, SecretVersionId, SigningKeyId, Timestamp};

    fn app() -> App {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut keys = SigningKeys::default();
        let public_key = PublicKey::import(include_str!("../domain/testdata/rsa-2048.pem")).unwrap();
        keys.add_in_use(SigningKeyId::random(), public_key.clone(), now);
        keys.import(SigningKeyId::random(), public_key, now);
        let mut app = App::new(AppId::random(), "App".to_owned(), SecretVersionId::random(), keys, now);
        app.rotate_secret(SecretVersionId::random(), App::DEFAULT_OVERLAP, now);
        app
    }

    fn api_key() -> ApiKey {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let mut key = ApiKey::new(&value, ApiKeyType::Read, "deploy".to_owned(), now, Some(now));
        key.revoked_at = Some(now);
        key.last_used_at = Some(now);
        key
    }

    #[test]
    fn what_is_written_is_read_back() {
        let app = app();
        assert_eq!(to_app(from_app(&app)), Ok(app.clone()));
        let before_any_rotation = App { previous_secret: None, ..app };
        assert_eq!(to_app(from_app(&before_any_rotation)), Ok(before_any_rotation));
        let key = api_key();
        assert_eq!(to_api_key(from_api_key(AppId::random(), &key)), Ok(key));
        let lasting = ApiKey { expires_at: None, revoked_at: None, ..api_key() };
        assert_eq!(to_api_key(from_api_key(AppId::random(), &lasting)), Ok(lasting));
    }

    /// The size of an item as DynamoDB counts it, or a little more.
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
        let public_key = PublicKey::stored(pem).unwrap();
        assert_eq!(public_key.as_pem().len(), 800);
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut app = App { signing_keys: SigningKeys::default(), ..app() };
        let mut keys = Vec::new();
        loop {
            let id = SigningKeyId::random();
            if app.signing_keys.add_standby(KeyLimits::API, id, public_key.clone(), now).is_ok() {
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

    /// Every attribute of an item, missing and of another type: the error names the attribute.
    fn each_is_missed<T: fmt::Debug>(
        item: &Attributes,
        optional: &[&str],
        read: fn(Attributes) -> Result<T, CorruptItem>,
    ) {
        for attribute in item.keys() {
            let mut without = item.clone();
            without.remove(attribute);
            match read(without) {
                Err(error) => assert_eq!((&error.attribute, error.problem.as_str()), (attribute, "missing")),
                Ok(_) => assert!(optional.contains(&attribute.as_str()), "{attribute} is not missed"),
            }
            let mut with_null = item.clone();
            with_null.insert(attribute.clone(), AttributeValue::Null(true));
            match read(with_null) {
                Err(error) => assert_eq!(&error.attribute, attribute),
                Ok(_) => assert!(optional.contains(&attribute.as_str()), "{attribute} may be null"),
            }
        }
    }

    #[test]
    fn a_half_written_item_is_named_with_its_attribute() {
        each_is_missed(&from_app(&app()), &[SK, PREVIOUS_SECRET_VERSION_ID], to_app);
        each_is_missed(
            &from_api_key(AppId::random(), &api_key()),
            &[PK, EXPIRES_AT, REVOKED_AT, LAST_USED_AT],
            to_api_key,
        );
    }

    #[test]
    fn a_version_that_cannot_be_counted_up_is_corrupt() {
        let mut item = from_app(&app());
        item.insert(VERSION.to_owned(), AttributeValue::N(u64::MAX.to_string()));
        assert_eq!(to_app(item).unwrap_err().attribute, VERSION);
    }

    #[test]
    fn a_corrupt_signing_key_is_named_with_its_place() {
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

    #[test]
    fn a_corrupt_items_error_shows_no_value() {
        let mut item = from_api_key(AppId::random(), &api_key());
        item.insert(TYPE.to_owned(), AttributeValue::S("do not show me".to_owned()));
        let error = to_api_key(item).unwrap_err();
        assert!(!error.to_string().contains("do not show me"));
        assert!(error.item.len() < 70, "the hash is cut: {}", error.item);
    }
}
