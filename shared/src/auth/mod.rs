//! Authenticates and authorises a request: the contract's checks, in order.

mod caller;
mod checks;
mod credentials;
mod last_use;

pub use self::{
    caller::{AuthError, Caller},
    checks::{Requirement, authenticate},
    credentials::app_id,
    last_use::LastUse,
};
