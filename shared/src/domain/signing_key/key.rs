use std::str::FromStr;

use super::PublicKey;
use crate::domain::{SigningKeyId, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKeyState {
    /// Published, but not used for signing yet.
    Standby,
    /// Signs the app's tokens.
    InUse,
    /// Was in use; tokens signed with it still verify.
    Previous,
    /// In no list and not in the JWKS.
    Revoked,
}

impl SigningKeyState {
    const ALL: [Self; 4] = [Self::Standby, Self::InUse, Self::Previous, Self::Revoked];

    /// Returns the name in the table and in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::InUse => "in_use",
            Self::Previous => "previous",
            Self::Revoked => "revoked",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a signing key (standby, in_use, previous or revoked)")]
pub struct MalformedSigningKeyState;

impl FromStr for SigningKeyState {
    type Err = MalformedSigningKeyState;

    fn from_str(name: &str) -> Result<Self, MalformedSigningKeyState> {
        Self::ALL.into_iter().find(|state| state.name() == name).ok_or(MalformedSigningKeyState)
    }
}

/// The record of a signing key, without its private half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Also the `kid` in the JWKS.
    pub id: SigningKeyId,
    pub state: SigningKeyState,
    pub public_key: PublicKey,
    /// The private half is outside this system, not in Secrets Manager.
    pub is_imported: bool,
    pub created_at: Timestamp,
    /// The time of the last change of state.
    pub updated_at: Timestamp,
}
