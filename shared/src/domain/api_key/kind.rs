use std::str::FromStr;

/// The type of an API key. A write key does not read, and a read key does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyType {
    /// For the GET routes.
    Read,
    /// For the POST, PUT and DELETE routes.
    Write,
}

impl ApiKeyType {
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Returns the name in the `x-api-key-type` header, in the table and inside a key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Returns the prefix of keys that this system issues.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Read => "ud_read_",
            Self::Write => "ud_write_",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a type of API key (read or write)")]
pub struct MalformedApiKeyType;

impl FromStr for ApiKeyType {
    type Err = MalformedApiKeyType;

    fn from_str(name: &str) -> Result<Self, MalformedApiKeyType> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(MalformedApiKeyType)
    }
}
