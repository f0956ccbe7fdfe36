use std::{fmt::Write, str::FromStr, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};

use super::{ApiKeyHash, Timestamp};

/// The text is not 1 to 64 printable ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to 64 printable characters")]
pub struct MalformedIdempotencyKey;

/// What a caller names a write by, so that sending it again does nothing a second time: the header `Idempotency-Key`.
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
    /// The write of that API key under that idempotency key.
    #[must_use]
    pub fn new(api_key: &ApiKeyHash, idempotency_key: &IdempotencyKey) -> Self {
        Self(fingerprint(&[api_key.as_str(), &idempotency_key.0]))
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A write that was done, kept for as long as it may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneWrite {
    /// Which write it was.
    pub id: WriteId,
    /// The [`fingerprint`] of its request.
    pub request: String,
    /// What its answer is made from again; never a secret.
    pub answer: String,
    /// Until when it is remembered, in seconds since 1970.
    pub remembered_until: u64,
}

impl DoneWrite {
    /// How long a write is remembered.
    pub const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

    /// A write done at `now`.
    #[must_use]
    pub fn new(id: WriteId, request: String, answer: String, now: Timestamp) -> Self {
        let remembered_until = (now + Self::REMEMBERED_FOR).seconds_since_epoch();
        Self { id, request, answer, remembered_until }
    }

    /// Whether it is still remembered at `now`; DynamoDB may delete it much later.
    #[must_use]
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        now.seconds_since_epoch() < self.remembered_until
    }
}

/// SHA-256 over all parts, each with its length before it, in hexadecimal.
#[must_use]
pub fn fingerprint(parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hexadecimal(context.finish().as_ref())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_has_1_to_64_printable_characters() {
        for good in ["a", " ", &"~".repeat(64)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good:?}");
        }
        for bad in ["", "é", "\t", &"a".repeat(65)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(MalformedIdempotencyKey), "{bad:?}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&["ab", "c"]).len(), 64);
    }

    #[test]
    fn a_write_is_remembered_for_a_day() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let id = WriteId(String::new());
        let done = DoneWrite::new(id, String::new(), String::new(), now);
        assert!(done.is_remembered(now + Duration::from_secs(86_399)));
        assert!(!done.is_remembered(now + Duration::from_secs(86_400)));
    }
}
