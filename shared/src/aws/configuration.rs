use std::{env, ffi::OsString, path::PathBuf};

use aws_credential_types::Credentials;

use super::endpoint::{Endpoint, MalformedEndpoint};
use crate::domain::{MalformedSecretPrefix, SecretPrefix};

/// A missing or unusable environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    #[error("the environment variable {0} is empty")]
    Empty(&'static str),
    #[error("the environment variable {0} is not valid UTF-8")]
    NotUnicode(&'static str),
    #[error("the environment variable {0} is not an endpoint: {1}")]
    Endpoint(&'static str, MalformedEndpoint),
    /// Anyone on the network could read the session token and use it to act as the function.
    #[error(
        "the environment variable {0} is an http:// endpoint, which may not receive session credentials; use https://"
    )]
    Unencrypted(&'static str),
    #[error("the environment variable SECRET_PREFIX is not valid: {0}")]
    SecretPrefix(#[from] MalformedSecretPrefix),
}

/// The table and the secrets that functions and commands work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// `TABLE_NAME`
    pub table: String,
    /// `SECRET_PREFIX`: the beginning of all secrets' names, without the slash that follows.
    pub secret_prefix: SecretPrefix,
    /// `SECRETS_KMS_KEY_ID`: the KMS key of new secrets (ARN, id or alias); Secrets Manager's own if empty or not set.
    ///
    /// It is the template's optional parameter, which `sam local` passes as an empty text if it is left out.
    pub secrets_kms_key: Option<String>,
}

/// Everything that a function reads from its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub resources: Resources,
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`, else AWS's own.
    pub dynamodb_endpoint: Option<Endpoint>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`, else AWS's own.
    pub secrets_manager_endpoint: Option<Endpoint>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, which stay valid as long as the process
    /// lives.
    ///
    /// `None` if they are not set, or if `AWS_CONTAINER_CREDENTIALS_FULL_URI` is: the instance may then outlive them.
    pub credentials: Option<Credentials>,
    /// `AWS_CA_BUNDLE`: a PEM file of certificates to trust besides Amazon's.
    pub ca_bundle: Option<PathBuf>,
}

impl Configuration {
    /// Reads the process's environment. The error names the first variable that is missing or not usable.
    pub fn from_environment() -> Result<Self, ConfigurationError> {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigurationError> {
        let text = |name| {
            variable(name)
                .map(|value| value.into_string().map_err(|_| ConfigurationError::NotUnicode(name)))
                .transpose()
        };
        let optional = |name| match text(name)? {
            Some(value) if value.trim().is_empty() => Err(ConfigurationError::Empty(name)),
            value => Ok(value),
        };
        let required = |name| optional(name)?.ok_or(ConfigurationError::Missing(name));
        // `sam local` passes an empty token if its user's credentials have none.
        let token = text("AWS_SESSION_TOKEN")?.filter(|token| !token.is_empty());
        let endpoint_of_credentials = text("AWS_CONTAINER_CREDENTIALS_FULL_URI")?.filter(|uri| !uri.is_empty());
        let has_session = token.is_some() || endpoint_of_credentials.is_some();
        // `sam local` also passes its user's session token, to an emulator on the same machine.
        let is_local = text("AWS_SAM_LOCAL")?.as_deref() == Some("true");
        let endpoint = |name| {
            let Some(value) = optional(name)? else { return Ok(None) };
            match value.parse::<Endpoint>() {
                Ok(endpoint) if has_session && !is_local && !endpoint.is_confidential() => {
                    Err(ConfigurationError::Unencrypted(name))
                }
                Ok(endpoint) => Ok(Some(endpoint)),
                Err(error) => Err(ConfigurationError::Endpoint(name, error)),
            }
        };
        let common_endpoint = endpoint("AWS_ENDPOINT_URL")?;
        let credentials = match optional("AWS_ACCESS_KEY_ID")?.filter(|_| endpoint_of_credentials.is_none()) {
            Some(id) => Some(Credentials::new(id, required("AWS_SECRET_ACCESS_KEY")?, token, None, "environment")),
            None => None,
        };
        Ok(Self {
            resources: Resources {
                table: required("TABLE_NAME")?,
                secret_prefix: required("SECRET_PREFIX")?.parse()?,
                secrets_kms_key: text("SECRETS_KMS_KEY_ID")?.filter(|key| !key.is_empty()),
            },
            region: required("AWS_REGION")?,
            dynamodb_endpoint: endpoint("AWS_ENDPOINT_URL_DYNAMODB")?.or_else(|| common_endpoint.clone()),
            secrets_manager_endpoint: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER")?.or(common_endpoint),
            credentials,
            ca_bundle: optional("AWS_CA_BUNDLE")?.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 3] =
        [("TABLE_NAME", "table"), ("SECRET_PREFIX", "prefix"), ("AWS_REGION", "eu-central-1")];

    fn read(variables: &[(&str, &str)]) -> Result<Configuration, ConfigurationError> {
        Configuration::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
        })
    }

    #[test]
    fn missing_or_empty_variable_is_named() {
        let configuration = read(&COMPLETE).unwrap();
        let Resources { table, secret_prefix, secrets_kms_key } = configuration.resources;
        assert_eq!((table.as_str(), secret_prefix.as_str(), secrets_kms_key), ("table", "prefix", None));
        for (index, (name, _)) in COMPLETE.iter().enumerate() {
            let mut variables = COMPLETE.to_vec();
            variables[index].1 = " ";
            assert_eq!(read(&variables), Err(ConfigurationError::Empty(name)));
            variables.remove(index);
            assert_eq!(read(&variables), Err(ConfigurationError::Missing(name)));
        }
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID"] {
            assert_eq!(read(&[&COMPLETE[..], &[(name, "")]].concat()), Err(ConfigurationError::Empty(name)));
        }
    }

