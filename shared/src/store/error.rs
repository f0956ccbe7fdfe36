use aws_sdk_dynamodb::error::BuildError;

use super::item::CorruptItem;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot access DynamoDB: {0}")]
    Failed(String),
    #[error("cannot access DynamoDB: {0}")]
    Throttled(String),
    #[error(
        "cannot find DynamoDB table {table} in region {region} at {endpoint} (ResourceNotFoundException); check the \
         table's name, the region and the endpoint"
    )]
    NoTable { table: String, region: String, endpoint: String },
    #[error(transparent)]
    Corrupt(#[from] CorruptItem),
    /// Other changes won at each attempt; nothing was changed.
    #[error("cannot change the record: other changes of the app won each time; run the command again")]
    Contended,
    #[error("a concurrent change won, or the record does not exist; nothing was changed")]
    Conflict,
    #[error("the API key is revoked, but a write by it that was in flight may still be stored within 30 seconds")]
    VersionNotIncremented,
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> Self {
        Self::Failed(error.to_string())
    }
}
