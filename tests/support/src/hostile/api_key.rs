//! API keys and idempotency keys with any content.

use userdocks::domain::{ApiKeyHash, ApiKeyImportError, ApiKeyType, ApiKeyValue, IdempotencyKey, WriteId};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Checks the input as a key, and as the random part of keys with a right and a wrong checksum.
pub fn check(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        check_presented(text);
        check_idempotency_key(text);
        if let Ok(hash) = text.parse::<ApiKeyHash>() {
            assert_eq!(hash.as_str(), text);
        }
    }
    check_issued(input);
}

fn check_presented(text: &str) {
    let presented = text.parse::<ApiKeyValue>();
    let is_accepted = text.chars().count() <= 256 && (!has_own_prefix(text) || is_own(text));
    assert_eq!(presented.is_ok(), is_accepted, "{text:?}");
    if let Ok(key) = &presented {
        assert_eq!(key.expose(), text);
        assert_eq!(key.hash().as_str().parse(), Ok(key.hash()));
        assert!(text.ends_with(&key.hint()) && key.hint().chars().count() <= 4, "{text:?}");
        assert_eq!(format!("{key:?}"), "ApiKeyValue(…)");
    }
    for kind in ApiKeyType::ALL {
        let has_shape = (16..=256).contains(&text.len())
            && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
            && !text.starts_with(' ')
            && !text.ends_with(' ');
        let is_of_other_type = has_own_prefix(text) && !text.starts_with(&format!("ud_{}_", kind.name()));
        let expected = match () {
            () if wraps_own(text) => Err(ApiKeyImportError::Wrapped),
            () if !has_shape => Err(ApiKeyImportError::Shape),
            () if is_of_other_type => Err(ApiKeyImportError::OtherType),
            () if !is_accepted => Err(ApiKeyImportError::Checksum),
            () => presented.clone().map_err(|_| ApiKeyImportError::Checksum),
        };
        assert_eq!(ApiKeyValue::import(text, kind), expected, "{text:?}");
    }
}

fn check_idempotency_key(text: &str) {
    let good = (1..=64).contains(&text.len()) && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let key = text.parse::<IdempotencyKey>();
    assert_eq!(key.is_ok(), good, "{text:?}");
    if let Ok(key) = key {
        let [one, other] = ["1", "2"].map(|of| WriteId::new(&of.parse::<ApiKeyValue>().unwrap().hash(), &key));
        assert!(one != other && one.as_str().len() == 64, "each API key has its own writes");
    }
}

fn check_issued(input: &[u8]) {
    let random: String = (0..32).map(|digit| *input.get(digit).unwrap_or(&0)).map(base62_digit).collect();
    for kind in ApiKeyType::ALL {
        let body = format!("ud_{}_{random}", kind.name());
        let right = checksum(&body);
        let key = format!("{body}{right}");
        assert_eq!(key.parse::<ApiKeyValue>().unwrap().expose(), key);
        assert_eq!(ApiKeyValue::import(&key, kind).unwrap().expose(), key);
        let wrong: String = (32..38).map(|digit| *input.get(digit).unwrap_or(&0)).map(base62_digit).collect();
        assert_eq!(format!("{body}{wrong}").parse::<ApiKeyValue>().is_ok(), wrong == right, "{body}{wrong}");
    }
}

fn base62_digit(byte: u8) -> char {
    char::from(BASE62[usize::from(byte) % 62])
}

fn has_own_prefix(text: &str) -> bool {
    text.starts_with("ud_read_") || text.starts_with("ud_write_")
}

/// Returns whether the text is a key of this system, by a second implementation of the contract's "API keys".
fn is_own(text: &str) -> bool {
    let prefix = if text.starts_with("ud_read_") { "ud_read_".len() } else { "ud_write_".len() };
    text.is_ascii()
        && text.len() == prefix + 38
        && text[prefix..].bytes().all(|byte| byte.is_ascii_alphanumeric())
        && checksum(&text[..prefix + 32]) == text[prefix + 32..]
}

/// Returns whether the text contains a key of this system as one of several words.
fn wraps_own(text: &str) -> bool {
    let is_own_at = |start: usize, length: usize| {
        let Some(key) = text.get(start..start + length).filter(|key| has_own_prefix(key) && is_own(key)) else {
            return false;
        };
        let (before, behind) = (&text[..start], &text[start + length..]);
        key != text && !before.ends_with(is_alphanumeric) && !behind.starts_with(is_alphanumeric)
    };
    (0..text.len()).any(|start| is_own_at(start, 8 + 38) || is_own_at(start, 9 + 38))
}

fn is_alphanumeric(character: char) -> bool {
    character.is_ascii_alphanumeric()
}

/// Computes the CRC-32 bit by bit (ISO 3309), in base62.
fn checksum(body: &str) -> String {
    let step = |rest: u32, _| if rest & 1 == 1 { rest >> 1 ^ 0xedb8_8320 } else { rest >> 1 };
    let crc = !body.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    let digit = |place: u32| char::from(BASE62[(crc / 62_u32.pow(place)) as usize % 62]);
    (0..6).rev().map(digit).collect()
}
