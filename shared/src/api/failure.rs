use std::fmt::Display;

use crate::{
    auth::AuthError,
    domain::{KeyChangeRefused, NoRandomness},
    secrets::SecretsError,
    store::StoreError,
};

/// The rows of the contract's failure table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No valid credentials for this app.
    Unauthorized,
    /// The declared or the real type of the key is not the route's.
    WrongKeyType,
    /// The path's id, or a write's `Idempotency-Key`, key id or body, is malformed.
    BadRequest,
    /// Valid credentials, disabled app.
    AppDisabled,
    /// There is no such key of this app; for the JWKS, no such app.
    NotFound,
    /// The change is not allowed now, or a concurrent one won; nothing was changed.
    Conflict,
    /// Anything else.
    Internal,
}

impl FailureKind {
    /// All rows.
    pub const ALL: [Self; 7] = [
        Self::Unauthorized,
        Self::WrongKeyType,
        Self::BadRequest,
        Self::AppDisabled,
        Self::NotFound,
        Self::Conflict,
        Self::Internal,
    ];

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The code that callers and logs tell failures apart by.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// The message of the envelopes.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (401, "E4010", "Unauthorized Token or API key"),
            Self::WrongKeyType => (401, "E4011", "Unauthorized API key type"),
            Self::BadRequest => (400, "E4000", "Bad Request / validation error"),
            Self::AppDisabled => (403, "E4030", "App Is Disabled"),
            Self::NotFound => (404, "E4040", "Not Found"),
            Self::Conflict => (409, "E4090", "Conflict"),
            Self::Internal => (500, "E0000", "Internal Server Error"),
        }
    }
}

/// A request that fails: what the caller is told, and what the operator is.
#[derive(Debug)]
pub struct Failure {
    /// For the caller.
    pub kind: FailureKind,
    /// For the log alone, where there is more to say than the kind does.
    pub cause: Option<String>,
    /// What one app's data or load has to do with it.
    pub fault: Option<Fault>,
}

/// An internal failure that one app's data or load can bring about, so that no deployment is to blame for it. The log has its
/// name in the field `fault`, and the alarm that undoes a deployment passes such lines over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An item of the table can't be read; `doctor` finds it.
    CorruptItem,
    /// AWS throttles.
    Throttled,
}

impl Fault {
    /// The name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CorruptItem => "corrupt-item",
            Self::Throttled => "throttled",
        }
    }
}

impl Failure {
    /// A failure of which the log tells more than the caller is told.
    pub fn new(kind: FailureKind, cause: impl Display) -> Self {
        Self { kind, cause: Some(cause.to_string()), fault: None }
    }

    /// A failure whose cause only the log may tell.
    pub fn internal(cause: impl Display) -> Self {
        Self::new(FailureKind::Internal, cause)
    }

    /// The same, brought about by one app's data or load.
    pub fn fault(fault: Fault, cause: impl Display) -> Self {
        Self { fault: Some(fault), ..Self::internal(cause) }
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self { kind, cause: None, fault: None }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidCredentials(_) => FailureKind::Unauthorized.into(),
            AuthError::WrongType(_) => FailureKind::WrongKeyType.into(),
            AuthError::MalformedAppId => FailureKind::BadRequest.into(),
            AuthError::AppDisabled(_) => FailureKind::AppDisabled.into(),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::new(FailureKind::Conflict, error),
            StoreError::Contended | StoreError::Backend(_) | StoreError::NoTable { .. } => Self::internal(error),
            StoreError::Throttled(_) => Self::fault(Fault::Throttled, error),
            StoreError::Corrupt(_) => Self::fault(Fault::CorruptItem, error),
        }
    }
}

impl From<KeyChangeRefused> for Failure {
    fn from(refused: KeyChangeRefused) -> Self {
        let kind = match refused {
            KeyChangeRefused::NoSuchKey => FailureKind::NotFound,
            KeyChangeRefused::PublishedTooRecently | KeyChangeRefused::InUse | KeyChangeRefused::TooManyKeys => {
                FailureKind::Conflict
            }
        };
        Self::new(kind, refused)
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        Self::internal(error)
    }
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::TooManyVersions { .. } | SecretsError::TooManyNewVersions { .. } => {
                Self::new(FailureKind::Conflict, error)
            }
            SecretsError::Throttled { .. } => Self::fault(Fault::Throttled, error),
            SecretsError::NoText { .. } => Self::fault(Fault::CorruptItem, error),
            SecretsError::Backend { .. } | SecretsError::Missing { .. } | SecretsError::LabelMoved { .. } => {
                Self::internal(error)
            }
        }
    }
}
