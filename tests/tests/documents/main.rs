//! Tests of the documents, docs/openapi.yaml and template.yaml.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod commands;
mod document;
mod generated;
mod links;
mod openapi;
mod template;
