//! Checks the rules of an app's API keys with random sequences of operations.

use std::{net::IpAddr, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    ApiKey, ApiKeyChangeError, ApiKeyStatus, ApiKeyType, ApiKeys, NewApiKey, NewLifetime, Replacement,
    set::IssuedApiKey,
};
use crate::domain::{AllowList, Timestamp};

/// An operation on keys, which are chosen by their index modulo the number of keys.
#[derive(Debug, Clone)]
enum Operation {
    Wait(Duration),
    Issue {
        creator: Option<usize>,
        kind: ApiKeyType,
        lifetime: Option<Duration>,
        allow_list: AllowList,
    },
    Replace {
        creator: Option<usize>,
        replaced: usize,
        lifetime: NewLifetime,
        allow_list: Option<AllowList>,
        overlap: Duration,
    },
    Revoke {
        key: usize,
        force: bool,
    },
}

fn seconds() -> impl Strategy<Value = Duration> {
    (60_u64..1000).prop_map(Duration::from_secs)
}

fn allow_list() -> impl Strategy<Value = AllowList> {
    let lists: [&[&str]; 5] =
        [&[], &["10.0.0.0/8"], &["10.0.0.0/9", "10.128.0.0/9"], &["10.0.0.0/9"], &["10.1.0.0/16", "2001:db8::/32"]];
    select(lists.map(|networks| AllowList::parse(networks).unwrap()).to_vec())
}

fn operation() -> impl Strategy<Value = Operation> {
    let kind = || select(ApiKeyType::ALL.to_vec());
    let new_lifetime = || {
        prop_oneof![
            3 => Just(NewLifetime::Same),
            1 => seconds().prop_map(NewLifetime::Limited),
            1 => Just(NewLifetime::Endless),
        ]
    };
    prop_oneof![
        1 => seconds().prop_map(Operation::Wait),
        3 => (option::weighted(0.8, any::<usize>()), kind(), option::of(seconds()), allow_list())
            .prop_map(|(creator, kind, lifetime, allow_list)| Operation::Issue { creator, kind, lifetime, allow_list }),
        3 => (option::weighted(0.8, any::<usize>()), any::<usize>(), new_lifetime(), option::of(allow_list()), seconds())
            .prop_map(|(creator, replaced, lifetime, allow_list, overlap)| {
                Operation::Replace { creator, replaced, lifetime, allow_list, overlap }
            }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(key, force)| Operation::Revoke { key, force }),
    ]
}

fn choose(keys: &ApiKeys, number: usize) -> Option<ApiKey> {
    let keys: Vec<_> = keys.iter().collect();
    keys.get(number % keys.len().max(1)).map(|key| (*key).clone())
}

/// Returns the creator: the operator (`Some(None)`) or an active write key. Returns `None` if the chosen key is not
/// accepted.
fn authenticate(keys: &ApiKeys, number: Option<usize>, now: Timestamp) -> Option<Option<ApiKey>> {
    let Some(number) = number else { return Some(None) };
    let key = choose(keys, number)?;
    (key.kind == ApiKeyType::Write && key.status(now) == ApiKeyStatus::Active).then_some(Some(key))
}

fn check_new_key(new: &ApiKey, creator: Option<&ApiKey>, replaced: Option<&ApiKey>) -> Result<(), TestCaseError> {
    let Some(creator) = creator else { return Ok(()) };
    if let Some(replaced) = replaced {
        prop_assert!(new.lifetime.is_some() || replaced.lifetime.is_none(), "a limited life became endless");
        prop_assert_eq!(new.kind, replaced.kind);
    }
    if new.kind == ApiKeyType::Read {
        return Ok(());
    }
    if let Some(lifetime) = creator.lifetime {
        let end = creator.created_at + lifetime;
        prop_assert!(new.expires_at.is_some_and(|expires| expires <= end), "a write key outlives its creator");
    }
    for address in ["10.0.0.1", "10.1.0.1", "10.200.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1"] {
        let address: IpAddr = address.parse().unwrap();
        let is_narrower = !new.allow_list.allows(Some(address)) || creator.allow_list.allows(Some(address));
        prop_assert!(is_narrower, "a write key is accepted from {} and its creator is not", address);
    }
    Ok(())
}

