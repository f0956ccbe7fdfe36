//! Faults, threats, settings and scale: the functions and `userdocks-admin` on a fake AWS that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod configuration;
mod connections;
mod faults;
mod scale;
mod threats;
