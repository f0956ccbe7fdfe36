use userdocks::{
    domain::{
        ApiKeyChangeError, ApiKeyId, ApiKeyImportError, AppId, MalformedAllowList, NoRandomness, PublicKeyImportError,
        SigningKeyChangeRefused, SigningKeyId,
    },
    secrets::SecretsError,
    store::StoreError,
};

/// The cause of a failed command, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("cannot find the AWS region: it is not configured; set AWS_REGION, or use a profile that has a region")]
    NoRegion,
    /// The text is a whole message.
    #[error("{0}")]
    Setting(String),
    #[error("cannot read stack {stack}: {cause}")]
    Stack { stack: String, cause: String },
    #[error("cannot create the table: it already exists; use --if-not-exists to keep it")]
    TableExists,
    #[error("cannot find app {0}: it does not exist; `app list` shows all apps")]
    NoSuchApp(AppId),
    #[error("cannot create app {0}: it already exists; use --if-not-exists to show it")]
    AppExists(AppId),
    #[error("cannot create the API key: {0}")]
    NewApiKey(ApiKeyChangeError),
    #[error("cannot change API key {key} of app {app}: {cause}")]
    ApiKeyChange { app: AppId, key: ApiKeyId, cause: ApiKeyChangeError },
    #[error("cannot add the API key: app {0} already has it")]
    ApiKeyExists(AppId),
    #[error(
        "cannot add API key {key}: app {other} has an API key of this value, or only its index item, which `doctor \
         --repair` deletes"
    )]
    ApiKeyOfOtherApp { key: ApiKeyId, other: AppId },
    #[error("cannot look up the API key: {0}")]
    MalformedApiKey(ApiKeyImportError),
    #[error("cannot find the API key: no app has it; after an upgrade, run `doctor --repair` once to find older keys")]
    ApiKeyNotFound,
    #[error("cannot use the allow list: {0}")]
    AllowList(#[from] MalformedAllowList),
    #[error("cannot remove {0}: it is not on the allow list, which `api-key list` shows")]
    NotOnAllowList(String),
    #[error(
        "cannot remove the last network: an empty list accepts the key from any network; use --clear to allow that"
    )]
    LastNetwork,
    /// The message does not show the endpoint, which may hold a password.
    #[error("cannot use the endpoint in {setting}: {problem}")]
    Endpoint { setting: String, problem: String },
    /// The text is a whole message.
    #[error("{0}")]
    Input(String),
    #[error("cannot import line {0}: {1}; nothing was imported")]
    ImportLine(usize, String),
    #[error(
        "cannot import app {app} of line {line}: {cause}; use --if-not-exists to continue with the rest of the file"
    )]
    ImportApp { line: usize, app: AppId, cause: Box<AdminError> },
    #[error("cannot write standard output: {0}")]
    Output(String),
    #[error("cannot write standard output: its reader has closed it")]
    OutputClosed,
    #[error("cannot use the secret: it has {0} bytes, and 1 to 65536 are allowed")]
    SecretLength(usize),
    #[error("cannot change the secret: app {0} already has this value; nothing was changed")]
    SameSecret(AppId),
    #[error(
        "cannot withdraw a version of the secret: API keys in use fetched it last, {0}; nothing was changed; use a longer \
         overlap, wait until `secret status` shows `current`, or use --force"
    )]
    KeysLoseSecret(String),
    #[error("cannot import the API key: {0}")]
    Import(#[from] ApiKeyImportError),
    #[error("cannot import the public key: {0}")]
    PublicKey(#[from] PublicKeyImportError),
    #[error(
        "cannot import the public key: app {0} already has it as {1} ({2}); use `signing-key activate` to put it in use"
    )]
    PublicKeyExists(AppId, SigningKeyId, &'static str),
    #[error("cannot use the overlap: it is longer than 30 days")]
    OverlapTooLong,
    #[error("cannot change the signing key: {0}")]
    KeyChange(#[from] SigningKeyChangeRefused),
    #[error("cannot generate a random value: {0}")]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}
