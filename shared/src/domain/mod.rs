//! Ids, apps, API keys, signing keys and secrets: plain types and their rules, no I/O.

mod api_key;
mod app;
mod id;
mod idempotency;
mod name;
mod public_key_pem;
mod secret;
mod secret_prefix;
mod signing_key;
mod timestamp;

pub use api_key::{
    ApiKey, ApiKeyHash, ApiKeyStatus, ApiKeyType, ApiKeyValue, ImportError, MalformedApiKey, MalformedHash,
};
pub use app::{App, PreviousSecret};
pub use id::{ApiKeyId, AppId, MalformedId, SecretVersionId, SigningKeyId};
pub use idempotency::{DoneWrite, IdempotencyKey, MalformedIdempotencyKey, WriteId, fingerprint, hexadecimal};
pub use name::{MalformedName, Name, escape_unprintable};
pub use public_key_pem::PublicKeyImportError;
pub use secret::Secret;
pub use secret_prefix::{MalformedSecretPrefix, SecretPrefix};
pub use signing_key::{
    GeneratedSigningKey, KeyChangeRefused, KeyLimits, MalformedPublicKey, PublicKey, SigningKey, SigningKeyState,
    SigningKeys, TwoKeysInUse,
};
pub use timestamp::{MalformedTimestamp, Timestamp};

/// The system's source of randomness failed; nothing can be issued without it.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;
