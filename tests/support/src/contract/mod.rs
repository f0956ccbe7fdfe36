//! The contract, written a second time and without the code: the response to each fixture under `events/`.

mod api_keys;
mod fixture;
mod new_values;
mod response;
mod routes;
mod signing_keys;

use std::fs;

use serde_json::Value;

pub use self::{
    fixture::Fixture,
    new_values::{with_sample_values, without_new_values},
    response::{Response, failure, read_payload},
    routes::{FUNCTIONS, READING, ROUTES, Route},
};
use crate::project;

/// The apps of `events/apps.json`.
fn apps() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(project().join("events/apps.json")).unwrap()).unwrap()
}
