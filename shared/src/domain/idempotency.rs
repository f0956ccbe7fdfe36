use std::{str::FromStr, time::Duration};

use super::{ApiKeyHash, Timestamp, fingerprint};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to 64 printable characters")]
pub struct MalformedIdempotencyKey;

/// The header `Idempotency-Key`. It makes a write idempotent: a replay gets the stored result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl FromStr for IdempotencyKey {
    type Err = MalformedIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, MalformedIdempotencyKey> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable && (1..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedIdempotencyKey)
        }
    }
}

/// A write by one API key under one idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteId(String);

impl WriteId {
    #[must_use]
    pub fn new(api_key: &ApiKeyHash, idempotency_key: &IdempotencyKey) -> Self {
        Self(fingerprint(&[api_key.as_str(), &idempotency_key.0]))
    }

    /// Returns 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The result of a write, stored for replays with the same `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    pub id: WriteId,
    /// The [`fingerprint`] of the request.
    pub request: String,
    /// The data for the response to a replay; never a secret.
    pub result: String,
    /// Seconds since 1970.
    pub kept_until: u64,
}

impl StoredResult {
    pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

    #[must_use]
    pub fn new(id: WriteId, request: String, result: String, now: Timestamp) -> Self {
        let kept_until = (now + Self::KEPT_FOR).seconds_since_epoch();
        Self { id, request, result, kept_until }
    }

    /// Returns whether a replay at `now` gets the result. DynamoDB may delete the item days later.
    #[must_use]
    pub fn is_kept(&self, now: Timestamp) -> bool {
        now.seconds_since_epoch() < self.kept_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_key_has_1_to_64_printable_characters() {
        for good in ["a", " ", &"~".repeat(64)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good:?}");
        }
        for bad in ["", "é", "\t", &"a".repeat(65)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(MalformedIdempotencyKey), "{bad:?}");
        }
    }

    #[test]
    fn stored_result_is_kept_for_24_hours() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let id = WriteId(String::new());
        let stored = StoredResult::new(id, String::new(), String::new(), now);
        assert!(stored.is_kept(now + Duration::from_secs(86_399)));
        assert!(!stored.is_kept(now + Duration::from_secs(86_400)));
    }
}
