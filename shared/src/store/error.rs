use aws_sdk_dynamodb::error::BuildError;

use super::item::CorruptItem;

/// An operation on the table that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused or failed, or was unreachable. The text is the whole cause.
    #[error("DynamoDB: {0}")]
    Failed(String),
    #[error("DynamoDB: {0}")]
    Throttled(String),
    #[error(
        "cannot find DynamoDB table {table} in region {region} at {endpoint} (ResourceNotFoundException); check the \
         table's name, the region and the endpoint"
    )]
    NoTable { table: String, region: String, endpoint: String },
    #[error(transparent)]
    Corrupt(#[from] CorruptItem),
    /// Other changes won at each attempt; nothing was changed.
    #[error("cannot change the record: other changes of the app keep winning; run the command again")]
    Contended,
    /// The record is no longer as it was read; nothing was changed.
    #[error("a concurrent change won, or the record is not there; nothing was changed")]
    Conflict,
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> Self {
        Self::Failed(error.to_string())
    }
}
