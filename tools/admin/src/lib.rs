//! What `userdocks-admin` does, for its command line and for the local stack.
//! Every command that takes several steps leaves a whole app after a crash at any point, and can be run again; one that
//! makes something may then have made it twice.

pub mod api_key;
pub mod app;
pub mod doctor;
pub mod secret;
pub mod signing_key;
pub mod table;
pub mod transfer;

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{
        ApiKey, ApiKeyId, ApiKeyImportError, App, AppId, KeyChangeRefused, NoRandomness, PublicKeyImportError,
        SigningKey, SigningKeyId, Timestamp,
    },
    secrets::SecretsError,
    store::{AppSummary, StoreError},
};

/// What a command answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One JSON object.
    pub value: Value,
    /// What could not be answered; for standard error, and a reason for exit code 1.
    pub problems: Vec<String>,
}

/// Shows rows of a listing as they are found, so that it need not fit into memory.
pub type Show<'a> = &'a mut dyn FnMut(Vec<Value>) -> Result<(), AdminError>;

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self { value, problems: Vec::new() }
    }
}

/// Why a command failed, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The SDK found no region.
    #[error("no AWS region is configured: set AWS_REGION or choose a profile that has one")]
    NoRegion,
    /// A setting of AWS's tools can't be used; which, and why.
    #[error("{0}")]
    Setting(String),
    /// The CloudFormation stack can't be read.
    #[error("cannot read stack {stack}: {cause}")]
    Stack {
        /// Its name.
        stack: String,
        /// Why.
        cause: String,
    },
    /// The table is there already.
    #[error("the table is there already; --if-not-exists leaves it as it is")]
    TableExists,
    /// There is no app of that id.
    #[error("there is no app {0}")]
    NoSuchApp(AppId),
    /// There is an app of that id.
    #[error("there is an app {0} already; --if-not-exists shows it as it is")]
    AppExists(AppId),
    /// The app has no API key of that id.
    #[error("app {0} has no API key {1}")]
    NoSuchApiKey(AppId, ApiKeyId),
    /// The id does not name one API key.
    #[error("app {0} has several API keys of the id {1}; `api-key revoke` revokes all of them")]
    AmbiguousApiKey(AppId, ApiKeyId),
    /// A variable or the AWS configuration names a malformed endpoint.
    #[error("cannot use the endpoint in {setting}: {problem}")]
    Endpoint {
        /// Where it is set.
        setting: String,
        /// What is wrong with it, without its value.
        problem: String,
    },
    /// The app has this very API key, or is just being changed.
    #[error("app {0} has this API key already")]
    ApiKeyExists(AppId),
    /// Standard input or a file could not be read; which, and why.
    #[error("{0}")]
    Input(String),
    /// A line of a file can't be imported.
    #[error("line {0}: {1}; nothing was imported")]
    ImportLine(usize, String),
    /// An app of a file could not be created.
    #[error("cannot import app {app} of line {line}: {cause}; --if-not-exists goes on from here")]
    ImportApp {
        /// The line of the file.
        line: usize,
        /// The app.
        app: AppId,
        /// What failed.
        cause: Box<AdminError>,
    },
    /// Standard output could not be written.
    #[error("standard output: {0}")]
    Output(String),
    /// Whoever read standard output reads no more.
    #[error("standard output: its reader is gone")]
    OutputClosed,
    /// The value for the secret can't be one.
    #[error("a secret has 1 to 65536 bytes; standard input had {0}")]
    SecretLength(usize),
    /// The secret has this value.
    #[error("app {0} has this secret already; nothing was changed")]
    SameSecret(AppId),
    /// The API key can't be taken in.
    #[error("cannot import the API key: {0}")]
    Import(#[from] ApiKeyImportError),
    /// The public key can't be taken in.
    #[error("cannot import the public key: {0}")]
    PublicKey(#[from] PublicKeyImportError),
    /// The app has this public key.
    #[error("app {0} has this public key already: {1} is {2}; `signing-key activate` puts it in use")]
    PublicKeyExists(AppId, SigningKeyId, &'static str),
    /// The overlap is longer than the contract allows.
    #[error("an overlap is 30 days at most")]
    OverlapTooLong,
    /// The API key can't be rotated.
    #[error("API key {0} is {1}: issue a new one")]
    ApiKeyNotActive(ApiKeyId, &'static str),
    /// The signing key can't be changed so.
    #[error(transparent)]
    KeyChange(#[from] KeyChangeRefused),
    /// Nothing can be issued.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Secrets Manager failed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

async fn find_app(services: &Services, id: AppId) -> Result<App, AdminError> {
    services.store.find_app(id).await?.ok_or(AdminError::NoSuchApp(id))
}

fn app_json(app: &App) -> Value {
    let App { id, is_disabled, created_at, updated_at, .. } = *app;
    app_summary_json(&AppSummary { id, name: app.name.clone(), is_disabled, created_at, updated_at })
}

fn app_summary_json(app: &AppSummary) -> Value {
    json!({
        "uuid": app.id.to_string(),
        "name": app.name,
        "isDisabled": app.is_disabled,
        "createdAt": app.created_at.to_string(),
        "updatedAt": app.updated_at.to_string(),
    })
}

fn secret_json(app: &App, now: Timestamp) -> Value {
    let previous = app.previous_secret(now);
    json!({
        "versionId": app.secret_version_id.to_string(),
        "previousVersionId": previous.map(|previous| previous.version_id.to_string()),
        "previousExpiresAt": previous.map(|previous| previous.expires_at.to_string()),
    })
}

fn signing_key_json(key: &SigningKey) -> Value {
    json!({
        "uuid": key.id.to_string(),
        "state": key.state.name(),
        "createdAt": key.created_at.to_string(),
        "updatedAt": key.updated_at.to_string(),
    })
}

fn api_key_json(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "uuid": key.id.to_string(),
        "name": key.name,
        "type": key.kind.name(),
        "hint": key.hint,
        "status": key.status(now).name(),
        "createdAt": key.created_at.to_string(),
        "expiresAt": key.expires_at.map(|moment| moment.to_string()),
        "revokedAt": key.revoked_at.map(|moment| moment.to_string()),
        "lastUsedAt": key.last_used_at.map(|moment| moment.to_string()),
    })
}
