use std::time::Duration;

use super::{ApiKeyHash, ApiKeyType, ApiKeyValue};
use crate::domain::{AllowList, ApiKeyId, MalformedId, SecretVersionId, Timestamp};

/// The record of an API key. Its value is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub kind: ApiKeyType,
    pub hash: ApiKeyHash,
    /// The last four characters of its value.
    pub hint: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The key is rejected from this moment on.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// The last stored use. The real one may be up to [`ApiKey::LAST_USED_PRECISION`] later, or more if storing it
    /// failed.
    pub last_used_at: Option<Timestamp>,
    /// The lifetime with which it was issued; `None` if it was issued without end. A replaced key may expire earlier,
    /// and expires even without a lifetime.
    pub lifetime: Option<Duration>,
    /// The write key that created it; `None` for the operator.
    pub issued_by: Option<ApiKeyId>,
    pub allow_list: AllowList,
    pub last_fetch: Option<SecretFetch>,
}

/// The version of the app's secret that a read key fetched last, and the time of the first such fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretFetch {
    pub version_id: SecretVersionId,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyStatus {
    Active,
    Expired,
    /// Also if it is past `expires_at`.
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
    /// The time for which a stored use is not updated.
    pub const LAST_USED_PRECISION: Duration = Duration::from_secs(3600);

    /// The time for which an expired or revoked key is listed.
    pub const INACTIVE_LISTED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Stands for the presented key instead of an API key's id.
    const SELF: &str = "self";

    /// Creates the record of a key that the operator creates at `now`.
    #[must_use]
    pub fn new(
        value: &ApiKeyValue,
        kind: ApiKeyType,
        name: String,
        now: Timestamp,
        lifetime: Option<Duration>,
    ) -> Self {
        Self::with_hash(value.hash(), value.hint(), kind, name, now, lifetime)
    }

    /// Creates the record of a key whose value is unknown.
    #[must_use]
    pub fn with_hash(
        hash: ApiKeyHash,
        hint: String,
        kind: ApiKeyType,
        name: String,
        now: Timestamp,
        lifetime: Option<Duration>,
    ) -> Self {
        Self {
            id: ApiKeyId::random(),
            name,
            kind,
            hash,
            hint,
            created_at: now,
            updated_at: now,
            expires_at: lifetime.map(|time| now + time),
            revoked_at: None,
            last_used_at: None,
            lifetime,
            issued_by: None,
            allow_list: AllowList::default(),
            last_fetch: None,
        }
    }

    /// Returns the lifetime of a key whose record has none, because an earlier version stored it. It is the time from
    /// creation to expiry, in whole seconds and at least one.
    #[must_use]
    pub fn implied_lifetime(created_at: Timestamp, expires_at: Option<Timestamp>) -> Option<Duration> {
        expires_at.map(|end| Duration::from_secs(end.since(created_at).as_secs().max(1)))
    }

    /// Parses an API key's id, or `self` for this key.
    pub fn resolve(&self, reference: &str) -> Result<ApiKeyId, MalformedId> {
        if reference == Self::SELF { Ok(self.id) } else { reference.parse() }
    }

    /// Returns whether a use at `now` must be stored.
    #[must_use]
    pub fn should_note_use(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last + Self::LAST_USED_PRECISION <= now)
    }

    /// Returns whether a fetch of the secret at `now` must be stored: once for each version, and only forward in time.
    #[must_use]
    pub fn should_note_fetch(&self, version_id: SecretVersionId, now: Timestamp) -> bool {
        self.last_fetch.is_none_or(|last| last.version_id != version_id && last.at < now)
    }

    /// Returns the rest of the lifetime at `now`. A replacement does not shorten it, so that a key whose replacement
    /// was lost can be replaced again.
    #[must_use]
    pub fn lifetime_left(&self, now: Timestamp) -> Option<Duration> {
        self.lifetime.map(|lifetime| (self.created_at + lifetime).since(now))
    }

    /// Makes a replaced key expire after `overlap`, unless it expires earlier anyway.
    pub fn retire(&mut self, overlap: Duration, now: Timestamp) {
        let end = now + overlap;
        self.expires_at = Some(self.expires_at.map_or(end, |before| before.min(end)));
        self.updated_at = now;
    }

    /// Revokes the key permanently. A revoked key does not change.
    pub fn revoke(&mut self, now: Timestamp) {
        if self.revoked_at.is_none() {
            self.revoked_at = Some(now);
            self.updated_at = now;
        }
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

    /// Returns whether the key is listed at `now`: until 30 days after its expiry or revocation.
    #[must_use]
    pub fn is_listed(&self, now: Timestamp) -> bool {
        self.listed_until().is_none_or(|end| now <= end)
    }

    /// Returns the time from which DynamoDB may delete the record. Records of write keys stay, because they show which
    /// key created which.
    #[must_use]
    pub fn deletable_at(&self) -> Option<Timestamp> {
        match self.kind {
            ApiKeyType::Read => self.listed_until(),
            ApiKeyType::Write => None,
        }
    }

    fn listed_until(&self) -> Option<Timestamp> {
        let end = [self.expires_at, self.revoked_at].into_iter().flatten().min();
        end.map(|end| end + Self::INACTIVE_LISTED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn revoked_key_stays_revoked_after_expiry() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let now = at("2026-01-01T00:00:00.000Z");
        let day = Duration::from_secs(24 * 3600);
        let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, Some(day));
        assert_eq!(key.status(at("2026-01-01T23:59:59.999Z")), ApiKeyStatus::Active);
        assert_eq!(key.status(at("2026-01-02T00:00:00.000Z")), ApiKeyStatus::Expired);
        key.revoked_at = Some(now);
        assert_eq!(key.status(at("2026-01-02T00:00:00.000Z")), ApiKeyStatus::Revoked);
    }

    #[test]
    fn use_is_stored_once_per_hour() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, None);
        assert!(key.should_note_use(now));
        key.last_used_at = Some(now);
        assert!(!key.should_note_use(now + Duration::from_secs(3599)));
        assert!(key.should_note_use(now + Duration::from_secs(3600)));
    }

    #[test]
    fn fetch_is_stored_once_for_each_version_and_forward() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let later = now + Duration::from_secs(1);
        let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
        let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, None);
        let [first, second] = [(); 2].map(|()| SecretVersionId::random());
        assert!(key.should_note_fetch(first, now));
        key.last_fetch = Some(SecretFetch { version_id: first, at: now });
        assert!(!key.should_note_fetch(first, later));
        assert!(key.should_note_fetch(second, later));
        assert!(!key.should_note_fetch(second, now), "not backward");
    }

    #[test]
    fn expired_or_revoked_key_is_listed_for_30_days() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let [day, month] = [1, 30].map(|days| Duration::from_secs(days * 24 * 3600));
        for kind in ApiKeyType::ALL {
            let value = ApiKeyValue::issue(kind).unwrap();
            let mut key = ApiKey::new(&value, kind, String::new(), now, Some(day));
            let deletable_at = |end| (kind == ApiKeyType::Read).then_some(end);
            assert!(key.is_listed(now + day + month));
            assert!(!key.is_listed(now + day + month + Duration::from_millis(1)));
            assert_eq!(key.deletable_at(), deletable_at(now + day + month));
            key.revoke(now);
            assert!(!key.is_listed(now + day + month));
            assert_eq!(key.deletable_at(), deletable_at(now + month));
            key.revoke(now + day);
            assert_eq!(key.revoked_at, Some(now), "a repeated revocation changes nothing");
            let lasting = ApiKey::new(&value, kind, String::new(), now, None);
            assert_eq!((lasting.is_listed(now + month * 100), lasting.deletable_at()), (true, None));
        }
    }

    proptest! {
        #[test]
        fn retirement_never_extends_expiry(expires in proptest::option::of(0_u64..1_000_000), overlaps in proptest::collection::vec(0_u64..1_000_000, 1..10)) {
            let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
            let value = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
            let lifetime = expires.map(Duration::from_secs);
            let mut key = ApiKey::new(&value, ApiKeyType::Read, String::new(), now, lifetime);
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
