//! Apps and API keys in one DynamoDB table.

mod api_keys;
mod apps;
mod error;
mod index;
mod item;
mod notes;
mod pages;
mod reads;
mod table;
mod transactions;

use aws_sdk_dynamodb::config::Region;

pub use self::{
    api_keys::ApiKeyChange,
    error::StoreError,
    item::{AppSummary, CorruptItem, IndexItem, Record},
    pages::Pages,
    reads::CallerRecords,
    transactions::waits_after_conflict,
};
use crate::aws::{CallError, DynamoDb, FailedCall};

/// The table of apps and API keys.
#[derive(Debug, Clone)]
pub struct Store {
    dynamodb: DynamoDb,
    table: String,
}

impl Store {
    #[must_use]
    pub fn new(dynamodb: DynamoDb, table: String) -> Self {
        Self { dynamodb, table }
    }

    /// See [`DynamoDb::rehearsal`].
    pub(crate) fn rehearsal(&self, records: &'static str) -> Self {
        Self { dynamodb: self.dynamodb.rehearsal(records), table: self.table.clone() }
    }

    /// Opens a connection, so that the first read does not wait for the handshake.
    pub async fn connect(&self) -> Result<(), CallError> {
        self.dynamodb.connect().await
    }

    fn to_store_error(&self, error: FailedCall) -> StoreError {
        // The cause of a cancelled transaction names a reason for each of its items.
        let has_reason = |reasons: [&str; 2]| reasons.iter().any(|reason| error.cause.contains(reason));
        match error.code.as_deref() {
            Some("ConditionalCheckFailedException" | "TransactionConflictException") => StoreError::Conflict,
            Some("TransactionCanceledException") if has_reason(["ConditionalCheckFailed", "TransactionConflict"]) => {
                StoreError::Conflict
            }
            Some("TransactionCanceledException")
                if has_reason(["ThrottlingError", "ProvisionedThroughputExceeded"]) =>
            {
                StoreError::Throttled(error.cause)
            }
            Some("ResourceNotFoundException") => StoreError::NoTable {
                table: self.table.clone(),
                region: self.dynamodb.client().config().region().map_or("(none)", Region::as_ref).to_owned(),
                endpoint: self.dynamodb.endpoint().to_owned(),
            },
            _ if error.is_throttling() => StoreError::Throttled(error.cause),
            _ => StoreError::Failed(error.cause),
        }
    }
}
