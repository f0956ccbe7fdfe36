use crate::{
    aws::{DynamoDb, Resources, SecretsManager},
    secrets::Secrets,
    store::Store,
};

/// The services that handlers use; created once per process.
#[derive(Debug)]
pub struct Services {
    pub store: Store,
    pub secrets: Secrets,
}

impl Services {
    #[must_use]
    pub fn new(dynamodb: DynamoDb, secrets_manager: SecretsManager, resources: Resources) -> Self {
        let Resources { table, secret_prefix, secrets_kms_key } = resources;
        Self {
            store: Store::new(dynamodb, table),
            secrets: Secrets::new(secrets_manager, &secret_prefix, secrets_kms_key),
        }
    }

    /// Returns services of which every call gets one of these responses: see [`DynamoDb::rehearsal`].
    pub(crate) fn rehearsal(&self, records: &'static str, secret: &'static str) -> Self {
        Self { store: self.store.rehearsal(records), secrets: self.secrets.rehearsal(secret) }
    }
}
