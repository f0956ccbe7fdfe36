mod hash;
mod kind;
mod record;
mod value;

pub use hash::{ApiKeyHash, MalformedHash};
pub use kind::{ApiKeyType, MalformedApiKeyType};
pub use record::{ApiKey, ApiKeyStatus};
pub use value::{ApiKeyImportError, ApiKeyValue, MalformedApiKey};
