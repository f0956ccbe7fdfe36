//! The command line's grammar and help.

mod api_key;
mod app;
mod values;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use userdocks::domain::{AppId, SecretPrefix, SigningKeyId};
use userdocks_admin::secret::Replacement;

use self::values::overlap;
pub use self::{api_key::ApiKeyCommand, app::AppCommand};

/// Manage apps, their API keys, secrets and signing keys
///
/// Region, credentials and endpoints are found as the AWS CLI finds them (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …).
/// A TIME is a number with a unit: s, m (minutes), h, d, w, M (months) or y.
#[derive(Parser)]
#[command(name = "userdocks-admin", version)]
pub struct Arguments {
    #[command(flatten)]
    pub resources: ResourceFlags,

    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub output: Format,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct ResourceFlags {
    /// CloudFormation stack whose outputs name the table, the prefix and the KMS key [env: USERDOCKS_STACK]
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub stack: Option<String>,

    /// DynamoDB table; required without a stack [env: TABLE_NAME]
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub table: Option<String>,

    /// Prefix of the names of all secrets; required without a stack [env: SECRET_PREFIX]
    #[arg(long, global = true, value_name = "PREFIX")]
    pub secret_prefix: Option<SecretPrefix>,

    /// KMS key for new secrets; Secrets Manager's own if empty [env: SECRETS_KMS_KEY_ID]
    #[arg(long, global = true, value_name = "KEY")]
    pub kms_key: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// Lines and tables for people
    Human,
    /// One JSON object on standard output, and nothing else there
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Create the table
    #[command(subcommand)]
    Table(TableCommand),
    /// Create, show, move and delete apps
    #[command(subcommand)]
    App(AppCommand),
    /// Manage the keys with which an app's backends call the API
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Manage an app's secret
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Manage the keys that sign an app's tokens
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// Check that the table and Secrets Manager are consistent; exit code 1 if a finding remains
    #[command(after_help = "Example, also a step of each upgrade:\n  userdocks-admin doctor --repair")]
    Doctor {
        /// App to examine; all if not given
        #[arg(long, value_name = "UUID")]
        app: Option<AppId>,
        /// Repair what can be repaired safely
        #[arg(long)]
        repair: bool,
        /// Age below which a finding may belong to a running change and is left alone; 1m is a minute, 1M a month
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
        min_age: Duration,
    },
}

impl Command {
    /// Whether nothing is changed, so that nothing is lost with its output.
    pub fn only_reads(&self) -> bool {
        match self {
            Self::App(command) => {
                matches!(command, AppCommand::List { .. } | AppCommand::Show { .. } | AppCommand::Export { .. })
            }
            Self::ApiKey(command) => match command {
                ApiKeyCommand::List { .. } | ApiKeyCommand::Find => true,
                ApiKeyCommand::Revoke { issued, yes, .. } => *issued && !yes,
                _ => false,
            },
            Self::Secret(command) => matches!(command, SecretCommand::Status { .. }),
            Self::SigningKey(command) => matches!(command, SigningKeyCommand::List { .. }),
            Self::Doctor { repair, .. } => !repair,
            Self::Table(_) => false,
        }
    }

    /// Whether it shows the values of new API keys, which nothing shows again.
    pub fn shows_new_keys(&self) -> bool {
        self.app_of_new_key().is_some() || matches!(self, Self::App(AppCommand::Create { .. }))
    }

    /// The existing app that gets a new API key.
    pub fn app_of_new_key(&self) -> Option<AppId> {
        match self {
            Self::ApiKey(ApiKeyCommand::Issue { app, .. } | ApiKeyCommand::Rotate { app, .. }) => Some(*app),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum TableCommand {
    /// Create the table, for emulators; on AWS the stack creates it
    Create {
        /// Leave an existing table as it is
        #[arg(long)]
        if_not_exists: bool,
    },
}

#[derive(Subcommand)]
pub enum SecretCommand {
    /// Show which version of the secret each active read key fetched last
    Status { app: AppId },
    /// Set the secret to a value from standard input, or typed at the terminal
    #[command(after_help = "Example:\n  pass show acme | userdocks-admin secret set APP --overlap 1h")]
    Set {
        app: AppId,
        #[command(flatten)]
        replacement: ReplacementFlags,
    },
    /// Replace the secret with a random one
    Rotate {
        app: AppId,
        #[command(flatten)]
        replacement: ReplacementFlags,
    },
    /// Stop returning the previous secret
    EndOverlap {
        app: AppId,
        /// Stop even if API keys in use fetched the previous secret last
        #[arg(long)]
        force: bool,
    },
}

#[derive(Args)]
pub struct ReplacementFlags {
    /// Time for which the secret before is still returned, 0s to 30d; 1m is a minute, 1M a month
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
    overlap: Duration,
    /// Replace the secret even if API keys in use lose the version that they fetched last
    #[arg(long)]
    force: bool,
}

impl From<ReplacementFlags> for Replacement {
    fn from(flags: ReplacementFlags) -> Self {
        Self { overlap: flags.overlap, force: flags.force }
    }
}

#[derive(Subcommand)]
pub enum SigningKeyCommand {
    /// List an app's signing keys
    List { app: AppId },
    /// Add a public key (RSA, PEM, on standard input) and put it in use
    #[command(after_help = "Example:\n  userdocks-admin signing-key import APP --standby < public.pem")]
    Import {
        app: AppId,
        /// Publish the key only, so that verifiers know it before `signing-key activate`
        #[arg(long)]
        standby: bool,
    },
    /// Create a standby key (RSA-4096), which is published at once and signs once it is activated
    Create { app: AppId },
    /// Put a standby or previous key in use; the key in use before becomes previous
    Activate {
        app: AppId,
        /// Id of the key, appkey_<uuid>
        key: SigningKeyId,
        /// Activate the key even if verifiers may not know it yet
        #[arg(long)]
        force: bool,
    },
    /// Revoke a key: remove it from every response, at once and for good
    Revoke {
        app: AppId,
        /// Id of the key, appkey_<uuid>
        key: SigningKeyId,
        /// Revoke the key even if it is in use
        #[arg(long)]
        force: bool,
    },
}