/// Checks the properties of existing keys that no operation may change.
fn check_old_keys(before: &ApiKeys, after: &ApiKeys, now: Timestamp) -> Result<(), TestCaseError> {
    for old in before.iter() {
        let new = after.get(old.id).unwrap();
        let is_extended = match (old.expires_at, new.expires_at) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new > old,
        };
        prop_assert!(!is_extended, "an expiry was extended");
        if old.revoked_at.is_some() {
            prop_assert_eq!(new.status(now), ApiKeyStatus::Revoked);
            prop_assert_eq!(new, old);
        }
        prop_assert_eq!((&new.allow_list, new.kind, new.issued_by), (&old.allow_list, old.kind, old.issued_by));
        prop_assert_eq!((new.lifetime, &new.hash, new.created_at), (old.lifetime, &old.hash, old.created_at));
    }
    Ok(())
}

fn check_revocation(after: &ApiKeys, key: &ApiKey, now: Timestamp) -> Result<(), TestCaseError> {
    let is_active_write_key = |key: &ApiKey| key.kind == ApiKeyType::Write && key.status(now) == ApiKeyStatus::Active;
    prop_assert_eq!(after.get(key.id).unwrap().status(now), ApiKeyStatus::Revoked);
    let was_revoked = key.revoked_at.is_some();
    prop_assert!(was_revoked || after.iter().any(is_active_write_key), "no write key is left");
    Ok(())
}

proptest! {
    #[test]
    fn any_sequence_of_operations_keeps_rules(operations in vec(operation(), 0..40)) {
        let mut now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut keys = ApiKeys::default();
        for operation in operations {
            let before = keys.clone();
            match operation {
                Operation::Wait(time) => now = now + time,
                Operation::Issue { creator, kind, lifetime, allow_list } => {
                    let Some(creator) = authenticate(&keys, creator, now) else { continue };
                    let request = NewApiKey { kind, name: "key".parse().unwrap(), lifetime, allow_list };
                    if let Ok(IssuedApiKey { key, .. }) = keys.issue(request, creator.as_ref(), now) {
                        check_new_key(&key, creator.as_ref(), None)?;
                        prop_assert_eq!(keys.iter().count(), before.iter().count() + 1);
                    } else {
                        prop_assert_eq!(&keys, &before);
                    }
                }
                Operation::Replace { creator, replaced, lifetime, allow_list, overlap } => {
                    let Some(creator) = authenticate(&keys, creator, now) else { continue };
                    let Some(old) = choose(&keys, replaced) else { continue };
                    let request =
                        Replacement { replaced: old.id, kind: None, name: None, lifetime, allow_list, overlap };
                    if let Ok(replaced) = keys.replace(request, creator.as_ref(), now) {
                        prop_assert_eq!(old.status(now), ApiKeyStatus::Active);
                        check_new_key(&replaced.issued.key, creator.as_ref(), Some(&old))?;
                        let end = replaced.retired.expires_at.unwrap();
                        prop_assert!(end <= now + overlap, "the replaced key outlasts the overlap");
                    } else {
                        prop_assert_eq!(&keys, &before);
                    }
                }
                Operation::Revoke { key, force } => {
                    let Some(key) = choose(&keys, key) else { continue };
                    match keys.revoke(key.id, force, now) {
                        Ok(_) if force => prop_assert!(keys.get(key.id).unwrap().revoked_at.is_some()),
                        Ok(_) => check_revocation(&keys, &key, now)?,
                        Err(error) => {
                            prop_assert!(!force && matches!(error, ApiKeyChangeError::Refused(_)), "{}", error);
                            prop_assert_eq!(&keys, &before);
                        }
                    }
                }
            }
            check_old_keys(&before, &keys, now)?;
        }
    }
}
