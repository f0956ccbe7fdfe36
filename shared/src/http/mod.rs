//! HTTP as Lambda sees it: events of payload format 2.0 in, answers in the contract's two envelopes out.

mod envelope;
mod failure;
mod request;
mod response;
mod signing_key;
mod write;

pub use envelope::{Envelope, LegacySuccess, ListSuccess};
pub use failure::{Failure, FailureKind, Fault};
pub use request::Request;
pub use response::{CacheControl, Payload, Response};
pub use signing_key::ListedSigningKey;
pub use write::{NewWrite, Write};
