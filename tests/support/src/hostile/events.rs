//! Events as Lambda hands them over.

use super::{answer::assert_in_contract, world};
use crate::contract::FUNCTIONS;

/// The first byte picks the function, the rest is the event.
pub fn check(input: &[u8]) {
    let Some((function, event)) = input.split_first() else { return };
    let function = FUNCTIONS[usize::from(*function) % FUNCTIONS.len()];
    let event = String::from_utf8_lossy(event);
    world::renew();
    let answer = world::respond(function, &event);
    assert_in_contract(function, &event, &answer);
}
