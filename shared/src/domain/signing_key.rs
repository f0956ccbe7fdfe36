use std::{cmp::Reverse, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{self, KeySize, PrivateDecryptingKey, PublicEncryptingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pem_rfc7468::LineEnding;

use super::{DoneWrite, NoRandomness, PublicKeyImportError, Secret, SigningKeyId, Timestamp, public_key_pem};

const PUBLIC_KEY_LABEL: &str = "PUBLIC KEY";
const PRIVATE_KEY_LABEL: &str = "PRIVATE KEY";

/// Where a signing key stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKeyState {
    /// Published, signs nothing yet.
    Standby,
    /// Signs the app's tokens.
    InUse,
    /// Was in use; tokens signed with it still verify.
    Previous,
    /// Gone from every answer.
    Revoked,
}

impl SigningKeyState {
    const ALL: [Self; 4] = [Self::Standby, Self::InUse, Self::Previous, Self::Revoked];

    /// The state's name in the table and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::InUse => "in_use",
            Self::Previous => "previous",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name, if there is one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The text is not an RSA public key of 2048 to 8192 bits as an SPKI PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA public key of 2048 to 8192 bits as SPKI PEM (-----BEGIN PUBLIC KEY-----)")]
pub struct MalformedPublicKey;

/// An RSA public key as SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in PEM (RFC 7468), with `\n` line ends and a trailing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads a key from outside, checks it and gives it the contract's form.
    ///
    /// # Errors
    /// The text has no RSA public key of 2048 to 8192 bits; the error says what it has.
    pub fn import(text: &str) -> Result<Self, PublicKeyImportError> {
        let key = public_key_pem::read(text)?;
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| PublicKeyImportError::NotAKey)?;
        // Reading DER checks more than building a key from its numbers does.
        let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| PublicKeyImportError::NotAKey)?;
        Self::of(&key).map_err(|NoRandomness| PublicKeyImportError::NotAKey)
    }

    /// Takes a key back from the table, where only a key in the contract's form was ever written.
    ///
    /// # Errors
    /// It is not even framed as one.
    pub fn stored(pem: String) -> Result<Self, MalformedPublicKey> {
        let framed = pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("\n-----END PUBLIC KEY-----\n");
        if framed { Ok(Self(pem)) } else { Err(MalformedPublicKey) }
    }

    /// The PEM text.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// The modulus and the exponent as a JWK has them (RFC 7518, section 6.3.1): big-endian, base64url.
    ///
    /// # Errors
    /// What was stored is no RSA public key.
    pub fn jwk_components(&self) -> Result<(String, String), MalformedPublicKey> {
        let (_, der) = pem_rfc7468::decode_vec(self.0.as_bytes()).map_err(|_| MalformedPublicKey)?;
        let key = rsa::PublicKey::from_der(&der).map_err(|_| MalformedPublicKey)?;
        let encode =
            |number: aws_lc_rs::io::Positive<'_>| URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero());
        Ok((encode(key.modulus()), encode(key.exponent())))
    }

    fn of(key: &PublicEncryptingKey) -> Result<Self, NoRandomness> {
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| NoRandomness)?;
        pem_rfc7468::encode_string(PUBLIC_KEY_LABEL, LineEnding::LF, der.as_ref()).map(Self).map_err(|_| NoRandomness)
    }
}

/// Both halves of a new RSA-4096 key.
#[derive(Debug)]
pub struct GeneratedSigningKey {
    /// For everyone who verifies tokens.
    pub public_key: PublicKey,
    /// For Secrets Manager alone: PKCS#8 PEM (RFC 5208, RFC 7468).
    pub private_key: Secret,
}

impl GeneratedSigningKey {
    /// Makes a new RSA-4096 key; takes about a second of CPU.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).map_err(|_| NoRandomness)?;
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().map_err(|_| NoRandomness)?;
        let private_key =
            pem_rfc7468::encode_string(PRIVATE_KEY_LABEL, LineEnding::LF, pkcs8.as_ref()).map_err(|_| NoRandomness)?;
        Ok(Self { public_key: PublicKey::of(&key.public_key())?, private_key: Secret::from(private_key) })
    }
}

