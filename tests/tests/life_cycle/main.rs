//! Changes of an app: one at a time, concurrent, and killed after each AWS call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
mod api_key_races;
mod api_key_rules;
mod api_keys;
mod api_keys_over_http;
mod crashes;
mod earlier_records;
mod key_routes;
mod labels;
mod leaks;
mod repeated_writes;
mod rotation_limits;
mod secret_notes;
mod secrets;
mod signing_keys;
