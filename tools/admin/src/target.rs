//! The table, secrets and KMS key that a command uses.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::Output,
};
use userdocks::{
    aws::Resources,
    domain::{MalformedSecretPrefix, SecretPrefix},
};
use userdocks_admin::AdminError;

use crate::arguments::ResourceFlags as Flags;

/// The names from flags and environment. Flags win over the stack of `--stack`, which wins over the environment. The
/// environment names either a stack, or table, prefix and key, so that resources of two stages are never mixed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Target {
    table: Option<String>,
    secret_prefix: Option<SecretPrefix>,
    kms_key: Option<String>,
    stack: Option<String>,
}

/// The reason why flags and environment do not name the resources.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("cannot find the {0}: give --stack NAME (USERDOCKS_STACK), or {1}")]
    Missing(&'static str, &'static str),
    #[error("cannot use {0} together with USERDOCKS_STACK: unset one of them, or give --stack NAME")]
    TwoSources(&'static str),
    #[error("cannot use SECRET_PREFIX: {0}")]
    SecretPrefix(#[from] MalformedSecretPrefix),
}

impl Target {
    /// Reads flags and environment.
    pub fn new(flags: Flags, variable: impl Fn(&str) -> Option<String>) -> Result<Self, TargetError> {
        let Flags { stack, table, secret_prefix, kms_key } = flags;
        if stack.is_some() {
            return Ok(Self { table, secret_prefix, kms_key, stack });
        }
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let stack = variable("USERDOCKS_STACK").filter(|_| table.is_none() || secret_prefix.is_none());
        if stack.is_some() {
            let names = ["TABLE_NAME", "SECRET_PREFIX", "SECRETS_KMS_KEY_ID"];
            return match names.into_iter().find(|name| variable(name).is_some()) {
                Some(name) => Err(TargetError::TwoSources(name)),
                None => Ok(Self { table, secret_prefix, kms_key, stack }),
            };
        }
        let table = table.or_else(|| variable("TABLE_NAME"));
        let secret_prefix = match secret_prefix {
            None => variable("SECRET_PREFIX").map(|prefix| prefix.parse()).transpose()?,
            given => given,
        };
        let kms_key = kms_key.or_else(|| variable("SECRETS_KMS_KEY_ID"));
        match (&table, &secret_prefix) {
            (None, _) => Err(TargetError::Missing("table", "--table NAME (TABLE_NAME)")),
            (_, None) => Err(TargetError::Missing("secrets", "--secret-prefix PREFIX (SECRET_PREFIX)")),
            _ => Ok(Self { table, secret_prefix, kms_key, stack }),
        }
    }

    /// Returns the names and the KMS key. Reads missing ones from the stack's outputs.
    pub async fn resolve(self, sdk: &SdkConfig) -> Result<Resources, AdminError> {
        let Self { table, secret_prefix, kms_key, stack } = self;
        let stack = stack.unwrap_or_default();
        let failed = |cause: String| AdminError::Stack { stack: stack.clone(), cause };
        let outputs = if stack.is_empty() { Vec::new() } else { outputs(sdk, &stack).await.map_err(failed)? };
        let output = |name: &str| {
            let output = outputs.iter().find(|output| output.output_key() == Some(name));
            output.and_then(Output::output_value).map(str::to_owned)
        };
        let required = |name| output(name).ok_or_else(|| failed(format!("it has no output {name}")));
        let table = table.map_or_else(|| required("TableName"), Ok)?;
        let secret_prefix = match secret_prefix {
            Some(prefix) => prefix,
            None => {
                required("SecretPrefix")?.parse().map_err(|error: MalformedSecretPrefix| failed(error.to_string()))?
            }
        };
        let kms_key = kms_key.or_else(|| output("SecretsKmsKeyId")).filter(|key| !key.is_empty());
        Ok(Resources { table, secret_prefix, secrets_kms_key: kms_key })
    }
}

async fn outputs(sdk: &SdkConfig, stack: &str) -> Result<Vec<Output>, String> {
    let response = aws_sdk_cloudformation::Client::new(sdk).describe_stacks().stack_name(stack).send().await;
    // The request holds only a name, so the whole error may be shown.
    let response = response.map_err(|error| match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(error).to_string(),
    })?;
    Ok(response.stacks.unwrap_or_default().into_iter().flat_map(|stack| stack.outputs.unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(stack: Option<&str>, table: Option<&str>, prefix: Option<&str>) -> Flags {
        let [stack, table] = [stack, table].map(|text| text.map(str::to_owned));
        Flags { stack, table, secret_prefix: prefix.map(|prefix| prefix.parse().unwrap()), kms_key: None }
    }

    fn read(flags: Flags, variables: &[(&str, &str)]) -> Result<[Option<String>; 3], TargetError> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let Target { table, secret_prefix, stack, .. } = Target::new(flags, variable)?;
        Ok([stack, table, secret_prefix.map(|prefix| prefix.as_str().to_owned())])
    }

    #[test]
    fn table_and_prefix_have_no_default() {
        for (flags, variables) in [
            (flags(None, None, None), &[][..]),
            (flags(None, Some("t"), None), &[]),
            (flags(None, None, Some("p")), &[]),
            (flags(None, None, None), &[("TABLE_NAME", "t")]),
            (flags(None, None, None), &[("TABLE_NAME", ""), ("SECRET_PREFIX", "p")]),
        ] {
            assert!(matches!(read(flags, variables), Err(TargetError::Missing(..))), "{variables:?}");
        }
        let slash = [("TABLE_NAME", "t"), ("SECRET_PREFIX", "p/")];
        assert_eq!(read(flags(None, None, None), &slash), Err(MalformedSecretPrefix::Slash.into()));
    }

    #[test]
    fn flag_wins_over_stack_and_variable() {
        let variables = [("TABLE_NAME", "vt"), ("SECRET_PREFIX", "vp"), ("USERDOCKS_STACK", "vs")];
        let text = |text: &str| Some(text.to_owned());
        for (flags, variables, expected) in [
            (flags(None, Some("t"), Some("p")), &variables[..], [None, text("t"), text("p")]),
            (flags(Some("s"), None, None), &variables, [text("s"), None, None]),
            (flags(Some("s"), Some("t"), None), &variables, [text("s"), text("t"), None]),
            (flags(None, None, None), &variables[..2], [None, text("vt"), text("vp")]),
            (flags(None, Some("t"), None), &variables[2..], [text("vs"), text("t"), None]),
            (flags(None, None, None), &variables[2..], [text("vs"), None, None]),
        ] {
            assert_eq!(read(flags, variables), Ok(expected));
        }
        for mixed in [&variables[..], &variables[1..], &[variables[2], ("SECRETS_KMS_KEY_ID", "key")]] {
            assert!(matches!(read(flags(None, None, None), mixed), Err(TargetError::TwoSources(_))), "{mixed:?}");
        }
    }
}
