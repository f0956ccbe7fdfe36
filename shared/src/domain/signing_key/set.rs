use std::{cmp::Reverse, time::Duration};

use super::{PublicKey, SigningKey, SigningKeyState};
use crate::domain::{SigningKeyId, StoredResult, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than one key in use")]
pub struct TwoKeysInUse;

/// All signing keys of an app, oldest first; at most one of them is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningKeys(Vec<SigningKey>);

/// The reason that a signing key is not added or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyChangeRefused {
    /// Also if a revoked key is to be put in use.
    #[error("there is no such signing key")]
    NoSuchKey,
    #[error("the key has been published for less than 600 seconds; verifiers may not know it yet")]
    PublishedTooRecently,
    #[error("the key is in use; put another in use first")]
    InUse,
    #[error("the app has too many signing keys, counting those revoked in the last day")]
    TooManyKeys,
}

/// The most signing keys of an app. Every request reads the app's record with its keys, so it must stay small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningKeyLimits {
    published: usize,
    /// Includes keys revoked in the last day.
    kept: usize,
}

impl SigningKeyLimits {
    /// The limits for callers of the API. 75 RSA-4096 keys are 70 KB, or 18 read units a request.
    pub const API: Self = Self { published: 50, kept: 75 };
    /// The limits for the operator, who must be able to add keys after a stolen write key has used up the API's limits.
    pub const OPERATOR: Self = Self { published: 75, kept: 100 };
}

impl SigningKeys {
    /// A key must be published for this time before its use, because caches may keep the JWKS for this time.
    pub const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(600);

    /// As long as a replay gets its stored result.
    const REVOKED_KEPT_FOR: Duration = StoredResult::KEPT_FOR;

