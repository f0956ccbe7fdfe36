//! Ids, apps, API keys, signing keys and secrets: types and rules without I/O.

mod allow_list;
mod api_key;
mod app;
mod digest;
mod id;
mod idempotency;
mod name;
mod random;
mod secret;
mod secret_prefix;
mod secret_status;
mod signing_key;
mod timestamp;

pub use allow_list::{AllowList, MalformedAllowList};
pub use api_key::{
    ApiKey, ApiKeyChangeError, ApiKeyChangeRefused, ApiKeyFields, ApiKeyHash, ApiKeyImportError, ApiKeyRequest,
    ApiKeyStatus, ApiKeyType, ApiKeyValue, ApiKeys, IssuedApiKey, MalformedApiKey, MalformedApiKeyRequest,
    MalformedApiKeyType, MalformedHash, NewApiKey, NewLifetime, ReplacedApiKey, Replacement, SecretFetch,
};
pub use app::{App, PreviousSecret};
pub use digest::{fingerprint, hexadecimal, sha256_hex};
pub use id::{ApiKeyId, AppId, MalformedId, SecretVersionId, SigningKeyId};
pub use idempotency::{IdempotencyKey, MalformedIdempotencyKey, StoredResult, WriteId};
pub use name::{MalformedName, Name, escape_unprintable};
pub use random::NoRandomness;
pub use secret::Secret;
pub use secret_prefix::{MalformedSecretPrefix, SecretPrefix};
pub use secret_status::{HeldSecret, keys_losing_secret, secret_status};
pub use signing_key::{
    GeneratedSigningKey, MalformedPublicKey, MalformedSigningKeyState, PublicKey, PublicKeyImportError, SigningKey,
    SigningKeyChangeRefused, SigningKeyLimits, SigningKeyState, SigningKeys, TwoKeysInUse,
};
pub use timestamp::{MalformedTimestamp, Timestamp};
