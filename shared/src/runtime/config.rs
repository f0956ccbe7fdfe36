use std::env;

/// A variable of the environment without which the function can't start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It has to be there.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// It may not be empty.
    #[error("the environment variable {0} is empty")]
    Empty(&'static str),
}

/// What a function takes from its environment, besides the SDK's own `AWS_*` variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table.
    pub table: String,
    /// `SECRET_PREFIX`: what the names of all secrets begin with, without the slash that follows.
    pub secret_prefix: String,
}

impl Config {
    /// Variables that the SDK would panic about when they are empty, rather than take as not set.
    const NEVER_EMPTY: [&str; 3] =
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];

    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names the first variable that is missing or empty.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let required = |name| match variable(name) {
            None => Err(ConfigError::Missing(name)),
            Some(value) if value.trim().is_empty() => Err(ConfigError::Empty(name)),
            Some(value) => Ok(value),
        };
        let config = Self { table: required("TABLE_NAME")?, secret_prefix: required("SECRET_PREFIX")? };
        required("AWS_REGION")?;
        match Self::NEVER_EMPTY.into_iter().find(|name| variable(name).is_some_and(|value| value.is_empty())) {
            Some(name) => Err(ConfigError::Empty(name)),
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing_or_empty() {
        let complete = [("TABLE_NAME", "table"), ("SECRET_PREFIX", "prefix"), ("AWS_REGION", "eu-central-1")];
        let read = |variables: &[(&str, &str)]| {
            Config::read(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let config = Config { table: "table".to_owned(), secret_prefix: "prefix".to_owned() };
        assert_eq!(read(&complete), Ok(config));
        for (index, (name, _)) in complete.iter().enumerate() {
            let mut variables = complete.to_vec();
            variables[index].1 = " ";
            assert_eq!(read(&variables), Err(ConfigError::Empty(name)));
            variables.remove(index);
            assert_eq!(read(&variables), Err(ConfigError::Missing(name)));
        }
        let with_empty_endpoint = [&complete[..], &[("AWS_ENDPOINT_URL_DYNAMODB", "")]].concat();
        assert_eq!(read(&with_empty_endpoint), Err(ConfigError::Empty("AWS_ENDPOINT_URL_DYNAMODB")));
    }
}
