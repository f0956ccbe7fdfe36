//! The local stack's parts, for `make run` and for tests: embedded DynamoDB and Secrets Manager, and data to try.

pub mod demo;
pub mod embedded;
pub mod fixtures;

/// Why the local stack does not start or go on, in a sentence for the developer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalError(pub String);

impl LocalError {
    /// What failed, and why.
    pub fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}
