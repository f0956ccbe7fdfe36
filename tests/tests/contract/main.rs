//! Tests of the contract: each function's binary, with a fake Lambda Runtime API and a fake AWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod aws_reads;
mod credentials;
mod hostile_input;
mod leaks;
mod responses;
