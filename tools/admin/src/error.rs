use userdocks::{
    domain::{
        ApiKeyChangeError, ApiKeyId, ApiKeyImportError, AppId, MalformedAllowList, NoRandomness, PublicKeyImportError,
        SigningKeyChangeRefused, SigningKeyId,
    },
    secrets::SecretsError,
    store::StoreError,
};

/// Why a command failed, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("no AWS region is configured: set AWS_REGION or choose a profile that has one")]
    NoRegion,
    /// The text names the setting and the problem.
    #[error("{0}")]
    Setting(String),
    #[error("cannot read stack {stack}: {cause}")]
    Stack { stack: String, cause: String },
    #[error("the table is there already; --if-not-exists leaves it as it is")]
    TableExists,
    #[error("there is no app {0}")]
    NoSuchApp(AppId),
    #[error("there is an app {0} already; --if-not-exists shows it as it is")]
    AppExists(AppId),
    #[error("cannot create the API key: {0}")]
    NewApiKey(ApiKeyChangeError),
    #[error("cannot change API key {key} of app {app}: {cause}")]
    ApiKeyChange { app: AppId, key: ApiKeyId, cause: ApiKeyChangeError },
    #[error("app {0} has this API key already")]
    ApiKeyExists(AppId),
    #[error(
        "cannot add API key {key}: app {other} has an API key of this value, or left its index item behind, which \
         `doctor --repair` deletes"
    )]
    ApiKeyOfOtherApp { key: ApiKeyId, other: AppId },
    #[error("cannot look up the API key: {0}")]
    MalformedApiKey(ApiKeyImportError),
    #[error(
        "no app has an API key of this value; keys from before the upgrade are found only after `doctor --repair` has run"
    )]
    ApiKeyNotFound,
    #[error("cannot use the allow list: {0}")]
    AllowList(#[from] MalformedAllowList),
    #[error("cannot remove {0}: it is not on the allow list")]
    NotOnAllowList(String),
    #[error("cannot remove the last network: the key would be accepted from everywhere, which takes --clear")]
    LastNetwork,
    /// The problem does not show the endpoint, which may hold a password.
    #[error("cannot use the endpoint in {setting}: {problem}")]
    Endpoint { setting: String, problem: String },
    /// The text names the input and the problem.
    #[error("{0}")]
    Input(String),
    #[error("line {0}: {1}; nothing was imported")]
    ImportLine(usize, String),
    #[error("cannot import app {app} of line {line}: {cause}; --if-not-exists goes on from here")]
    ImportApp { line: usize, app: AppId, cause: Box<AdminError> },
    #[error("standard output: {0}")]
    Output(String),
    #[error("standard output: its reader is gone")]
    OutputClosed,
    #[error("a secret has 1 to 65536 bytes; standard input had {0}")]
    SecretLength(usize),
    #[error("app {0} has this secret already; nothing was changed")]
    SameSecret(AppId),
    #[error(
        "these API keys fetched last, within 7 days, a version of the secret that would no longer be returned: {0}; nothing \
         was changed; use a longer overlap, wait until `secret status` shows `current`, or use --force"
    )]
    KeysLoseSecret(String),
    #[error("cannot import the API key: {0}")]
    Import(#[from] ApiKeyImportError),
    #[error("cannot import the public key: {0}")]
    PublicKey(#[from] PublicKeyImportError),
    #[error("app {0} has this public key already: {1} is {2}; `signing-key activate` puts it in use")]
    PublicKeyExists(AppId, SigningKeyId, &'static str),
    #[error("an overlap is 30 days at most")]
    OverlapTooLong,
    #[error(transparent)]
    KeyChange(#[from] SigningKeyChangeRefused),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}
