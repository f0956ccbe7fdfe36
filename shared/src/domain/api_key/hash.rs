use std::str::FromStr;

use crate::domain::sha256_hex;

/// The SHA-256 of an API key's value, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(String);

impl ApiKeyHash {
    pub(super) fn new(value: &str) -> Self {
        Self(sha256_hex(value.as_bytes()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_other_form_is_rejected() {
        let hash = ApiKeyHash::new("abc");
        assert_eq!(hash.as_str().parse(), Ok(hash.clone()));
        for malformed in ["", &hash.as_str()[1..], &hash.as_str().to_uppercase(), &"g".repeat(64)] {
            assert_eq!(malformed.parse::<ApiKeyHash>(), Err(MalformedHash), "{malformed:?}");
        }
    }
}