    #[test]
    fn secret_prefix_with_trailing_slash_is_rejected() {
        let mut variables = COMPLETE.to_vec();
        variables[1].1 = "userdocks/local/";
        assert_eq!(read(&variables), Err(MalformedSecretPrefix::Slash.into()));
    }

    #[test]
    fn empty_kms_key_is_none() {
        for (value, key) in [("", None), ("alias/userdocks", Some("alias/userdocks"))] {
            let configuration = read(&[&COMPLETE[..], &[("SECRETS_KMS_KEY_ID", value)]].concat()).unwrap();
            assert_eq!(configuration.resources.secrets_kms_key.as_deref(), key);
        }
    }

    #[test]
    fn credentials_endpoint_comes_before_credentials() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        for (uri, reads_keys) in [("", true), ("http://127.0.0.1/credentials", false)] {
            let variables = [&COMPLETE[..], &keys, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]].concat();
            assert_eq!(read(&variables).unwrap().credentials.is_some(), reads_keys, "{uri}");
        }
    }

    #[test]
    fn endpoint_of_service_comes_before_common_one() {
        let endpoints = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb")];
        let configuration = read(&[&COMPLETE[..], &endpoints].concat()).unwrap();
        assert_eq!(configuration.dynamodb_endpoint, "http://dynamodb".parse().ok());
        assert_eq!(configuration.secrets_manager_endpoint, "http://all".parse().ok());
    }

    const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];

    #[test]
    fn malformed_endpoint_is_named() {
        for name in ENDPOINTS {
            let read = read(&[&COMPLETE[..], &[(name, "127.0.0.1:8001")]].concat());
            assert_eq!(read, Err(ConfigurationError::Endpoint(name, MalformedEndpoint::NotUrl)));
        }
    }

    #[test]
    fn http_endpoint_with_session_token_is_rejected() {
        let token = ("AWS_SESSION_TOKEN", "token");
        for name in ENDPOINTS {
            let read = |endpoint, others: &[(&str, &str)]| {
                read(&[&COMPLETE[..], &[(name, endpoint)], others].concat()).map(drop)
            };
            let rejected = Err(ConfigurationError::Unencrypted(name));
            assert_eq!(read("http://x", &[token]), rejected);
            assert_eq!(read("http://x", &[token, ("AWS_SAM_LOCAL", "false")]), rejected);
            assert_eq!(read("http://x", &[token, ("AWS_SAM_LOCAL", "true")]), Ok(()));
            assert_eq!(read("https://x", &[token]), Ok(()));
            assert_eq!(read("http://x", &[]), Ok(()));
            assert_eq!(read("http://x", &[("AWS_SESSION_TOKEN", "")]), Ok(()));
        }
    }
}
