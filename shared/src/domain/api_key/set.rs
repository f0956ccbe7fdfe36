use super::{
    ApiKey, ApiKeyChangeError, ApiKeyChangeRefused, ApiKeyStatus, ApiKeyType, ApiKeyValue,
    request::{NewApiKey, NewLifetime, Replacement},
};
use crate::domain::{ApiKeyId, Timestamp};

/// A new key and its value, which only the response to its creation shows.
#[derive(Debug)]
pub struct IssuedApiKey {
    pub key: ApiKey,
    pub value: ApiKeyValue,
}

/// A new key, and the key that it replaces: as read, and with the new expiry.
#[derive(Debug)]
pub struct ReplacedApiKey {
    pub issued: IssuedApiKey,
    pub read: ApiKey,
    pub retired: ApiKey,
}

/// All API keys of an app, oldest first, and the rules for changing them.
///
/// The creator of a key is the caller, or `None` for the operator. The limits do not bind the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    const MAX_ACTIVE: usize = 50;
    /// Higher than [`Self::MAX_ACTIVE`], so that an app with that many keys can still replace them.
    const MAX_ACTIVE_TO_REPLACE: usize = 100;
    const MAX_LISTED: usize = 200;

    #[must_use]
    pub fn new(mut keys: Vec<ApiKey>) -> Self {
        keys.sort_by_key(|key| key.created_at);
        Self(keys)
    }

    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter()
    }

    /// Returns the keys that a list shows at `now`, oldest first.
    pub fn listed(&self, now: Timestamp) -> impl Iterator<Item = &ApiKey> {
        self.iter().filter(move |key| key.is_listed(now))
    }

    pub fn issue(
        &mut self,
        request: NewApiKey,
        creator: Option<&ApiKey>,
        now: Timestamp,
    ) -> Result<IssuedApiKey, ApiKeyChangeError> {
        let NewApiKey { kind, name, lifetime, allow_list } = request;
        let value = ApiKeyValue::issue(kind)?;
        let key = ApiKey { allow_list, ..ApiKey::new(&value, kind, name.into(), now, lifetime) };
        let key = self.add(key, creator, Self::MAX_ACTIVE)?;
        Ok(IssuedApiKey { key, value })
    }

    /// Creates a key that replaces another one. The replaced key expires when the overlap ends, or earlier.
    pub fn replace(
        &mut self,
        request: Replacement,
        creator: Option<&ApiKey>,
        now: Timestamp,
    ) -> Result<ReplacedApiKey, ApiKeyChangeError> {
        let read = self.get(request.replaced)?.clone();
        if request.kind.is_some_and(|kind| kind != read.kind) {
            return Err(ApiKeyChangeError::TypeMismatch);
        }
        if self.iter().filter(|key| key.id == read.id).count() > 1 {
            return Err(ApiKeyChangeRefused::AmbiguousId.into());
        }
        match read.status(now) {
            ApiKeyStatus::Active => {}
            status => return Err(ApiKeyChangeRefused::NotActive(status).into()),
        }
        let lifetime = match request.lifetime {
            NewLifetime::Same => read.lifetime,
            NewLifetime::Limited(lifetime) => Some(lifetime),
            NewLifetime::Endless if read.lifetime.is_some() && creator.is_some() => {
                return Err(ApiKeyChangeRefused::EndlessLifetime.into());
            }
            NewLifetime::Endless => None,
        };
        let name = request.name.map_or_else(|| read.name.clone(), String::from);
        let allow_list = request.allow_list.unwrap_or_else(|| read.allow_list.clone());
        let value = ApiKeyValue::issue(read.kind)?;
        let key = ApiKey { allow_list, ..ApiKey::new(&value, read.kind, name, now, lifetime) };
        let key = self.add(key, creator, Self::MAX_ACTIVE_TO_REPLACE)?;
        let mut retired = read.clone();
        retired.retire(request.overlap, now);
        self.store(&retired);
        Ok(ReplacedApiKey { issued: IssuedApiKey { key, value }, read, retired })
    }

    /// Revokes the keys of an id; earlier versions allowed several. Returns each as read and as changed. A key that was
    /// already revoked does not change.
    ///
    /// Without `force`, fails with [`ApiKeyChangeRefused::LastWriteKey`] if no other write key is active.
    pub fn revoke(
        &mut self,
        id: ApiKeyId,
        force: bool,
        now: Timestamp,
    ) -> Result<Vec<(ApiKey, ApiKey)>, ApiKeyChangeError> {
        let read: Vec<_> = self.iter().filter(|key| key.id == id).cloned().collect();
        if read.is_empty() {
            return Err(ApiKeyChangeError::NoSuchKey);
        }
        let is_other_write_key =
            |key: &ApiKey| key.id != id && key.kind == ApiKeyType::Write && key.status(now) == ApiKeyStatus::Active;
        let is_change = read.iter().any(|key| key.revoked_at.is_none());
        if is_change && !force && !self.iter().any(is_other_write_key) {
            return Err(ApiKeyChangeRefused::LastWriteKey.into());
        }
        let revoke = |read: ApiKey| {
            let mut changed = read.clone();
            changed.revoke(now);
            self.store(&changed);
            (read, changed)
        };
        Ok(read.into_iter().map(revoke).collect())
    }

    /// Returns the keys that a key created at `since` or later, and the keys that these created in turn.
    #[must_use]
    pub fn issued_by(&self, id: ApiKeyId, since: Option<Timestamp>) -> Vec<&ApiKey> {
        let mut creators = vec![id];
        let mut issued: Vec<&ApiKey> = Vec::new();
        while let Some(creator) = creators.pop() {
            for key in self.iter().filter(|key| key.issued_by == Some(creator)) {
                let is_recent = since.is_none_or(|since| key.created_at >= since);
                if is_recent && key.id != id && issued.iter().all(|known| known.id != key.id) {
                    creators.push(key.id);
                    issued.push(key);
                }
            }
        }
        issued
    }

    /// Returns the key, even if it is expired or revoked.
    pub fn get(&self, id: ApiKeyId) -> Result<&ApiKey, ApiKeyChangeError> {
        self.iter().find(|key| key.id == id).ok_or(ApiKeyChangeError::NoSuchKey)
    }

    fn add(&mut self, key: ApiKey, creator: Option<&ApiKey>, max_active: usize) -> Result<ApiKey, ApiKeyChangeRefused> {
        if let Some(creator) = creator {
            self.check_limits(max_active, key.created_at)?;
            check_creator(creator, &key)?;
        }
        let key = ApiKey { issued_by: creator.map(|creator| creator.id), ..key };
        self.0.push(key.clone());
        Ok(key)
    }

    fn check_limits(&self, max_active: usize, now: Timestamp) -> Result<(), ApiKeyChangeRefused> {
        let active = self.iter().filter(|key| key.status(now) == ApiKeyStatus::Active).count();
        let listed = self.listed(now).count();
        if active >= max_active {
            Err(ApiKeyChangeRefused::TooManyActive(active))
        } else if listed >= Self::MAX_LISTED {
            Err(ApiKeyChangeRefused::TooManyListed(listed))
        } else {
            Ok(())
        }
    }

    fn store(&mut self, changed: &ApiKey) {
        for key in self.0.iter_mut().filter(|key| key.hash == changed.hash) {
            key.clone_from(changed);
        }
    }
}

