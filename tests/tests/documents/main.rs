//! Statements of README.md, docs/openapi.yaml and template.yaml.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod openapi;
mod readme;
mod template;
