use std::{cmp::Reverse, fmt};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeySize, PrivateDecryptingKey, PublicEncryptingKey},
};
use pem_rfc7468::LineEnding;

use super::{NoRandomness, Secret, SigningKeyId, Timestamp};

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
    /// Takes a key from outside, checks it and gives it the contract's form.
    ///
    /// # Errors
    /// It is no RSA public key of 2048 to 8192 bits as SPKI PEM.
    pub fn import(pem: &str) -> Result<Self, MalformedPublicKey> {
        let (label, der) = pem_rfc7468::decode_vec(pem.trim().as_bytes()).map_err(|_| MalformedPublicKey)?;
        if label != PUBLIC_KEY_LABEL {
            return Err(MalformedPublicKey);
        }
        let key = PublicEncryptingKey::from_der(&der).map_err(|_| MalformedPublicKey)?;
        Self::of(&key).map_err(|NoRandomness| MalformedPublicKey)
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
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

/// More than one signing key of an app is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoKeysInUse;

impl fmt::Display for TwoKeysInUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("more than one key in use")
    }
}

/// All signing keys of an app, oldest first; at most one of them is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningKeys(Vec<SigningKey>);

impl SigningKeys {
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
        let mut previous: Vec<_> = self.iter().filter(|key| key.state == SigningKeyState::Previous).collect();
        previous.sort_by_key(|key| Reverse(key.created_at));
        self.in_use().into_iter().chain(previous).collect()
    }

    /// Adds a new key that is in use from `now` on; the one that was becomes previous.
    pub fn add_in_use(&mut self, id: SigningKeyId, public_key: PublicKey, now: Timestamp) {
        for key in self.0.iter_mut().filter(|key| key.state == SigningKeyState::InUse) {
            key.state = SigningKeyState::Previous;
            key.updated_at = now;
        }
        self.0.push(SigningKey { id, state: SigningKeyState::InUse, public_key, created_at: now, updated_at: now });
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
    fn only_strong_rsa_public_keys_are_imported() {
        let cut = &RSA_2048[..RSA_2048.len() / 2];
        let relabelled = RSA_2048.replace("PUBLIC KEY", "RSA PUBLIC KEY");
        for other in ["", "no key", cut, &relabelled, RSA_1024, EC_P256] {
            assert_eq!(PublicKey::import(other), Err(MalformedPublicKey), "{other}");
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
}
