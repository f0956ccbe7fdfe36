//! `userdocks-admin`, as operators use it, on a fake AWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api_keys;
mod commands;
mod doctor;
mod index_items;
mod input;
mod integrity;
mod output;
mod secret_use;
mod settings;
mod transfer;
