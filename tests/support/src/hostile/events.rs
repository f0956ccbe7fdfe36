//! Events with any content.

use super::{functions, response::assert_in_contract};
use crate::contract::FUNCTIONS;

/// The first byte chooses the function. The rest is the event.
pub fn check(input: &[u8]) {
    let Some((function, event)) = input.split_first() else { return };
    let function = FUNCTIONS[usize::from(*function) % FUNCTIONS.len()];
    let event = String::from_utf8_lossy(event);
    functions::renew();
    let response = functions::respond(function, &event);
    assert_in_contract(function, &event, &response);
}
