use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use super::{ApiKeyHash, ApiKeyType};
use crate::domain::{NoRandomness, random::fill_random};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct MalformedApiKey;

/// The reason that a key from another system is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyImportError {
    #[error(
        "the text has other characters around a key of this system: give only the key, without quotes or `Bearer `"
    )]
    Wrapped,
    #[error("an API key has 16 to 256 printable ASCII characters")]
    Shape,
    #[error("the key has this system's prefix, but its checksum is wrong")]
    Checksum,
    #[error("the key's prefix says that it has the other type")]
    OtherType,
}

/// The value of a presented or newly issued API key. `Debug` does not show it, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyValue(Zeroizing<String>);

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_DIGITS: usize = 32;
const CHECKSUM_DIGITS: usize = 6;

impl ApiKeyValue {
    pub const MAX_VALUE_CHARACTERS: usize = 256;
    const MIN_VALUE_CHARACTERS: usize = 16;

    /// Generates a key, `ud_<type>_<32 base62><6 base62>`: 190 random bits and the checksum.
    pub fn issue(kind: ApiKeyType) -> Result<Self, NoRandomness> {
        let mut value = Zeroizing::new(String::with_capacity(64));
        value.push_str(kind.prefix());
        let full_length = value.len() + RANDOM_DIGITS;
        while value.len() < full_length {
            let mut byte = [0_u8];
            fill_random(&mut byte)?;
            // Of the six high bits, 62 and 63 are skipped, because a remainder would favour the first digits.
            if let Some(digit) = BASE62.get(usize::from(byte[0] >> 2)) {
                value.push(char::from(*digit));
            }
        }
        let checksum = checksum(&value);
        value.push_str(&checksum);
        Ok(Self(value))
    }

    /// Imports a key of another system. Fails if a request with the key would always be rejected.
    pub fn import(text: &str, kind: ApiKeyType) -> Result<Self, ApiKeyImportError> {
        if has_wrapped_own_key(text) {
            return Err(ApiKeyImportError::Wrapped);
        }
        // HTTP removes white space around a header's value.
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
        if !printable || !(Self::MIN_VALUE_CHARACTERS..=Self::MAX_VALUE_CHARACTERS).contains(&text.len()) {
            return Err(ApiKeyImportError::Shape);
        }
        if type_of_own_key(text).is_some_and(|own| own != kind) {
            return Err(ApiKeyImportError::OtherType);
        }
        text.parse().map_err(|MalformedApiKey| ApiKeyImportError::Checksum)
    }

    /// Parses a token of a leak report. Returns `None` if no API key has this form, so that it needs no look-up.
    #[must_use]
    pub fn from_leak_report(token: &str) -> Option<Self> {
        let is_long_enough = token.chars().nth(Self::MIN_VALUE_CHARACTERS - 1).is_some();
        if is_long_enough { token.parse().ok() } else { None }
    }

