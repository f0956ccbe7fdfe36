//! Authenticates and authorises a request: the contract's checks, in order.

mod caller;
mod checks;
mod notes;

pub use self::{
    caller::{AuthError, Caller},
    checks::{Requirement, app_id, authenticate},
    notes::{note_fetch, note_use},
};
