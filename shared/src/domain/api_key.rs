use std::{fmt, str::FromStr, time::Duration};

use zeroize::Zeroizing;

use super::{ApiKeyId, NoRandomness, Timestamp, hexadecimal};

/// What an API key is for. A write key does not read, a read key does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyType {
    /// For the GET routes.
    Read,
    /// For the POST, PUT and DELETE routes.
    Write,
}

impl ApiKeyType {
    /// Both types.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The type's name in the `x-api-key-type` header, in the table and inside a key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Read => "ud_read_",
            Self::Write => "ud_write_",
        }
    }
}

impl FromStr for ApiKeyType {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// The text can't be an API key: too long, or with this system's prefix and a wrong checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct MalformedApiKey;

/// Why a key from elsewhere is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A key of this system that was pasted with more around it.
    #[error("one of this system's keys with more around it: give the key only, without quotes or `Bearer `")]
    Wrapped,
    /// Not 16 to 256 printable ASCII characters.
    #[error("an API key has 16 to 256 printable ASCII characters")]
    Shape,
    /// This system's prefix, but not a key that this system would let in.
    #[error("the key starts like one of this system's, but its checksum is wrong")]
    Checksum,
    /// A key of this system that names the other type.
    #[error("the key itself says that it is of the other type")]
    OtherType,
}

/// The value of an API key, presented or just issued: `Debug` shows nothing of it, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyValue(Zeroizing<String>);

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_DIGITS: usize = 32;
const CHECKSUM_DIGITS: usize = 6;

impl ApiKeyValue {
    /// The longest key there is, in characters.
    pub const MAX_CHARACTERS: usize = 256;

    /// A new key, `ud_<type>_<32 base62><6 base62>`: 190 random bits and the checksum.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn issue(kind: ApiKeyType) -> Result<Self, NoRandomness> {
        let mut value = Zeroizing::new(String::with_capacity(64));
        value.push_str(kind.prefix());
        let full_length = value.len() + RANDOM_DIGITS;
        while value.len() < full_length {
            let mut byte = [0_u8];
            aws_lc_rs::rand::fill(&mut byte).map_err(|_| NoRandomness)?;
            // Six bits that are no digit are drawn again: a remainder would favour the first digits.
            if let Some(digit) = BASE62.get(usize::from(byte[0] & 63)) {
                value.push(char::from(*digit));
            }
        }
        let checksum = checksum(&value);
        value.push_str(&checksum);
        Ok(Self(value))
    }

    /// A key as a caller presents it, of this system or imported.
    ///
    /// # Errors
    /// It is over 256 characters, or carries this system's prefix and a wrong checksum.
    pub fn present(text: &str) -> Result<Self, MalformedApiKey> {
        let too_long = text.chars().nth(Self::MAX_CHARACTERS).is_some();
        if too_long || type_of_own_key(text).is_some() && !is_own_key(text) {
            return Err(MalformedApiKey);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// A key from elsewhere, to be kept as one of `kind`.
    ///
    /// # Errors
    /// It could never be presented with success: see [`ImportError`].
    pub fn import(text: &str, kind: ApiKeyType) -> Result<Self, ImportError> {
        if has_wrapped_own_key(text) {
            return Err(ImportError::Wrapped);
        }
        // HTTP drops white space around a header's value: a key that needs it could never arrive.
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
        if !printable || !(16..=Self::MAX_CHARACTERS).contains(&text.len()) {
            return Err(ImportError::Shape);
        }
        if type_of_own_key(text).is_some_and(|own| own != kind) {
            return Err(ImportError::OtherType);
        }
        Self::present(text).map_err(|MalformedApiKey| ImportError::Checksum)
    }

    /// What the key is stored as and found by.
    #[must_use]
    pub fn hash(&self) -> ApiKeyHash {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.0.as_bytes());
        ApiKeyHash(hexadecimal(digest.as_ref()))
    }

    /// The last four characters, by which people tell their keys apart.
    #[must_use]
    pub fn hint(&self) -> String {
        let skipped = self.0.chars().count().saturating_sub(4);
        self.0.chars().skip(skipped).collect()
    }

    /// The value, for the one time that it is shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeyValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKeyValue(…)")
    }
}

fn type_of_own_key(text: &str) -> Option<ApiKeyType> {
    ApiKeyType::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
}

fn is_own_key(text: &str) -> bool {
    let Some(random) = type_of_own_key(text).and_then(|kind| text.strip_prefix(kind.prefix())) else {
        return false;
    };
    random.len() == RANDOM_DIGITS + CHECKSUM_DIGITS
        && random.bytes().all(|byte| BASE62.contains(&byte))
        && text.split_at_checked(text.len() - CHECKSUM_DIGITS).is_some_and(|(body, digits)| checksum(body) == digits)
}

