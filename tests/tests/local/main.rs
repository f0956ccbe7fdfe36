//! The local stack, in hostile environments and while a developer changes the sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod local_stack;
mod reload;
