use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};

use super::{Store, error::StoreError, item};
use crate::aws::send;

impl Store {
    /// Creates the table, for emulators; on AWS the stack creates it. Returns `false` if it exists already.
    pub async fn create_table(&self) -> Result<bool, StoreError> {
        let mut request =
            self.dynamodb.client().create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (attribute, key_type) in [(item::PK, KeyType::Hash), (item::SK, KeyType::Range)] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S)
                .build()?;
            let element = KeySchemaElement::builder().attribute_name(attribute).key_type(key_type).build()?;
            request = request.attribute_definitions(definition).key_schema(element);
        }
        match send(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.code.as_deref() == Some("ResourceInUseException") => Ok(false),
            Err(error) => Err(self.to_store_error(error)),
        }
    }
}