/// Whether a key of this system is in the text, and not all of it.
fn has_wrapped_own_key(text: &str) -> bool {
    let is_end = |end: Option<char>| end.is_none_or(|character| !character.is_ascii_alphanumeric());
    ApiKeyType::ALL.into_iter().flat_map(|kind| text.match_indices(kind.prefix())).any(|(start, prefix)| {
        let length = prefix.len() + RANDOM_DIGITS + CHECKSUM_DIGITS;
        let Some((before, rest)) = text.split_at_checked(start) else { return false };
        let Some((key, behind)) = rest.split_at_checked(length) else { return false };
        key != text && is_own_key(key) && is_end(before.chars().next_back()) && is_end(behind.chars().next())
    })
}

/// CRC-32 (IEEE 802.3) in base62, zero-padded: 62^6 is more than 2^32.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; CHECKSUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        if let Some(byte) = BASE62.get((rest % 62) as usize) {
            *digit = char::from(*byte);
        }
        rest /= 62;
    }
    digits.iter().collect()
}

/// The SHA-256 of an API key's value, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(String);

impl ApiKeyHash {
    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in hexadecimal")]
pub struct MalformedHash;

impl FromStr for ApiKeyHash {
    type Err = MalformedHash;

    fn from_str(text: &str) -> Result<Self, MalformedHash> {
        let hexadecimal = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if hexadecimal && text.len() == 64 { Ok(Self(text.to_owned())) } else { Err(MalformedHash) }
    }
}

/// The record of an API key; its value is known to its holder alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in logs and commands.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub kind: ApiKeyType,
    /// What it is found by.
    pub hash: ApiKeyHash,
    /// The last four characters of its value.
    pub hint: String,
    /// When it was issued or imported.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// From when on it is refused, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it let someone in; the last time may be up to [`ApiKey::LAST_USED_PRECISION`] later, or more where noting it failed.
    pub last_used_at: Option<Timestamp>,
}

/// Whether an API key lets anyone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyStatus {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// Its operator took it back.
    Revoked,
}

impl ApiKeyStatus {
    /// The status as operators read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// The record of a key made at `now`.
    #[must_use]
    pub fn new(
        value: &ApiKeyValue,
        kind: ApiKeyType,
        name: String,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            id: ApiKeyId::random(),
            name,
            kind,
            hash: value.hash(),
            hint: value.hint(),
            created_at: now,
            updated_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// How far `last_used_at` may lag behind.
    pub const LAST_USED_PRECISION: Duration = Duration::from_secs(3600);

    /// Whether a use at `now` is to be noted.
    #[must_use]
    pub fn is_use_to_be_noted(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last + Self::LAST_USED_PRECISION <= now)
    }

