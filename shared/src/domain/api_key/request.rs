use std::{net::IpAddr, time::Duration};

use super::{ApiKey, ApiKeyType, MalformedApiKeyType};
use crate::domain::{AllowList, ApiKeyId, App, MalformedAllowList, MalformedId, MalformedName, Name};

/// The fields of a request to create an API key, not yet checked.
#[derive(Debug, Default)]
pub struct ApiKeyFields<'a> {
    pub kind: Option<&'a str>,
    pub name: Option<&'a str>,
    pub expires_in_seconds: Option<u64>,
    pub allowed_cidrs: Option<&'a [String]>,
    /// The id of the key to replace, or `self`.
    pub replaces: Option<&'a str>,
    pub overlap_seconds: Option<u64>,
}

/// A request to create an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyRequest {
    New(NewApiKey),
    Replacement(Replacement),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    pub kind: ApiKeyType,
    pub name: Name,
    pub lifetime: Option<Duration>,
    pub allow_list: AllowList,
}

/// A request for a key that replaces another. A field that is `None` is taken over from the replaced key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub replaced: ApiKeyId,
    /// The type that the caller expects. A replacement cannot change it.
    pub kind: Option<ApiKeyType>,
    pub name: Option<Name>,
    pub lifetime: NewLifetime,
    pub allow_list: Option<AllowList>,
    /// The time for which both keys are accepted.
    pub overlap: Duration,
}

/// The lifetime of a key that replaces another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewLifetime {
    /// The lifetime with which the replaced key was issued.
    Same,
    Limited(Duration),
    /// Only the operator can make a limited lifetime endless.
    Endless,
}

