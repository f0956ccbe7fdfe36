use std::{env, path::PathBuf};

use aws_credential_types::Credentials;

/// A variable of the environment without which the function can't start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// It has to be there.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// It may not be empty.
    #[error("the environment variable {0} is empty")]
    Empty(&'static str),
}

/// What the table and the secrets are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `TABLE_NAME`: the DynamoDB table.
    pub table: String,
    /// `SECRET_PREFIX`: what the names of all secrets begin with, without the slash that follows.
    pub secret_prefix: String,
}

/// What a function takes from its environment, besides its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The table and the secrets.
    pub names: Names,
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`; AWS's own where neither is set.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`; AWS's own where neither is set.
    pub secrets_manager_endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`: valid as long as the process lives. None if they are
    /// not set, or if `AWS_CONTAINER_CREDENTIALS_FULL_URI` is: an instance that is given an endpoint may outlive them.
    pub credentials: Option<Credentials>,
    /// `SECRETS_KMS_KEY_ID`: what new secrets are encrypted with. It alone may be empty, which is the same as not set: it is
    /// the template's optional parameter as it stands, because `sam local` passes what is left out as an empty text too.
    pub secrets_kms_key: Option<String>,
    /// `AWS_CA_BUNDLE`: a PEM file of certificates to trust besides Amazon's.
    pub ca_bundle: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names the first variable that is missing or empty.
    pub fn of_process() -> Result<Self, EnvironmentError> {
        Self::read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let optional = |name| match variable(name) {
            Some(value) if value.trim().is_empty() => Err(EnvironmentError::Empty(name)),
            value => Ok(value),
        };
        let required = |name| optional(name)?.ok_or(EnvironmentError::Missing(name));
        let endpoint = optional("AWS_ENDPOINT_URL")?;
        let endpoint_of_credentials = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").filter(|uri| !uri.is_empty());
        let credentials = match optional("AWS_ACCESS_KEY_ID")?.filter(|_| endpoint_of_credentials.is_none()) {
            Some(id) => {
                // `sam local` passes an empty one where its user's credentials have none.
                let token = variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty());
                Some(Credentials::new(id, required("AWS_SECRET_ACCESS_KEY")?, token, None, "environment"))
            }
            None => None,
        };
        Ok(Self {
            names: Names { table: required("TABLE_NAME")?, secret_prefix: required("SECRET_PREFIX")? },
            region: required("AWS_REGION")?,
            dynamodb_endpoint: optional("AWS_ENDPOINT_URL_DYNAMODB")?.or_else(|| endpoint.clone()),
            secrets_manager_endpoint: optional("AWS_ENDPOINT_URL_SECRETS_MANAGER")?.or(endpoint),
            credentials,
            secrets_kms_key: variable("SECRETS_KMS_KEY_ID").filter(|key| !key.is_empty()),
            ca_bundle: optional("AWS_CA_BUNDLE")?.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 3] =
        [("TABLE_NAME", "table"), ("SECRET_PREFIX", "prefix"), ("AWS_REGION", "eu-central-1")];

    fn read(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn names_what_is_missing_or_empty() {
        let environment = read(&COMPLETE).unwrap();
        assert_eq!(environment.names, Names { table: "table".to_owned(), secret_prefix: "prefix".to_owned() });
        for (index, (name, _)) in COMPLETE.iter().enumerate() {
            let mut variables = COMPLETE.to_vec();
            variables[index].1 = " ";
            assert_eq!(read(&variables), Err(EnvironmentError::Empty(name)));
            variables.remove(index);
            assert_eq!(read(&variables), Err(EnvironmentError::Missing(name)));
        }
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID"] {
            assert_eq!(read(&[&COMPLETE[..], &[(name, "")]].concat()), Err(EnvironmentError::Empty(name)));
        }
    }

    #[test]
    fn an_empty_kms_key_is_none() {
        for (value, key) in [("", None), ("alias/userdocks", Some("alias/userdocks"))] {
            let environment = read(&[&COMPLETE[..], &[("SECRETS_KMS_KEY_ID", value)]].concat()).unwrap();
            assert_eq!(environment.secrets_kms_key.as_deref(), key);
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
    fn a_services_own_endpoint_comes_before_that_of_all() {
        let endpoints = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb")];
        let environment = read(&[&COMPLETE[..], &endpoints].concat()).unwrap();
        assert_eq!(environment.dynamodb_endpoint.as_deref(), Some("http://dynamodb"));
        assert_eq!(environment.secrets_manager_endpoint.as_deref(), Some("http://all"));
    }
}
