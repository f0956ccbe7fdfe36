use std::{fmt, str::FromStr};

use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct MalformedId(&'static str);

/// Parses a UUID in the contract's form: 36 characters with hyphens (RFC 9562, section 4), in either case.
fn parse_hyphenated(text: &str) -> Option<Uuid> {
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::try_parse(text).ok()).flatten()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                text.strip_prefix($prefix)
                    .and_then(parse_hyphenated)
                    .map(Self)
                    .ok_or(MalformedId($expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id! {
    /// An app's id: a bare UUID, shown in lower case.
    AppId, "", "a UUID"
}
id! {
    /// A signing key's id: `appkey_<uuid>`.
    SigningKeyId, "appkey_", "a signing key's id (appkey_<uuid>)"
}
id! {
    /// An API key's id, which is not its value: `apikey_<uuid>`.
    ApiKeyId, "apikey_", "an API key's id (apikey_<uuid>)"
}
id! {
    /// The version id of an app's secret in Secrets Manager. It is also the `ClientRequestToken` that created the
    /// version.
    SecretVersionId, "", "a secret version's id (a UUID)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_id_is_hyphenated_uuid_in_either_case() {
        let id: AppId = "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE".parse().unwrap();
        assert_eq!(id.to_string(), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
        for malformed in [
            "",
            "aaaaaaaabbbb4ccc8dddeeeeeeeeeeee",
            "{aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee}",
            "urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
            "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeeg",
            " aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeee",
            "ééééééééé-bbbb-4ccc-8ddd-eee",
        ] {
            assert!(malformed.parse::<AppId>().is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn prefixed_id_without_prefix_is_rejected() {
        let id = SigningKeyId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<ApiKeyId>().is_err());
        assert!(id.to_string()["appkey_".len()..].parse::<SigningKeyId>().is_err());
    }
}
