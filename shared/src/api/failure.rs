use std::fmt::Display;

use crate::{
    auth::AuthError,
    domain::{ApiKeyChangeError, MalformedApiKeyRequest, NoRandomness, SigningKeyChangeRefused},
    http::{MalformedBody, MalformedParameter, StatusCode},
    secrets::SecretsError,
    store::StoreError,
};

/// A row of the contract's failure table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    Unauthorized,
    WrongKeyType,
    BadRequest,
    AppDisabled,
    NotFound,
    Conflict,
    Internal,
}

impl FailureKind {
    pub const ALL: [Self; 7] = [
        Self::Unauthorized,
        Self::WrongKeyType,
        Self::BadRequest,
        Self::AppDisabled,
        Self::NotFound,
        Self::Conflict,
        Self::Internal,
    ];

    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// Returns the contract's code, such as `E4010`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().1
    }

    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "E4010", "Unauthorized Token or API key"),
            Self::WrongKeyType => (StatusCode::UNAUTHORIZED, "E4011", "Unauthorized API key type"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "E4000", "Bad Request / validation error"),
            Self::AppDisabled => (StatusCode::FORBIDDEN, "E4030", "App Is Disabled"),
            Self::NotFound => (StatusCode::NOT_FOUND, "E4040", "Not Found"),
            Self::Conflict => (StatusCode::CONFLICT, "E4090", "Conflict"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "E0000", "Internal Server Error"),
        }
    }
}

#[derive(Debug)]
pub struct Failure {
    /// For the caller.
    pub kind: FailureKind,
    /// For the log only; `None` if the kind is enough.
    pub cause: Option<String>,
    pub fault: Option<Fault>,
}

/// An internal failure that one app's data or load can cause, so the deployment is not to blame. The log shows it in
/// the field `fault`, and the alarm that rolls back a deployment does not count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A record or a secret is unreadable; `doctor` reports corrupt records.
    CorruptItem,
    Throttled,
}

impl Fault {
    /// Returns the name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CorruptItem => "corrupt-item",
            Self::Throttled => "throttled",
        }
    }
}

impl Failure {
    pub fn new(kind: FailureKind, cause: impl Display) -> Self {
        Self { kind, cause: Some(cause.to_string()), fault: None }
    }

    pub fn internal(cause: impl Display) -> Self {
        Self::new(FailureKind::Internal, cause)
    }

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
            AuthError::Browser(_) | AuthError::AddressNotAllowed(_) => Self::new(FailureKind::Unauthorized, error),
            AuthError::InvalidCredentials(_) => FailureKind::Unauthorized.into(),
            AuthError::WrongType(_) => FailureKind::WrongKeyType.into(),
            AuthError::MalformedAppId | AuthError::MalformedIdempotencyKey(_) => FailureKind::BadRequest.into(),
            AuthError::AppDisabled(_) => FailureKind::AppDisabled.into(),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<MalformedBody> for Failure {
    fn from(_: MalformedBody) -> Self {
        FailureKind::BadRequest.into()
    }
}

impl From<MalformedParameter> for Failure {
    fn from(_: MalformedParameter) -> Self {
        FailureKind::BadRequest.into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::new(FailureKind::Conflict, error),
            StoreError::Contended
            | StoreError::Failed(_)
            | StoreError::NoTable { .. }
            | StoreError::VersionNotIncremented => Self::internal(error),
            StoreError::Throttled(_) => Self::fault(Fault::Throttled, error),
            StoreError::Corrupt(_) => Self::fault(Fault::CorruptItem, error),
        }
    }
}

impl From<SigningKeyChangeRefused> for Failure {
    fn from(refused: SigningKeyChangeRefused) -> Self {
        let kind = match refused {
            SigningKeyChangeRefused::NoSuchKey => FailureKind::NotFound,
            SigningKeyChangeRefused::PublishedTooRecently
            | SigningKeyChangeRefused::InUse
            | SigningKeyChangeRefused::TooManyKeys => FailureKind::Conflict,
        };
        Self::new(kind, refused)
    }
}

impl From<ApiKeyChangeError> for Failure {
    fn from(error: ApiKeyChangeError) -> Self {
        let kind = match error {
            ApiKeyChangeError::TypeMismatch => FailureKind::BadRequest,
            ApiKeyChangeError::NoSuchKey => FailureKind::NotFound,
            ApiKeyChangeError::Refused(_) => FailureKind::Conflict,
            ApiKeyChangeError::NoRandomness(_) => FailureKind::Internal,
        };
        Self::new(kind, error)
    }
}

impl From<MalformedApiKeyRequest> for Failure {
    fn from(error: MalformedApiKeyRequest) -> Self {
        Self::new(FailureKind::BadRequest, error)
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
            SecretsError::Failed { .. } | SecretsError::Missing { .. } | SecretsError::LabelMoved { .. } => {
                Self::internal(error)
            }
        }
    }
}