    #[must_use]
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash::new(&self.0)
    }

    /// Returns the last four characters, by which people distinguish keys.
    #[must_use]
    pub fn hint(&self) -> String {
        let skipped = self.0.chars().count().saturating_sub(4);
        self.0.chars().skip(skipped).collect()
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyValue {
    type Err = MalformedApiKey;

    /// Parses a key as a caller presents it, issued by this system or imported. Fails if the text has over 256
    /// characters, or has this system's prefix and a wrong checksum.
    fn from_str(text: &str) -> Result<Self, MalformedApiKey> {
        let too_long = text.chars().nth(Self::MAX_VALUE_CHARACTERS).is_some();
        if too_long || type_of_own_key(text).is_some() && !is_own_key(text) {
            return Err(MalformedApiKey);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
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

/// Returns whether the text contains a key of this system and more.
fn has_wrapped_own_key(text: &str) -> bool {
    let is_end = |end: Option<char>| end.is_none_or(|character| !character.is_ascii_alphanumeric());
    ApiKeyType::ALL.into_iter().flat_map(|kind| text.match_indices(kind.prefix())).any(|(start, prefix)| {
        let length = prefix.len() + RANDOM_DIGITS + CHECKSUM_DIGITS;
        let Some((before, rest)) = text.split_at_checked(start) else { return false };
        let Some((key, behind)) = rest.split_at_checked(length) else { return false };
        key != text && is_own_key(key) && is_end(before.chars().next_back()) && is_end(behind.chars().next())
    })
}

/// Returns the CRC-32 (IEEE 802.3) in base62, zero-padded: 62^6 is more than 2^32.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn issued_key_has_contract_shape_and_parses() {
        for kind in ApiKeyType::ALL {
            let key = ApiKeyValue::issue(kind).unwrap();
            let random = key.expose().strip_prefix(&format!("ud_{}_", kind.name())).unwrap();
            assert_eq!(random.len(), 38);
            assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(key.expose().parse::<ApiKeyValue>(), Ok(key.clone()));
            assert_ne!(key, ApiKeyValue::issue(kind).unwrap());
        }
    }

    #[test]
    fn checksum_is_crc_32_in_base62() {
        // The standard check value: CRC-32 (IEEE) of "123456789" is 0xCBF43926. The second case is zero-padded.
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn mistyped_character_is_rejected() {
        let key = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        for position in "ud_read_".len()..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(bytes).unwrap();
            assert_eq!(mistyped.parse::<ApiKeyValue>(), Err(MalformedApiKey));
        }
        let cut = &key.expose()[..key.expose().len() - 1];
        assert_eq!(cut.parse::<ApiKeyValue>(), Err(MalformedApiKey));
        assert_eq!("ud_write_".parse::<ApiKeyValue>(), Err(MalformedApiKey));
    }

    #[test]
    fn issued_keys_have_all_digits() {
        let random = |key: ApiKeyValue| key.expose()["ud_read_".len()..][..RANDOM_DIGITS].to_owned();
        let digits: String = (0..200).map(|_| random(ApiKeyValue::issue(ApiKeyType::Read).unwrap())).collect();
        assert!(BASE62.iter().all(|digit| digits.contains(char::from(*digit))));
    }

    #[test]
    fn foreign_key_parses_up_to_256_characters() {
        for text in ["k", "ud_admin_123", &"é".repeat(256)] {
            assert!(text.parse::<ApiKeyValue>().is_ok(), "{text}");
        }
        assert_eq!("x".repeat(257).parse::<ApiKeyValue>(), Err(MalformedApiKey));
    }

    #[test]
    fn import_rejects_keys_that_cannot_be_presented() {
        let read = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        assert_eq!(ApiKeyValue::import(read.expose(), ApiKeyType::Read), Ok(read.clone()));
        assert_eq!(ApiKeyValue::import(read.expose(), ApiKeyType::Write), Err(ApiKeyImportError::OtherType));
        let mistyped = format!("{}x", read.expose());
        assert_eq!(ApiKeyValue::import(&mistyped, ApiKeyType::Read), Err(ApiKeyImportError::Checksum));
        assert!(ApiKeyValue::import(&"x".repeat(16), ApiKeyType::Read).is_ok());
        for shape in ["x".repeat(15), "x".repeat(257), "é".repeat(16), format!("{}\ty", "x".repeat(16)), " ".repeat(16)]
        {
            assert_eq!(ApiKeyValue::import(&shape, ApiKeyType::Read), Err(ApiKeyImportError::Shape));
        }
    }

    #[test]
    fn import_rejects_own_key_with_more_around_it() {
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
            assert_eq!(ApiKeyValue::import(&text, ApiKeyType::Read), Err(ApiKeyImportError::Wrapped), "{text}");
        }
        assert!(ApiKeyValue::import("\"a key from elsewhere\"", ApiKeyType::Read).is_ok());
    }

    #[test]
    fn reported_token_has_form_of_key() {
        let key = ApiKeyValue::issue(ApiKeyType::Write).unwrap();
        for token in [key.expose(), &"x".repeat(16), &"é".repeat(256)] {
            assert_eq!(ApiKeyValue::from_leak_report(token).unwrap().expose(), token);
        }
        for token in ["", &"x".repeat(15), &"x".repeat(257), &format!("{}x", key.expose())] {
            assert_eq!(ApiKeyValue::from_leak_report(token), None, "{token}");
        }
    }

    #[test]
    fn debug_hides_value_and_hint_shows_four_characters() {
        let key = "abcdefghijklmnop".parse::<ApiKeyValue>().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKeyValue(…)");
        assert_eq!(key.hint(), "mnop");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".*") {
            let _ = text.parse::<ApiKeyValue>();
            let _ = ApiKeyValue::import(&text, ApiKeyType::Read);
            let _ = format!("ud_read_{text}").parse::<ApiKeyValue>();
        }
    }
}