    pub fn new(keys: Vec<SigningKey>) -> Result<Self, TwoKeysInUse> {
        let in_use = keys.iter().filter(|key| key.state == SigningKeyState::InUse).count();
        if in_use > 1 { Err(TwoKeysInUse) } else { Ok(Self(keys)) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter()
    }

    #[must_use]
    pub fn in_use(&self) -> Option<&SigningKey> {
        self.iter().find(|key| key.state == SigningKeyState::InUse)
    }

    /// Returns the keys of the keys route: the key in use, then the previous keys, newest first.
    #[must_use]
    pub fn listed(&self) -> Vec<&SigningKey> {
        let mut previous = self.in_state(SigningKeyState::Previous);
        previous.sort_by_key(|key| Reverse(key.created_at));
        self.in_use().into_iter().chain(previous).collect()
    }

    /// Returns the keys of the JWKS: the key in use, then the previous and the standby keys, each newest first.
    #[must_use]
    pub fn published(&self) -> Vec<&SigningKey> {
        let mut standby = self.in_state(SigningKeyState::Standby);
        standby.sort_by_key(|key| Reverse(key.created_at));
        self.listed().into_iter().chain(standby).collect()
    }

    fn in_state(&self, state: SigningKeyState) -> Vec<&SigningKey> {
        self.iter().filter(|key| key.state == state).collect()
    }

    /// Adds a key and puts it in use. The key in use before becomes previous.
    pub fn add_in_use(&mut self, id: SigningKeyId, public_key: PublicKey, now: Timestamp) {
        self.retire(now);
        self.add(id, SigningKeyState::InUse, public_key, now);
    }

    /// Adds a key whose private half is outside this system, and puts it in use. The key in use before becomes
    /// previous.
    pub fn import(&mut self, id: SigningKeyId, public_key: PublicKey, now: Timestamp) {
        self.add_in_use(id, public_key, now);
        self.mark_imported(id);
    }

    /// Adds a standby key whose private half is outside this system.
    pub fn import_standby(
        &mut self,
        limits: SigningKeyLimits,
        id: SigningKeyId,
        public_key: PublicKey,
        now: Timestamp,
    ) -> Result<(), SigningKeyChangeRefused> {
        self.add_standby(limits, id, public_key, now)?;
        self.mark_imported(id);
        Ok(())
    }

    fn mark_imported(&mut self, id: SigningKeyId) {
        for key in self.0.iter_mut().filter(|key| key.id == id) {
            key.is_imported = true;
        }
    }

    pub fn add_standby(
        &mut self,
        limits: SigningKeyLimits,
        id: SigningKeyId,
        public_key: PublicKey,
        now: Timestamp,
    ) -> Result<&SigningKey, SigningKeyChangeRefused> {
        self.check_room(limits, now)?;
        self.add(id, SigningKeyState::Standby, public_key, now);
        self.get(id)
    }

    /// Checks that one more key can be added.
    pub fn check_room(&self, limits: SigningKeyLimits, now: Timestamp) -> Result<(), SigningKeyChangeRefused> {
        let kept = self.iter().filter(|key| Self::is_kept(key, now)).count();
        let has_room = self.published().len() < limits.published && kept < limits.kept;
        if has_room { Ok(()) } else { Err(SigningKeyChangeRefused::TooManyKeys) }
    }

    /// Puts a key in use. The key in use before becomes previous. Without `force`, a standby key must have been
    /// published for [`Self::PUBLISHED_BEFORE_USE`]. A previous key can be put in use again at once.
    pub fn activate(
        &mut self,
        id: SigningKeyId,
        force: bool,
        now: Timestamp,
    ) -> Result<&SigningKey, SigningKeyChangeRefused> {
        let key = self.get(id)?;
        match key.state {
            SigningKeyState::InUse => return self.get(id),
            SigningKeyState::Revoked => return Err(SigningKeyChangeRefused::NoSuchKey),
            SigningKeyState::Standby if !force && now < key.created_at + Self::PUBLISHED_BEFORE_USE => {
                return Err(SigningKeyChangeRefused::PublishedTooRecently);
            }
            SigningKeyState::Standby | SigningKeyState::Previous => {}
        }
        self.retire(now);
        self.change(id, SigningKeyState::InUse, now);
        self.get(id)
    }

    /// Revokes a key permanently. Without `force`, fails for the key in use. A revoked key does not change.
    pub fn revoke(
        &mut self,
        id: SigningKeyId,
        force: bool,
        now: Timestamp,
    ) -> Result<&SigningKey, SigningKeyChangeRefused> {
        match self.get(id)?.state {
            SigningKeyState::InUse if !force => return Err(SigningKeyChangeRefused::InUse),
            SigningKeyState::Revoked => {}
            _ => self.change(id, SigningKeyState::Revoked, now),
        }
        self.get(id)
    }

    /// Returns the key, even if it is revoked.
    pub fn get(&self, id: SigningKeyId) -> Result<&SigningKey, SigningKeyChangeRefused> {
        self.iter().find(|key| key.id == id).ok_or(SigningKeyChangeRefused::NoSuchKey)
    }

    /// Revoked keys are kept for a while, so that a repeated call returns the same.
    fn is_kept(key: &SigningKey, now: Timestamp) -> bool {
        key.state != SigningKeyState::Revoked || now < key.updated_at + Self::REVOKED_KEPT_FOR
    }

    fn add(&mut self, id: SigningKeyId, state: SigningKeyState, public_key: PublicKey, now: Timestamp) {
        self.0.retain(|key| Self::is_kept(key, now));
        self.0.push(SigningKey { id, state, public_key, is_imported: false, created_at: now, updated_at: now });
    }

    /// Makes the key in use, if any, a previous key.
    fn retire(&mut self, now: Timestamp) {
        if let Some(id) = self.in_use().map(|key| key.id) {
            self.change(id, SigningKeyState::Previous, now);
        }
    }

    fn change(&mut self, id: SigningKeyId, state: SigningKeyState, now: Timestamp) {
        for key in self.0.iter_mut().filter(|key| key.id == id) {
            key.state = state;
            key.updated_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_key() -> PublicKey {
        PublicKey::from_stored(include_str!("../testdata/rsa-2048.pem").to_owned()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(state: SigningKeyState, created: &str) -> SigningKey {
        SigningKey {
            id: SigningKeyId::random(),
            state,
            public_key: public_key(),
            is_imported: false,
            created_at: at(created),
            updated_at: at(created),
        }
    }

    #[test]
    fn list_starts_with_key_in_use_then_newest_previous() {
        use SigningKeyState::{InUse, Previous, Revoked, Standby};
        let (old, used, new) = (
            key(Previous, "2026-01-01T00:00:00.000Z"),
            key(InUse, "2026-01-02T00:00:00.000Z"),
            key(Previous, "2026-01-03T00:00:00.000Z"),
        );
        let hidden = [key(Standby, "2026-01-04T00:00:00.000Z"), key(Revoked, "2026-01-05T00:00:00.000Z")];
        let all = [old.clone(), used.clone(), new.clone()].into_iter().chain(hidden).collect();
        assert_eq!(SigningKeys::new(all).unwrap().listed(), [&used, &new, &old]);
    }

    #[test]
    fn second_key_in_use_is_rejected_or_retires_first() {
        let two = vec![
            key(SigningKeyState::InUse, "2026-01-01T00:00:00.000Z"),
            key(SigningKeyState::InUse, "2026-01-02T00:00:00.000Z"),
        ];
        assert_eq!(SigningKeys::new(two), Err(TwoKeysInUse));

        let mut keys = SigningKeys::default();
        let (first, second) = (SigningKeyId::random(), SigningKeyId::random());
        keys.add_in_use(first, public_key(), at("2026-01-01T00:00:00.000Z"));
        keys.add_in_use(second, public_key(), at("2026-01-02T00:00:00.000Z"));
        let listed: Vec<_> = keys.listed().iter().map(|key| (key.id, key.state)).collect();
        assert_eq!(listed, [(second, SigningKeyState::InUse), (first, SigningKeyState::Previous)]);
    }

    #[test]
    fn standby_key_is_activated_after_600_seconds() {
        let start = at("2026-01-01T00:00:00.000Z");
        let (first, second) = (SigningKeyId::random(), SigningKeyId::random());
        let mut keys = SigningKeys::default();
        keys.add_in_use(first, public_key(), start);
        keys.add_standby(SigningKeyLimits::API, second, public_key(), start).unwrap();
        let too_early = start + Duration::from_millis(599_999);
        assert_eq!(keys.activate(second, false, too_early), Err(SigningKeyChangeRefused::PublishedTooRecently));
        assert_eq!(keys.clone().activate(second, true, too_early).unwrap().state, SigningKeyState::InUse);
        let now = start + Duration::from_secs(600);
        assert_eq!(keys.activate(second, false, now).unwrap().state, SigningKeyState::InUse);
        assert_eq!(keys.get(first).unwrap().state, SigningKeyState::Previous);
        assert_eq!(keys.activate(first, false, now).unwrap().state, SigningKeyState::InUse);
        assert_eq!(keys.revoke(first, false, now), Err(SigningKeyChangeRefused::InUse));
        assert_eq!(keys.revoke(second, false, now).unwrap().state, SigningKeyState::Revoked);
        assert_eq!(keys.activate(second, true, now), Err(SigningKeyChangeRefused::NoSuchKey));
        assert_eq!(keys.revoke(second, false, now).unwrap().updated_at, now, "a repeated call changes nothing");
        assert_eq!(keys.revoke(first, true, now).unwrap().state, SigningKeyState::Revoked);
        assert!(keys.published().is_empty());
    }

    #[test]
    fn standby_key_beyond_50_published_is_rejected() {
        let first_day = at("2026-01-01T00:00:00.000Z");
        let mut keys = SigningKeys::default();
        let add = |keys: &mut SigningKeys, now| {
            let added = keys.add_standby(SigningKeyLimits::API, SigningKeyId::random(), public_key(), now);
            added.map(|key| key.id)
        };
        let ids: Vec<_> = (0..50).map(|_| add(&mut keys, first_day).unwrap()).collect();
        assert_eq!(add(&mut keys, first_day), Err(SigningKeyChangeRefused::TooManyKeys));
        keys.revoke(ids[0], false, first_day).unwrap();
        add(&mut keys, first_day).unwrap();
        keys.revoke(ids[1], false, first_day).unwrap();
        for _ in 0..50 {
            if let Ok(id) = add(&mut keys, first_day) {
                keys.revoke(id, false, first_day).unwrap();
            }
        }
        // Revoked keys are kept for a day and count towards the limit.
        assert_eq!(keys.0.len(), 75);
        assert!(add(&mut keys, at("2026-01-01T23:59:59.999Z")).is_err());
        assert!(add(&mut keys, at("2026-01-02T00:00:00.000Z")).is_ok());
        assert_eq!(keys.0.len(), 50);
    }

    mod any_sequence_of_operations {
        use proptest::prelude::*;

        use super::*;

        #[derive(Debug, Clone)]
        enum Operation {
            Wait(u64),
            AddStandby,
            AddInUse,
            Activate(usize, bool),
            Revoke(usize, bool),
        }

        fn operation() -> impl Strategy<Value = Operation> {
            prop_oneof![
                (0_u64..100_000).prop_map(Operation::Wait),
                Just(Operation::AddStandby),
                Just(Operation::AddInUse),
                (0_usize..8, any::<bool>()).prop_map(|(key, force)| Operation::Activate(key, force)),
                (0_usize..8, any::<bool>()).prop_map(|(key, force)| Operation::Revoke(key, force)),
            ]
        }

        proptest! {
            #[test]
            fn keeps_rules(operations in proptest::collection::vec(operation(), 0..60)) {
                let mut now = at("2026-01-01T00:00:00.000Z");
                let mut keys = SigningKeys::default();
                let mut ids = Vec::new();
                let mut revoked = Vec::new();
                for operation in operations {
                    let before = keys.in_use().map(|key| key.id);
                    let forced_out = matches!(operation, Operation::Revoke(_, true));
                    match operation {
                        Operation::Wait(seconds) => now = now + Duration::from_secs(seconds),
                        Operation::AddStandby => {
                            let id = SigningKeyId::random();
                            keys.add_standby(SigningKeyLimits::API, id, public_key(), now).unwrap();
                            ids.push(id);
                        }
                        Operation::AddInUse => {
                            let id = SigningKeyId::random();
                            keys.add_in_use(id, public_key(), now);
                            ids.push(id);
                        }
                        Operation::Activate(index, force) => {
                            if let Some(id) = ids.get(index) {
                                let known = keys.get(*id).cloned();
                                let activated = keys.activate(*id, force, now).is_ok();
                                let fresh = known.is_ok_and(|key| {
                                    key.state == SigningKeyState::Standby
                                        && now < key.created_at + SigningKeys::PUBLISHED_BEFORE_USE
                                });
                                prop_assert!(!(activated && fresh && !force), "activated before caches know it");
                            }
                        }
                        Operation::Revoke(index, force) => {
                            if let Some(id) = ids.get(index)
                                && keys.revoke(*id, force, now).is_ok()
                            {
                                revoked.push(*id);
                            }
                        }
                    }
                    let in_use = keys.iter().filter(|key| key.state == SigningKeyState::InUse).count();
                    prop_assert!(in_use <= 1);
                    if let Some(before) = before.filter(|_| !forced_out) {
                        let still = keys.get(before).map(|key| key.state);
                        prop_assert!(matches!(still, Ok(SigningKeyState::InUse | SigningKeyState::Previous)));
                        prop_assert!(keys.in_use().is_some(), "the key in use vanished");
                    }
                    for id in &revoked {
                        prop_assert!(keys.published().iter().all(|key| key.id != *id), "a revoked key is published");
                        prop_assert!(keys.listed().iter().all(|key| key.id != *id));
                    }
                    prop_assert_eq!(SigningKeys::new(keys.0.clone()), Ok(keys.clone()));
                }
            }
        }
    }
}