/// The public side of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its id, and its `kid` in the JWKS.
    pub id: SigningKeyId,
    /// Where it stands in its life.
    pub state: SigningKeyState,
    /// What tokens are verified with.
    pub public_key: PublicKey,
    /// Whether its private half is kept elsewhere, and not in Secrets Manager.
    pub is_imported: bool,
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

/// More than one signing key of an app is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than one key in use")]
pub struct TwoKeysInUse;

/// All signing keys of an app, oldest first; at most one of them is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningKeys(Vec<SigningKey>);

/// Why a signing key is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyChangeRefused {
    /// The app has no such key, or it was revoked.
    #[error("there is no such signing key")]
    NoSuchKey,
    /// A verifier may still hold a key set without it.
    #[error("the key has been published for less than 600 seconds; verifiers may not know it yet")]
    PublishedTooRecently,
    /// The app would be without a key.
    #[error("the key is in use; put another in use first")]
    InUse,
    /// The app's record has no room for more.
    #[error("the app has too many signing keys, those revoked in the last day included")]
    TooManyKeys,
}

/// How many signing keys an app may have when one is added, so that its record, which every request reads, stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    published: usize,
    /// With those that were revoked in the last day.
    kept: usize,
}

impl KeyLimits {
    /// For callers of the API: 75 keys of RSA-4096 are 70 KB, or 18 read units a request.
    pub const API: Self = Self { published: 50, kept: 75 };
    /// For the operator, who has to be able to add keys after a thief of a write key has used up those of the API.
    pub const OPERATOR: Self = Self { published: 75, kept: 100 };
}

impl SigningKeys {
    /// What caches may keep the JWKS for, at the longest; and how long a key is published before it is put in use.
    pub const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(600);

    /// As long as an answer is remembered for its `Idempotency-Key`.
    const REVOKED_KEPT_FOR: Duration = DoneWrite::REMEMBERED_FOR;

