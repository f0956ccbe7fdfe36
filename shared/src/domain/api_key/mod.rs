mod error;
mod hash;
mod kind;
#[cfg(test)]
mod properties;
mod record;
mod request;
mod set;
mod value;

pub use error::{ApiKeyChangeError, ApiKeyChangeRefused};
pub use hash::{ApiKeyHash, MalformedHash};
pub use kind::{ApiKeyType, MalformedApiKeyType};
pub use record::{ApiKey, ApiKeyStatus, SecretFetch};
pub use request::{ApiKeyFields, ApiKeyRequest, MalformedApiKeyRequest, NewApiKey, NewLifetime, Replacement};
pub use set::{ApiKeys, IssuedApiKey, ReplacedApiKey};
pub use value::{ApiKeyImportError, ApiKeyValue, MalformedApiKey};
