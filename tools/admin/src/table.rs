//! `userdocks-admin table …`

use serde_json::json;
use userdocks::api::Services;

use crate::{AdminError, CommandOutput};

/// Creates the table.
///
/// # Errors
/// The table exists and `if_not_exists` is not set, or DynamoDB fails.
pub async fn create(services: &Services, if_not_exists: bool) -> Result<CommandOutput, AdminError> {
    let created = services.store.create_table().await?;
    if !created && !if_not_exists {
        return Err(AdminError::TableExists);
    }
    Ok(json!({ "table": { "created": created } }).into())
}