/// Checks that a new write key has no wider allow list and no longer lifetime than its creator. Read keys create no
/// keys, so they are not checked.
fn check_creator(creator: &ApiKey, key: &ApiKey) -> Result<(), ApiKeyChangeRefused> {
    if key.kind == ApiKeyType::Read {
        return Ok(());
    }
    if !key.allow_list.is_within(&creator.allow_list) {
        return Err(ApiKeyChangeRefused::WiderAllowList);
    }
    let is_longer = |left| key.lifetime.is_none_or(|lifetime| lifetime > left);
    if creator.lifetime_left(key.created_at).is_some_and(is_longer) {
        return Err(ApiKeyChangeRefused::LongerLifetime);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::AllowList;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn start() -> Timestamp {
        "2026-01-01T00:00:00.000Z".parse().unwrap()
    }

    fn new_key(kind: ApiKeyType, lifetime: Option<Duration>, networks: &[&str]) -> NewApiKey {
        NewApiKey { kind, name: "key".parse().unwrap(), lifetime, allow_list: AllowList::parse(networks).unwrap() }
    }

    fn replacement(replaced: &ApiKey) -> Replacement {
        Replacement {
            replaced: replaced.id,
            kind: None,
            name: None,
            lifetime: NewLifetime::Same,
            allow_list: None,
            overlap: DAY,
        }
    }

    fn add(keys: &mut ApiKeys, kind: ApiKeyType, lifetime: Option<Duration>, networks: &[&str]) -> ApiKey {
        keys.issue(new_key(kind, lifetime, networks), None, start()).unwrap().key
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, ApiKeyChangeError>) -> ApiKeyChangeRefused {
        match result {
            Err(ApiKeyChangeError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replacement_takes_over_all_but_value_and_id() {
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, None, &[]);
        let read = add(&mut keys, ApiKeyType::Read, Some(DAY * 90), &["192.0.2.0/24"]);
        let now = start() + DAY * 60;
        let replaced = keys.replace(replacement(&read), Some(&caller), now).unwrap();
        let new = &replaced.issued.key;
        assert_eq!((new.kind, &new.name, &new.allow_list), (read.kind, &read.name, &read.allow_list));
        assert_eq!((new.lifetime, new.expires_at), (Some(DAY * 90), Some(now + DAY * 90)));
        assert_eq!((new.issued_by, &new.hash), (Some(caller.id), &replaced.issued.value.hash()));
        assert_ne!((new.id, &new.hash), (read.id, &read.hash));
        assert_eq!((replaced.retired.expires_at, replaced.retired.lifetime), (Some(now + DAY), read.lifetime));
        assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [caller.id, read.id, new.id]);
        assert_eq!((keys.get(read.id).unwrap(), &replaced.read), (&replaced.retired, &read));
    }

    #[test]
    fn replaced_endless_key_is_replaced_again_without_end() {
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, None, &[]);
        keys.replace(replacement(&caller), Some(&caller), start()).unwrap();
        let retired = keys.get(caller.id).unwrap().clone();
        assert_eq!(retired.expires_at, Some(start() + DAY));
        let again = keys.replace(replacement(&caller), Some(&retired), start()).unwrap();
        assert_eq!(again.issued.key.expires_at, None);
    }

    #[test]
    fn replacement_of_wrong_key_is_refused_in_order_of_checks() {
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, None, &[]);
        let revoked = add(&mut keys, ApiKeyType::Read, None, &[]);
        let expired = add(&mut keys, ApiKeyType::Read, Some(DAY), &[]);
        keys.revoke(revoked.id, false, start()).unwrap();
        let mut replace = |request| keys.replace(request, Some(&caller), start() + DAY);
        let unknown = Replacement { replaced: ApiKeyId::random(), ..replacement(&revoked) };
        assert!(matches!(replace(unknown), Err(ApiKeyChangeError::NoSuchKey)));
        let other_type = Replacement { kind: Some(ApiKeyType::Write), ..replacement(&revoked) };
        assert!(matches!(replace(other_type), Err(ApiKeyChangeError::TypeMismatch)));
        let same_type = Replacement { kind: Some(ApiKeyType::Read), ..replacement(&revoked) };
        for (request, status) in [(same_type, ApiKeyStatus::Revoked), (replacement(&expired), ApiKeyStatus::Expired)] {
            assert_eq!(refused(replace(request)), ApiKeyChangeRefused::NotActive(status));
        }
    }

    #[test]
    fn write_key_gets_no_more_than_its_creator_has() {
        use ApiKeyChangeRefused::{LongerLifetime, WiderAllowList};
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, Some(DAY * 90), &["10.0.0.0/8"]);
        let mut issue = |request| keys.issue(request, Some(&caller), start() + DAY * 60);
        let write = |lifetime, networks| new_key(ApiKeyType::Write, lifetime, networks);
        assert_eq!(refused(issue(write(Some(DAY), &[]))), WiderAllowList);
        assert_eq!(refused(issue(write(Some(DAY), &["10.0.0.0/8", "192.0.2.0/24"]))), WiderAllowList);
        assert_eq!(refused(issue(write(None, &["10.0.0.0/8"]))), LongerLifetime);
        assert_eq!(refused(issue(write(Some(DAY * 31), &["10.0.0.0/8"]))), LongerLifetime);
        assert!(issue(write(Some(DAY * 30), &["10.1.0.0/16"])).is_ok());
        assert!(issue(new_key(ApiKeyType::Read, None, &[])).is_ok(), "a read key creates no keys");
        let mut replace = |request| keys.replace(request, Some(&caller), start() + DAY * 60);
        assert_eq!(refused(replace(replacement(&caller))), LongerLifetime, "the same lifetime, from now");
        let shorter = Replacement { lifetime: NewLifetime::Limited(DAY), ..replacement(&caller) };
        let wider = Replacement { allow_list: Some(AllowList::default()), ..shorter.clone() };
        assert_eq!(refused(replace(wider)), WiderAllowList);
        assert!(replace(shorter).is_ok());
    }

    #[test]
    fn only_operator_makes_limited_lifetime_endless() {
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, None, &[]);
        let limited = add(&mut keys, ApiKeyType::Read, Some(DAY), &[]);
        let endless = || Replacement { lifetime: NewLifetime::Endless, ..replacement(&limited) };
        let by_caller = keys.replace(endless(), Some(&caller), start());
        assert_eq!(refused(by_caller), ApiKeyChangeRefused::EndlessLifetime);
        assert_eq!(keys.replace(endless(), None, start()).unwrap().issued.key.expires_at, None);
    }

    #[test]
    fn limits_bind_callers_and_not_operator() {
        let mut keys = ApiKeys::default();
        let caller = add(&mut keys, ApiKeyType::Write, None, &[]);
        let new = || new_key(ApiKeyType::Read, None, &[]);
        assert_eq!((0..200).filter(|_| keys.issue(new(), Some(&caller), start()).is_ok()).count(), 49);
        let mut replace = || keys.replace(replacement(&caller), Some(&caller), start());
        assert_eq!((0..200).filter(|_| replace().is_ok()).count(), 50);
        assert_eq!(keys.iter().count(), 100);
        let error = keys.replace(replacement(&caller), Some(&caller), start());
        assert_eq!(refused(error), ApiKeyChangeRefused::TooManyActive(100));
        for _ in 100..200 {
            let read = add(&mut keys, ApiKeyType::Read, None, &[]);
            keys.revoke(read.id, false, start()).unwrap();
        }
        let active: Vec<_> = keys.iter().filter(|key| key.status(start()) == ApiKeyStatus::Active).cloned().collect();
        for key in active.iter().filter(|key| key.id != caller.id) {
            keys.revoke(key.id, true, start()).unwrap();
        }
        let error = keys.issue(new(), Some(&caller), start() + DAY * 30);
        assert_eq!(refused(error), ApiKeyChangeRefused::TooManyListed(200));
        assert_eq!(keys.listed(start() + DAY * 31).count(), 1);
        assert!(keys.issue(new(), Some(&caller), start() + DAY * 31).is_ok());
    }

    #[test]
    fn last_active_write_key_is_revoked_only_by_force() {
        let mut keys = ApiKeys::default();
        let [first, second] = [None, Some(DAY)].map(|lifetime| add(&mut keys, ApiKeyType::Write, lifetime, &[]));
        let read = add(&mut keys, ApiKeyType::Read, None, &[]);
        let expired = start() + DAY;
        assert_eq!(refused(keys.revoke(first.id, false, expired)), ApiKeyChangeRefused::LastWriteKey);
        assert_eq!(keys.revoke(second.id, false, expired).unwrap()[0].1.revoked_at, Some(expired));
        assert_eq!(keys.revoke(read.id, false, expired).unwrap()[0].1.revoked_at, Some(expired));
        assert_eq!(keys.revoke(first.id, true, expired).unwrap()[0].1.revoked_at, Some(expired));
        let again = keys.revoke(first.id, false, expired + DAY).unwrap();
        assert_eq!(again[0].0, again[0].1, "a repeated revocation changes nothing");
        assert_eq!(again[0].1.revoked_at, Some(expired));
        assert!(matches!(keys.revoke(ApiKeyId::random(), true, expired), Err(ApiKeyChangeError::NoSuchKey)));
    }

    #[test]
    fn revocation_of_shared_id_revokes_all_its_keys() {
        let mut keys = ApiKeys::default();
        let [first, second] = [(); 2].map(|()| add(&mut keys, ApiKeyType::Read, None, &[]));
        let mut keys = ApiKeys::new(vec![first.clone(), ApiKey { id: first.id, ..second }]);
        let error = keys.replace(replacement(&first), None, start());
        assert_eq!(refused(error), ApiKeyChangeRefused::AmbiguousId);
        let revoked = keys.revoke(first.id, true, start()).unwrap();
        let revoked: Vec<_> = revoked.into_iter().map(|(_, changed)| changed).collect();
        assert_eq!(revoked.iter().filter(|key| key.revoked_at == Some(start())).count(), 2);
        assert_eq!(ApiKeys::new(revoked), keys);
    }

    #[test]
    fn lineage_follows_keys_that_issued_keys() {
        let mut keys = ApiKeys::default();
        let root = add(&mut keys, ApiKeyType::Write, None, &[]);
        let mut issue = |creator: &ApiKey, days| {
            let request = new_key(ApiKeyType::Write, None, &[]);
            keys.issue(request, Some(creator), start() + DAY * days).unwrap().key
        };
        let early = issue(&root, 1);
        let late = issue(&root, 3);
        let [by_early, by_late] = [issue(&early, 4), issue(&late, 5)];
        let issued = |id, since| {
            let mut ids: Vec<_> = keys.issued_by(id, since).iter().map(|key| key.created_at).collect();
            ids.sort_unstable();
            ids
        };
        let [early, late, by_early, by_late] = [&early, &late, &by_early, &by_late].map(|key| key.created_at);
        assert_eq!(issued(root.id, None), [early, late, by_early, by_late]);
        assert_eq!(issued(root.id, Some(start() + DAY * 2)), [late, by_late]);
        assert_eq!(issued(ApiKeyId::random(), None), []);
    }
}
