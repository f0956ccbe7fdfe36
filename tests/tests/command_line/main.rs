//! `userdocks-admin`, as operators use it, on a fake AWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod commands;
mod doctor;
mod input;
mod integrity;
mod output;
mod settings;
mod transfer;
