//! The apps of `events/apps.json`, which the fixtures in `events/` use. Their ids and keys are fixed and recognisable as test
//! data.

use aws_sdk_dynamodb::{Client, error::DisplayErrorContext, types::AttributeValue};
use serde::Deserialize;
use userdocks::{
    api::Services,
    domain::{
        AllowList, ApiKey, ApiKeyType, ApiKeyValue, App, PublicKey, Secret, SecretVersionId, SigningKey, SigningKeys,
        Timestamp,
    },
    store::StoreError,
};

use crate::LocalError;

const APPS: &str = include_str!("../../../events/apps.json");

/// The version of its secret that each app pins.
pub const SECRET_VERSION: &str = "66666666-6666-4666-8666-666666666666";
const CREATED: &str = "2026-01-01T00:00:00.000Z";

type AnyError = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FixtureApp {
    uuid: String,
    name: String,
    #[serde(default)]
    is_disabled: bool,
    /// `None` if the version that the app pins does not exist.
    secret: Option<String>,
    api_keys: Vec<FixtureApiKey>,
    signing_keys: Vec<FixtureSigningKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FixtureApiKey {
    uuid: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    value: String,
    created_at: Option<String>,
    revoked_at: Option<String>,
    expires_at: Option<String>,
    issued_by: Option<String>,
    #[serde(default)]
    allowed_cidrs: Vec<String>,
    /// If set, the key's record lacks an attribute.
    #[serde(default)]
    is_corrupt: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FixtureSigningKey {
    uuid: String,
    state: String,
    public_key: String,
    created_at: String,
    updated_at: String,
}

/// Creates the fixtures' apps if they do not exist.
///
/// # Errors
/// A service fails, or `events/apps.json` is malformed.
pub async fn provision(services: &Services, dynamodb: &Client, table: &str) -> Result<(), LocalError> {
    let apps: Vec<FixtureApp> =
        serde_json::from_str(APPS).map_err(|error| LocalError::new("cannot read events/apps.json", error))?;
    for fixture in &apps {
        let created = create(fixture, services, dynamodb, table).await;
        created.map_err(|error| LocalError::new(format_args!("cannot create app {}", fixture.uuid), error))?;
    }
    Ok(())
}

async fn create(fixture: &FixtureApp, services: &Services, dynamodb: &Client, table: &str) -> Result<(), AnyError> {
    let (app, keys) = (fixture.app()?, fixture.api_keys()?);
    if let Some(secret) = &fixture.secret {
        let secret = Secret::from(secret.clone());
        services.secrets.create_app_secret(app.id, app.secret_version_id, &secret).await?;
    }
    match services.store.create_app(&app, &keys).await {
        Ok(()) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    for (_, key) in fixture.api_keys.iter().zip(&keys).filter(|(fixture, _)| fixture.is_corrupt) {
        let update = dynamodb
            .update_item()
            .table_name(table)
            .key("pk", AttributeValue::S(format!("APP#{}", app.id)))
            .key("sk", AttributeValue::S(format!("APIKEY#{}", key.hash.as_str())))
            .update_expression("REMOVE #type")
            .expression_attribute_names("#type", "type");
        update.send().await.map_err(|error| DisplayErrorContext(error).to_string())?;
    }
    Ok(())
}

impl FixtureApp {
    fn app(&self) -> Result<App, AnyError> {
        let version: SecretVersionId = SECRET_VERSION.parse()?;
        let keys = self.signing_keys.iter().map(FixtureSigningKey::signing_key).collect::<Result<_, AnyError>>()?;
        let keys = SigningKeys::new(keys).map_err(|error| error.to_string())?;
        let app = App::new(self.uuid.parse()?, self.name.clone(), version, keys, CREATED.parse()?);
        Ok(App { is_disabled: self.is_disabled, ..app })
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, AnyError> {
        self.api_keys.iter().map(FixtureApiKey::api_key).collect()
    }
}

impl FixtureApiKey {
    fn api_key(&self) -> Result<ApiKey, AnyError> {
        let kind: ApiKeyType = self.kind.parse().map_err(|_| "unknown type of an API key")?;
        let value = ApiKeyValue::import(&self.value, kind)?;
        let created_at: Timestamp = self.created_at.as_deref().unwrap_or(CREATED).parse()?;
        let time = |time: &Option<String>| time.as_deref().map(str::parse).transpose();
        let expires_at = time(&self.expires_at)?;
        Ok(ApiKey {
            id: self.uuid.parse()?,
            revoked_at: time(&self.revoked_at)?,
            expires_at,
            lifetime: ApiKey::implied_lifetime(created_at, expires_at),
            issued_by: self.issued_by.as_deref().map(str::parse).transpose()?,
            allow_list: AllowList::parse(&self.allowed_cidrs)?,
            ..ApiKey::new(&value, kind, self.name.clone(), created_at, None)
        })
    }
}

impl FixtureSigningKey {
    fn signing_key(&self) -> Result<SigningKey, AnyError> {
        Ok(SigningKey {
            id: self.uuid.parse()?,
            state: self.state.parse()?,
            public_key: PublicKey::from_stored(self.public_key.clone())?,
            is_imported: true,
            created_at: self.created_at.parse()?,
            updated_at: self.updated_at.parse()?,
        })
    }
}
