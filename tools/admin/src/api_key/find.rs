use serde_json::json;
use userdocks::{
    api::Services,
    domain::{ApiKeyImportError, ApiKeyType, ApiKeyValue, Timestamp},
    store::StoreError,
};

use crate::{AdminError, CommandOutput, json::api_key_json};

/// Finds the app of an API key by the key's value.
///
/// # Errors
/// The value is not an API key, no app has it, its records are corrupt, or DynamoDB fails.
pub async fn find(services: &Services, value: &str) -> Result<CommandOutput, AdminError> {
    let value = parse(value).map_err(AdminError::MalformedApiKey)?;
    let (mut keys, mut corrupt) = services.store.find_api_keys(&[value.hash()]).await?;
    let Some((app, key)) = keys.pop() else {
        return Err(corrupt.pop().map_or(AdminError::ApiKeyNotFound, |corrupt| StoreError::from(corrupt).into()));
    };
    Ok(json!({ "app": { "uuid": app.to_string() }, "apiKey": api_key_json(&key, Timestamp::now()) }).into())
}

/// Parses a value of either type as strictly as an import does, so that a mistyped value is reported.
fn parse(value: &str) -> Result<ApiKeyValue, ApiKeyImportError> {
    match ApiKeyValue::import(value, ApiKeyType::Read) {
        Err(ApiKeyImportError::OtherType) => ApiKeyValue::import(value, ApiKeyType::Write),
        parsed => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_either_type_is_parsed() {
        for kind in ApiKeyType::ALL {
            let value = ApiKeyValue::issue(kind).unwrap();
            assert_eq!(parse(value.expose()), Ok(value.clone()));
            assert_eq!(parse(&format!("Bearer {}", value.expose())), Err(ApiKeyImportError::Wrapped));
            assert_eq!(parse(&format!("{}0", value.expose())), Err(ApiKeyImportError::Checksum));
        }
        assert_eq!(parse("short"), Err(ApiKeyImportError::Shape));
        assert!(parse("a key of another system").is_ok());
    }
}
