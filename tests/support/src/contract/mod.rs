//! A second implementation of the contract, independent of the functions: the response to each fixture under `events/`.

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
    routes::{FUNCTIONS, ROUTES, Route, reading_functions, writing_functions},
};
use crate::project;

/// Returns the apps of `events/apps.json`.
fn apps() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(project().join("events/apps.json")).unwrap()).unwrap()
}
