//! Tests of README.md, CONTRIBUTING.md, docs/API.md, docs/openapi.yaml and template.yaml.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod commands;
mod document;
mod generated;
mod openapi;
mod template;