/// The reason that the fields of a request are rejected before any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedApiKeyRequest {
    #[error(transparent)]
    Type(#[from] MalformedApiKeyType),
    #[error(transparent)]
    Name(#[from] MalformedName),
    #[error(transparent)]
    AllowList(#[from] MalformedAllowList),
    #[error("`replaces` is {0} or `self`")]
    Replaced(#[from] MalformedId),
    #[error("a new API key needs a type and a name")]
    Incomplete,
    #[error("an API key is issued for 60 to 157680000 seconds")]
    Lifetime,
    #[error("an overlap is 0 to 2592000 seconds")]
    Overlap,
    #[error("a key that replaces itself needs an overlap of at least 60 seconds")]
    OverlapOfCaller,
    #[error("a key that replaces itself needs an allow list that includes the caller's address")]
    AllowListOfCaller,
}

impl ApiKeyFields<'_> {
    const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=157_680_000;
    /// A caller that replaces itself must be able to send the request again if the response was lost.
    const MIN_OVERLAP_OF_CALLER: Duration = Duration::from_secs(60);

    /// Makes all checks that do not need the app's other keys. `caller` is the presented key, and `address` is the
    /// address from which it was presented. Fails also if the caller would lock itself out.
    pub fn check(&self, caller: &ApiKey, address: Option<IpAddr>) -> Result<ApiKeyRequest, MalformedApiKeyRequest> {
        let kind: Option<ApiKeyType> = self.kind.map(str::parse).transpose()?;
        let name: Option<Name> = self.name.map(str::parse).transpose()?;
        let allow_list = self.allowed_cidrs.map(AllowList::parse).transpose()?;
        if self.expires_in_seconds.is_some_and(|seconds| !Self::LIFETIMES.contains(&seconds)) {
            return Err(MalformedApiKeyRequest::Lifetime);
        }
        let lifetime = self.expires_in_seconds.map(Duration::from_secs);
        let overlap = self.overlap_seconds.map_or(App::DEFAULT_OVERLAP, Duration::from_secs);
        if overlap > App::MAX_OVERLAP {
            return Err(MalformedApiKeyRequest::Overlap);
        }
        let Some(replaced) = self.replaces.map(|key| caller.resolve(key)).transpose()? else {
            let (Some(kind), Some(name)) = (kind, name) else { return Err(MalformedApiKeyRequest::Incomplete) };
            let allow_list = allow_list.unwrap_or_default();
            return Ok(ApiKeyRequest::New(NewApiKey { kind, name, lifetime, allow_list }));
        };
        if replaced == caller.id {
            if overlap < Self::MIN_OVERLAP_OF_CALLER {
                return Err(MalformedApiKeyRequest::OverlapOfCaller);
            }
            if allow_list.as_ref().is_some_and(|list| !list.allows(address)) {
                return Err(MalformedApiKeyRequest::AllowListOfCaller);
            }
        }
        let lifetime = lifetime.map_or(NewLifetime::Same, NewLifetime::Limited);
        Ok(ApiKeyRequest::Replacement(Replacement { replaced, kind, name, lifetime, allow_list, overlap }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyValue, Timestamp};

    fn caller() -> ApiKey {
        let value = ApiKeyValue::issue(ApiKeyType::Write).unwrap();
        ApiKey::new(&value, ApiKeyType::Write, "ci".to_owned(), Timestamp::now(), None)
    }

    fn check(fields: &ApiKeyFields<'_>) -> Result<ApiKeyRequest, MalformedApiKeyRequest> {
        fields.check(&caller(), Some([192, 0, 2, 7].into()))
    }

    #[test]
    fn new_key_needs_only_type_and_name() {
        let fields = ApiKeyFields { kind: Some("read"), name: Some("backend"), ..ApiKeyFields::default() };
        let name = "backend".parse().unwrap();
        let new = NewApiKey { kind: ApiKeyType::Read, name, lifetime: None, allow_list: AllowList::default() };
        assert_eq!(check(&fields), Ok(ApiKeyRequest::New(new)));
        for incomplete in [ApiKeyFields { kind: None, ..fields }, ApiKeyFields { name: None, ..fields }] {
            assert_eq!(check(&incomplete), Err(MalformedApiKeyRequest::Incomplete));
        }
    }

    #[test]
    fn malformed_field_is_rejected_in_new_key_and_replacement() {
        use MalformedApiKeyRequest as Error;
        let bare_address = ["192.0.2.1".to_owned()];
        let fields = |replaces| ApiKeyFields { kind: Some("read"), name: Some("a"), replaces, ..Default::default() };
        for replaces in [None, Some("self")] {
            let fields = || fields(replaces);
            for (malformed, error) in [
                (ApiKeyFields { kind: Some("admin"), ..fields() }, Error::Type(MalformedApiKeyType)),
                (ApiKeyFields { name: Some(""), ..fields() }, Error::Name(MalformedName::Length)),
                (ApiKeyFields { expires_in_seconds: Some(59), ..fields() }, Error::Lifetime),
                (ApiKeyFields { expires_in_seconds: Some(157_680_001), ..fields() }, Error::Lifetime),
                (ApiKeyFields { overlap_seconds: Some(2_592_001), ..fields() }, Error::Overlap),
                (
                    ApiKeyFields { allowed_cidrs: Some(&bare_address), ..fields() },
                    Error::AllowList(MalformedAllowList::NotCanonical(1)),
                ),
            ] {
                assert_eq!(check(&malformed), Err(error), "{malformed:?}");
            }
            for seconds in [60, 157_680_000] {
                assert!(check(&ApiKeyFields { expires_in_seconds: Some(seconds), ..fields() }).is_ok());
            }
            assert!(check(&ApiKeyFields { overlap_seconds: Some(2_592_000), ..fields() }).is_ok());
        }
        assert!(matches!(check(&fields(Some("apikey_1"))), Err(Error::Replaced(_))));
    }

    #[test]
    fn absent_fields_of_replacement_are_taken_over() {
        let id = ApiKeyId::random();
        let replacement = Replacement {
            replaced: id,
            kind: None,
            name: None,
            lifetime: NewLifetime::Same,
            allow_list: None,
            overlap: App::DEFAULT_OVERLAP,
        };
        let fields = ApiKeyFields { replaces: Some(&id.to_string()), ..ApiKeyFields::default() };
        assert_eq!(check(&fields), Ok(ApiKeyRequest::Replacement(replacement)));
    }

    #[test]
    fn caller_that_replaces_itself_cannot_lock_itself_out() {
        use MalformedApiKeyRequest::{AllowListOfCaller, OverlapOfCaller};
        let caller = caller();
        let (id, address) = (caller.id.to_string(), Some([192, 0, 2, 7].into()));
        let lists = [vec![], vec!["192.0.2.0/24".to_owned()], vec!["10.0.0.0/8".to_owned()]];
        for replaces in ["self", &id] {
            let check = |address, overlap, list| {
                let (replaces, overlap_seconds) = (Some(replaces), Some(overlap));
                let fields = ApiKeyFields { replaces, overlap_seconds, allowed_cidrs: list, ..Default::default() };
                fields.check(&caller, address).map(drop)
            };
            assert_eq!(check(address, 60, None), Ok(()));
            assert_eq!(check(address, 59, None), Err(OverlapOfCaller));
            assert_eq!(check(address, 60, Some(&lists[0])), Ok(()));
            assert_eq!(check(address, 60, Some(&lists[1])), Ok(()));
            assert_eq!(check(address, 60, Some(&lists[2])), Err(AllowListOfCaller));
            assert_eq!(check(None, 60, Some(&lists[1])), Err(AllowListOfCaller));
        }
        let other = ApiKeyId::random().to_string();
        let fields = ApiKeyFields {
            replaces: Some(&other),
            overlap_seconds: Some(0),
            allowed_cidrs: Some(&lists[2]),
            ..ApiKeyFields::default()
        };
        assert!(fields.check(&caller, address).is_ok(), "another key is not bound");
    }
}