    /// The time from the key's creation to its expiry, if it expires.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.expires_at.map(|end| end.since(self.created_at))
    }

    /// Lets the key expire after `overlap`, or when it already would have; a key that has been replaced.
    pub fn retire(&mut self, overlap: Duration, now: Timestamp) {
        let end = now + overlap;
        self.expires_at = Some(self.expires_at.map_or(end, |before| before.min(end)));
        self.updated_at = now;
    }

    /// Whether the key lets its holder in at `now`; a revoked key stays revoked when its time is over.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> ApiKeyStatus {
        if self.revoked_at.is_some() {
            ApiKeyStatus::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            ApiKeyStatus::Expired
        } else {
            ApiKeyStatus::Active
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_issued_key_has_the_contracts_shape_and_is_presentable() {
        for kind in ApiKeyType::ALL {
            let key = ApiKeyValue::issue(kind).unwrap();
            let random = key.expose().strip_prefix(&format!("ud_{}_", kind.name())).unwrap();
            assert_eq!(random.len(), 38);
            assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(ApiKeyValue::present(key.expose()), Ok(key.clone()));
            assert_ne!(key, ApiKeyValue::issue(kind).unwrap());
        }
    }

    #[test]
    fn the_checksum_is_crc_32_of_all_before_it_in_base62() {
        // CRC-32 (IEEE) of "123456789" is 0xCBF43926, the check value that its definition gives; 0 is padded.
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn every_mistyped_character_is_noticed() {
        let key = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        for position in "ud_read_".len()..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(bytes).unwrap();
            assert_eq!(ApiKeyValue::present(&mistyped), Err(MalformedApiKey));
        }
        let cut = &key.expose()[..key.expose().len() - 1];
        assert_eq!(ApiKeyValue::present(cut), Err(MalformedApiKey));
        assert_eq!(ApiKeyValue::present("ud_write_"), Err(MalformedApiKey));
    }

    #[test]
    fn a_key_of_another_shape_is_presentable_up_to_256_characters() {
        for text in ["k", "ud_admin_123", &"é".repeat(256)] {
            assert!(ApiKeyValue::present(text).is_ok(), "{text}");
        }
        assert_eq!(ApiKeyValue::present(&"x".repeat(257)), Err(MalformedApiKey));
    }

    #[test]
    fn only_what_could_be_presented_is_imported() {
        let read = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        assert_eq!(ApiKeyValue::import(read.expose(), ApiKeyType::Read), Ok(read.clone()));
        assert_eq!(ApiKeyValue::import(read.expose(), ApiKeyType::Write), Err(ImportError::OtherType));
        let mistyped = format!("{}x", read.expose());
        assert_eq!(ApiKeyValue::import(&mistyped, ApiKeyType::Read), Err(ImportError::Checksum));
        assert!(ApiKeyValue::import(&"x".repeat(16), ApiKeyType::Read).is_ok());
        for shape in ["x".repeat(15), "x".repeat(257), "é".repeat(16), format!("{}\ty", "x".repeat(16)), " ".repeat(16)]
        {
            assert_eq!(ApiKeyValue::import(&shape, ApiKeyType::Read), Err(ImportError::Shape));
        }
    }

    #[test]
    fn own_key_with_more_around_it_is_recognised() {
        let key = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let key = key.expose();
        for text in [
            format!("\"{key}\""),
            format!("'{key}'"),
            format!("“{key}”"),
            format!("Bearer {key}"),
            format!("x-api-key: {key}"),
            format!("\u{feff}{key}"),
            format!("{key} "),
            format!("{key}\n{key}"),
        ] {
            assert_eq!(ApiKeyValue::import(&text, ApiKeyType::Read), Err(ImportError::Wrapped), "{text}");
        }
        assert!(ApiKeyValue::import("\"a key from elsewhere\"", ApiKeyType::Read).is_ok());
    }

    #[test]
    fn the_hash_is_sha_256_in_hexadecimal() {
        // FIPS 180-4's example "abc".
        let hash = ApiKeyValue::present("abc").unwrap().hash();
        assert_eq!(hash.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn debug_and_hint_show_no_more_than_they_should() {
        let key = ApiKeyValue::present("abcdefghijklmnop").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKeyValue(…)");
        assert_eq!(key.hint(), "mnop");
    }

    #[test]
    fn a_key_expires_at_its_end_and_revoked_wins() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let now = at("2026-01-01T00:00:00.000Z");
        let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, Some(at("2026-01-02T00:00:00.000Z")));
        assert_eq!(key.status(at("2026-01-01T23:59:59.999Z")), ApiKeyStatus::Active);
        assert_eq!(key.status(at("2026-01-02T00:00:00.000Z")), ApiKeyStatus::Expired);
        key.revoked_at = Some(now);
        assert_eq!(key.status(at("2026-01-02T00:00:00.000Z")), ApiKeyStatus::Revoked);
    }

    #[test]
    fn a_use_is_noted_once_an_hour() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, None);
        assert!(key.is_use_to_be_noted(now));
        key.last_used_at = Some(now);
        assert!(!key.is_use_to_be_noted(now + Duration::from_secs(3599)));
        assert!(key.is_use_to_be_noted(now + Duration::from_secs(3600)));
    }

    proptest! {
        #[test]
        fn an_expiry_is_never_extended_by_a_rotation(expires in proptest::option::of(0_u64..1_000_000), overlaps in proptest::collection::vec(0_u64..1_000_000, 1..10)) {
            let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
            let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
            let expires_at = expires.map(|seconds| now + Duration::from_secs(seconds));
            let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, expires_at);
            for overlap in overlaps {
                let before = key.expires_at;
                key.retire(Duration::from_secs(overlap), now);
                let after = key.expires_at.unwrap();
                prop_assert!(after <= now + Duration::from_secs(overlap));
                prop_assert!(before.is_none_or(|before| after <= before));
            }
        }

        #[test]
        fn any_text_is_judged_without_a_crash(text in ".*") {
            let _ = ApiKeyValue::present(&text);
            let _ = ApiKeyValue::import(&text, ApiKeyType::Read);
            let _ = ApiKeyValue::present(&format!("ud_read_{text}"));
        }
    }
}