    /// The keys as they were stored.
    ///
    /// # Errors
    /// More than one is in use.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, TwoKeysInUse> {
        let in_use = keys.iter().filter(|key| key.state == SigningKeyState::InUse).count();
        if in_use > 1 { Err(TwoKeysInUse) } else { Ok(Self(keys)) }
    }

    /// All keys, revoked ones too.
    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter()
    }

    /// The key that signs now, if there is one.
    #[must_use]
    pub fn in_use(&self) -> Option<&SigningKey> {
        self.iter().find(|key| key.state == SigningKeyState::InUse)
    }

    /// The keys of the keys route: the one in use, then those that were before, newest first.
    #[must_use]
    pub fn listed(&self) -> Vec<&SigningKey> {
        let mut previous = self.in_state(SigningKeyState::Previous);
        previous.sort_by_key(|key| Reverse(key.created_at));
        self.in_use().into_iter().chain(previous).collect()
    }

    /// The keys of the JWKS: the one in use, then previous ones and standby ones, newest first.
    #[must_use]
    pub fn published(&self) -> Vec<&SigningKey> {
        let mut standby = self.in_state(SigningKeyState::Standby);
        standby.sort_by_key(|key| Reverse(key.created_at));
        self.listed().into_iter().chain(standby).collect()
    }

    fn in_state(&self, state: SigningKeyState) -> Vec<&SigningKey> {
        self.iter().filter(|key| key.state == state).collect()
    }

    /// Adds a new key that is in use from `now` on; the one that was becomes previous.
    pub fn add_in_use(&mut self, id: SigningKeyId, public_key: PublicKey, now: Timestamp) {
        self.retire(now);
        self.add(id, SigningKeyState::InUse, public_key, now);
    }

    /// Adds a key whose private half is kept elsewhere, and puts it in use; the one that was becomes previous.
    pub fn import(&mut self, id: SigningKeyId, public_key: PublicKey, now: Timestamp) {
        self.add_in_use(id, public_key, now);
        for key in self.0.iter_mut().filter(|key| key.id == id) {
            key.is_imported = true;
        }
    }

    /// Adds a new standby key.
    ///
    /// # Errors
    /// [`KeyChangeRefused::TooManyKeys`].
    pub fn add_standby(
        &mut self,
        limits: KeyLimits,
        id: SigningKeyId,
        public_key: PublicKey,
        now: Timestamp,
    ) -> Result<&SigningKey, KeyChangeRefused> {
        self.check_room(limits, now)?;
        self.add(id, SigningKeyState::Standby, public_key, now);
        self.get(id)
    }

    /// Whether one more key can be added.
    ///
    /// # Errors
    /// [`KeyChangeRefused::TooManyKeys`].
    pub fn check_room(&self, limits: KeyLimits, now: Timestamp) -> Result<(), KeyChangeRefused> {
        let kept = self.iter().filter(|key| Self::is_kept(key, now)).count();
        let has_room = self.published().len() < limits.published && kept < limits.kept;
        if has_room { Ok(()) } else { Err(KeyChangeRefused::TooManyKeys) }
    }

    /// Puts a key in use; the one that was becomes previous. A key in use stays so. A standby key has to have been
    /// published for [`Self::PUBLISHED_BEFORE_USE`], unless `force`; a previous one was, and can be put back at once.
    ///
    /// # Errors
    /// [`KeyChangeRefused::NoSuchKey`], of a revoked key too; [`KeyChangeRefused::PublishedTooRecently`].
    pub fn activate(&mut self, id: SigningKeyId, force: bool, now: Timestamp) -> Result<&SigningKey, KeyChangeRefused> {
        let key = self.get(id)?;
        match key.state {
            SigningKeyState::InUse => return self.get(id),
            SigningKeyState::Revoked => return Err(KeyChangeRefused::NoSuchKey),
            SigningKeyState::Standby if !force && now < key.created_at + Self::PUBLISHED_BEFORE_USE => {
                return Err(KeyChangeRefused::PublishedTooRecently);
            }
            SigningKeyState::Standby | SigningKeyState::Previous => {}
        }
        self.retire(now);
        self.change(id, SigningKeyState::InUse, now);
        self.get(id)
    }

    /// Revokes a key, at once and for good; a revoked key stays so.
    ///
    /// # Errors
    /// [`KeyChangeRefused::NoSuchKey`]; [`KeyChangeRefused::InUse`] unless `force`.
    pub fn revoke(&mut self, id: SigningKeyId, force: bool, now: Timestamp) -> Result<&SigningKey, KeyChangeRefused> {
        match self.get(id)?.state {
            SigningKeyState::InUse if !force => return Err(KeyChangeRefused::InUse),
            SigningKeyState::Revoked => {}
            _ => self.change(id, SigningKeyState::Revoked, now),
        }
        self.get(id)
    }

    /// The key of that id, revoked or not.
    ///
    /// # Errors
    /// [`KeyChangeRefused::NoSuchKey`].
    pub fn get(&self, id: SigningKeyId) -> Result<&SigningKey, KeyChangeRefused> {
        self.iter().find(|key| key.id == id).ok_or(KeyChangeRefused::NoSuchKey)
    }

    /// Revoked keys are kept so that the same call has the same answer, but not for ever.
    fn is_kept(key: &SigningKey, now: Timestamp) -> bool {
        key.state != SigningKeyState::Revoked || now < key.updated_at + Self::REVOKED_KEPT_FOR
    }

    fn add(&mut self, id: SigningKeyId, state: SigningKeyState, public_key: PublicKey, now: Timestamp) {
        self.0.retain(|key| Self::is_kept(key, now));
        self.0.push(SigningKey { id, state, public_key, is_imported: false, created_at: now, updated_at: now });
    }

    /// Makes the key in use, if there is one, previous.
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

    const RSA_2048: &str = include_str!("testdata/rsa-2048.pem");
    const RSA_1024: &str = include_str!("testdata/rsa-1024.pem");
    const EC_P256: &str = include_str!("testdata/ec-p256.pem");

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(state: SigningKeyState, created: &str) -> SigningKey {
        SigningKey {
            id: SigningKeyId::random(),
            state,
            public_key: PublicKey(RSA_2048.to_owned()),
            is_imported: false,
            created_at: at(created),
            updated_at: at(created),
        }
    }

    #[test]
    fn a_generated_key_is_rsa_4096_in_the_contracts_form() {
        let generated = GeneratedSigningKey::generate().unwrap();
        let public = generated.public_key.as_pem();
        assert_eq!(PublicKey::import(public), Ok(generated.public_key.clone()));
        assert_eq!(PublicKey::stored(public.to_owned()), Ok(generated.public_key.clone()));
        let (label, der) = pem_rfc7468::decode_vec(generated.private_key.expose().as_bytes()).unwrap();
        let private = PrivateDecryptingKey::from_pkcs8(&der).unwrap();
        assert_eq!((label, private.key_size_bits()), ("PRIVATE KEY", 4096));
        assert_eq!(PublicKey::of(&private.public_key()).unwrap(), generated.public_key);
    }

    #[test]
    fn an_imported_key_gets_the_contracts_form() {
        let with_windows_line_ends = RSA_2048.replace('\n', "\r\n");
        assert_eq!(PublicKey::import(&with_windows_line_ends).unwrap().as_pem(), RSA_2048);
        assert_eq!(PublicKey::import(RSA_2048.trim_end()).unwrap().as_pem(), RSA_2048);
    }

    #[test]
    fn rejected_public_key_is_named() {
        use PublicKeyImportError as Error;
        let relabelled = RSA_2048.replace("PUBLIC KEY", "RSA PUBLIC KEY");
        for (text, error) in [
            ("", Error::NoPublicKey),
            ("no key", Error::NoPublicKey),
            (&RSA_2048[..RSA_2048.len() / 2], Error::Unreadable),
            (&RSA_2048.replace("MII", "MI!"), Error::Unreadable),
            (&relabelled, Error::Unreadable),
            (RSA_1024, Error::Size(1024)),
            (EC_P256, Error::NotRsa),
            (&RSA_2048.replace("PUBLIC", "PRIVATE"), Error::PrivateKey),
            (&RSA_2048.replace("PUBLIC KEY", "CERTIFICATE"), Error::Certificate),
        ] {
            assert_eq!(PublicKey::import(text), Err(error), "{text}");
        }
        assert_eq!(PublicKey::stored("no key".to_owned()), Err(MalformedPublicKey));
    }

    #[test]
    fn the_key_in_use_is_listed_first_then_previous_ones_newest_first() {
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
    fn at_most_one_key_is_in_use() {
        let two = vec![
            key(SigningKeyState::InUse, "2026-01-01T00:00:00.000Z"),
            key(SigningKeyState::InUse, "2026-01-02T00:00:00.000Z"),
        ];
        assert_eq!(SigningKeys::new(two), Err(TwoKeysInUse));

        let mut keys = SigningKeys::default();
        let (first, second) = (SigningKeyId::random(), SigningKeyId::random());
        keys.add_in_use(first, PublicKey(RSA_2048.to_owned()), at("2026-01-01T00:00:00.000Z"));
        keys.add_in_use(second, PublicKey(RSA_2048.to_owned()), at("2026-01-02T00:00:00.000Z"));
        let listed: Vec<_> = keys.listed().iter().map(|key| (key.id, key.state)).collect();
        assert_eq!(listed, [(second, SigningKeyState::InUse), (first, SigningKeyState::Previous)]);
    }

    #[test]
    fn a_standby_key_is_put_in_use_after_600_seconds_and_put_back_at_once() {
        let start = at("2026-01-01T00:00:00.000Z");
        let (first, second) = (SigningKeyId::random(), SigningKeyId::random());
        let mut keys = SigningKeys::default();
        keys.add_in_use(first, PublicKey(RSA_2048.to_owned()), start);
        keys.add_standby(KeyLimits::API, second, PublicKey(RSA_2048.to_owned()), start).unwrap();
        let too_early = start + Duration::from_millis(599_999);
        assert_eq!(keys.activate(second, false, too_early), Err(KeyChangeRefused::PublishedTooRecently));
        assert_eq!(keys.clone().activate(second, true, too_early).unwrap().state, SigningKeyState::InUse);
        let now = start + Duration::from_secs(600);
        assert_eq!(keys.activate(second, false, now).unwrap().state, SigningKeyState::InUse);
        assert_eq!(keys.get(first).unwrap().state, SigningKeyState::Previous);
        assert_eq!(keys.activate(first, false, now).unwrap().state, SigningKeyState::InUse);
        assert_eq!(keys.revoke(first, false, now), Err(KeyChangeRefused::InUse));
        assert_eq!(keys.revoke(second, false, now).unwrap().state, SigningKeyState::Revoked);
        assert_eq!(keys.activate(second, true, now), Err(KeyChangeRefused::NoSuchKey));
        assert_eq!(keys.revoke(second, false, now).unwrap().updated_at, now, "again changes nothing");
        assert_eq!(keys.revoke(first, true, now).unwrap().state, SigningKeyState::Revoked);
        assert!(keys.published().is_empty());
    }

    #[test]
    fn an_app_has_at_most_50_published_keys() {
        let mut keys = SigningKeys::default();
        let add = |keys: &mut SigningKeys| {
            let added = keys.add_standby(
                KeyLimits::API,
                SigningKeyId::random(),
                PublicKey(String::new()),
                at("2026-01-01T00:00:00.000Z"),
            );
            added.map(|key| key.id)
        };
        let ids: Vec<_> = (0..50).map(|_| add(&mut keys).unwrap()).collect();
        assert_eq!(add(&mut keys), Err(KeyChangeRefused::TooManyKeys));
        keys.revoke(ids[0], false, at("2026-01-01T00:00:00.000Z")).unwrap();
        add(&mut keys).unwrap();
        keys.revoke(ids[1], false, at("2026-01-01T00:00:00.000Z")).unwrap();
        while let Ok(id) = add(&mut keys) {
            keys.revoke(id, false, at("2026-01-01T00:00:00.000Z")).unwrap();
        }
        // Those that were revoked are kept for a day, but not without end.
        assert_eq!(keys.0.len(), 75);
    }

    #[test]
    fn a_jwk_has_the_keys_modulus_and_exponent() {
        let (n, e) = PublicKey(RSA_2048.to_owned()).jwk_components().unwrap();
        assert_eq!((n.len(), e.as_str()), (342, "AQAB"));
        assert_eq!(PublicKey(String::new()).jwk_components(), Err(MalformedPublicKey));
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
            fn keeps_the_rules(operations in proptest::collection::vec(operation(), 0..60)) {
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
                            keys.add_standby(KeyLimits::API, id, PublicKey(String::new()), now).unwrap();
                            ids.push(id);
                        }
                        Operation::AddInUse => {
                            let id = SigningKeyId::random();
                            keys.add_in_use(id, PublicKey(String::new()), now);
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
                                prop_assert!(!(activated && fresh && !force), "in use before caches know it");
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
                        prop_assert!(keys.in_use().is_some(), "no key in use vanishes");
                    }
                    for id in &revoked {
                        prop_assert!(keys.published().iter().all(|key| key.id != *id), "nothing revoked is answered");
                        prop_assert!(keys.listed().iter().all(|key| key.id != *id));
                    }
                    prop_assert_eq!(SigningKeys::new(keys.0.clone()), Ok(keys.clone()));
                }
            }
        }
    }
}
