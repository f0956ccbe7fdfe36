//! Authenticates and authorises a request: the contract's checks, in order.

mod caller;
mod checks;
mod credentials;
mod notes;

pub use self::{
    caller::{AuthError, Caller},
    checks::{Requirement, authenticate},
    credentials::app_id,
    notes::Notes,
};
