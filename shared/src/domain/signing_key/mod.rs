mod generated;
mod key;
mod pem;
mod public_key;
mod set;

pub use generated::GeneratedSigningKey;
pub use key::{MalformedSigningKeyState, SigningKey, SigningKeyState};
pub use pem::PublicKeyImportError;
pub use public_key::{MalformedPublicKey, PublicKey};
pub use set::{SigningKeyChangeRefused, SigningKeyLimits, SigningKeys, TwoKeysInUse};
