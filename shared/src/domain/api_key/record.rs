use std::time::Duration;

use super::{ApiKeyHash, ApiKeyType, ApiKeyValue};
use crate::domain::{ApiKeyId, Timestamp};

/// The record of an API key. Its value is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in logs and commands.
    pub id: ApiKeyId,
    pub name: String,
    pub kind: ApiKeyType,
    pub hash: ApiKeyHash,
    /// The last four characters of its value.
    pub hint: String,
    /// The time of its issue or import.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The first moment at which it is rejected, if it expires.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// The last noted use. The last use may be up to [`ApiKey::LAST_USED_PRECISION`] later, or more if a note failed.
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyStatus {
    /// Accepted.
    Active,
    /// Past `expires_at`.
    Expired,
    /// Revoked, whether or not it is past `expires_at` too.
    Revoked,
}

impl ApiKeyStatus {
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
    /// The record of a key created at `now`.
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

    /// The longest time by which `last_used_at` may lag behind.
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

    /// Lets a replaced key expire after `overlap`, or earlier if it already would have.
    pub fn retire(&mut self, overlap: Duration, now: Timestamp) {
        let end = now + overlap;
        self.expires_at = Some(self.expires_at.map_or(end, |before| before.min(end)));
        self.updated_at = now;
    }

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
    fn status_of_revoked_key_stays_revoked_after_expiry() {
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
    fn use_is_noted_once_an_hour() {
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
        fn retirement_never_extends_expiry(expires in proptest::option::of(0_u64..1_000_000), overlaps in proptest::collection::vec(0_u64..1_000_000, 1..10)) {
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
    }
}
