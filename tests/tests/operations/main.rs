//! Faults, threats, settings and scale, for the functions and `userdocks-admin` on a fake AWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod configuration;
mod connections;
mod faults;
mod scale;
mod threats;
