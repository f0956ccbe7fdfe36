//! The command line's arguments and help.

mod api_key;
mod app;
mod values;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use clap_complete::Shell;
use userdocks::domain::{AppId, SecretPrefix, SigningKeyId};

use self::values::overlap;
pub use self::{api_key::ApiKeyCommand, app::AppCommand};

const GLOBAL_OPTIONS: &str = "Global options";

/// Manage apps, their API keys, secrets and signing keys
///
/// Region, credentials and endpoints come from the same settings as the AWS CLI's (AWS_REGION, AWS_PROFILE,
/// AWS_ENDPOINT_URL and others)
///
/// A TIME is a number with a unit: s, m (minutes), h, d, w, M (months) or y
#[derive(Parser)]
#[command(
    name = "userdocks-admin",
    version,
    after_help = "Example:\n  userdocks-admin --stack userdocks-production app list"
)]
pub struct Arguments {
    #[command(flatten)]
    pub resources: ResourceFlags,

    /// Format of the output
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_enum, default_value_t = Format::Human)]
    pub output: Format,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct ResourceFlags {
    /// CloudFormation stack that has the table, secret prefix and KMS key as outputs [env: USERDOCKS_STACK]
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub stack: Option<String>,

    /// DynamoDB table; required without a stack [env: TABLE_NAME]
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub table: Option<String>,

    /// Prefix of all secrets' names; required without a stack [env: SECRET_PREFIX]
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "PREFIX")]
    pub secret_prefix: Option<SecretPrefix>,

    /// KMS key for new secrets; Secrets Manager's default key if empty or not given [env: SECRETS_KMS_KEY_ID]
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "KEY")]
    pub kms_key: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// Lines and tables
    Human,
    /// One JSON object
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Create the table
    #[command(subcommand)]
    Table(TableCommand),
    /// Create, list, show, disable, delete, export and import apps
    #[command(subcommand)]
    App(AppCommand),
    /// Manage the API keys of an app's backends
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Manage an app's secret
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Manage the keys that sign an app's tokens
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// Check that the table and Secrets Manager are consistent; exit with code 1 if a finding remains
    #[command(after_help = "Example, required after each upgrade:\n  userdocks-admin doctor --repair")]
    Doctor {
        /// App to check; all if not given
        #[arg(long, value_name = "UUID")]
        app: Option<AppId>,
        /// Repair what can be repaired safely
        #[arg(long)]
        repair: bool,
        /// Minimum age of a finding, because a newer one may belong to a running change (1m is a minute, 1M a month)
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
        min_age: Duration,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example, for bash:\n  \
                            userdocks-admin completions bash > ~/.local/share/bash-completion/completions/userdocks-admin")]
    Completions {
        /// Shell to complete commands in
        shell: Shell,
    },
}

impl Command {
    /// Returns whether the command changes nothing, so that a reader may close its output early.
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
            Self::Completions { .. } => true,
            Self::Table(_) => false,
        }
    }

    /// Returns whether the output has values of new API keys, which cannot be shown again.
    pub fn shows_new_keys(&self) -> bool {
        self.app_of_new_key().is_some() || matches!(self, Self::App(AppCommand::Create { .. }))
    }

    /// Returns the existing app for which the command issues an API key.
    pub fn app_of_new_key(&self) -> Option<AppId> {
        match self {
            Self::ApiKey(ApiKeyCommand::Issue { app, .. } | ApiKeyCommand::Rotate { app, .. }) => Some(*app),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum TableCommand {
    /// Create the table in an emulator; on AWS, the stack creates it
    #[command(after_help = "Example:\n  userdocks-admin table create --if-not-exists")]
    Create {
        /// Keep an existing table instead of failing
        #[arg(long)]
        if_not_exists: bool,
    },
}

#[derive(Subcommand)]
pub enum SecretCommand {
    /// Show which version of the secret each active read key fetched last
    #[command(after_help = "Example:\n  userdocks-admin secret status APP")]
    Status {
        /// Id of the app
        app: AppId,
    },
    /// Set the secret to a value from standard input or the terminal
    #[command(after_help = "Example:\n  pass show acme | userdocks-admin secret set APP --overlap 1h")]
    Set {
        /// Id of the app
        app: AppId,
        #[command(flatten)]
        replacement: ReplacementFlags,
    },
    /// Replace the secret with a random one
    #[command(after_help = "Example:\n  userdocks-admin secret rotate APP --overlap 7d")]
    Rotate {
        /// Id of the app
        app: AppId,
        #[command(flatten)]
        replacement: ReplacementFlags,
    },
    /// Stop returning the previous secret
    #[command(after_help = "Example:\n  userdocks-admin secret end-overlap APP")]
    EndOverlap {
        /// Id of the app
        app: AppId,
        /// Stop even if API keys in use have only the previous secret
        #[arg(long)]
        force: bool,
    },
}

#[derive(Args)]
pub struct ReplacementFlags {
    /// Time for which the previous secret is still returned, 0s to 30d (1m is a minute, 1M a month)
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
    pub overlap: Duration,
    /// Replace the secret even if API keys in use have only a version that is no longer returned
    #[arg(long)]
    pub force: bool,
}

#[derive(Subcommand)]
pub enum SigningKeyCommand {
    /// List an app's signing keys
    #[command(after_help = "Example:\n  userdocks-admin signing-key list APP")]
    List {
        /// Id of the app
        app: AppId,
    },
    /// Add an RSA public key (PEM) from standard input and put it in use
    #[command(after_help = "Example:\n  userdocks-admin signing-key import APP --standby < public.pem")]
    Import {
        /// Id of the app
        app: AppId,
        /// Only publish the key; put it in use later with `signing-key activate`
        #[arg(long)]
        standby: bool,
    },
    /// Create and publish an RSA-4096 standby key; put it in use later with `signing-key activate`
    #[command(after_help = "Example:\n  userdocks-admin signing-key create APP")]
    Create {
        /// Id of the app
        app: AppId,
    },
    /// Put a standby or previous key in use; the current key becomes previous
    #[command(after_help = "Example:\n  userdocks-admin signing-key activate APP KEY")]
    Activate {
        /// Id of the app
        app: AppId,
        /// Id of the key, appkey_<uuid>
        key: SigningKeyId,
        /// Activate the key even if it was published less than 600 seconds ago
        #[arg(long)]
        force: bool,
    },
    /// Remove a key from all responses, at once and permanently
    #[command(after_help = "Example:\n  userdocks-admin signing-key revoke APP KEY")]
    Revoke {
        /// Id of the app
        app: AppId,
        /// Id of the key, appkey_<uuid>
        key: SigningKeyId,
        /// Revoke the key even if it is in use
        #[arg(long)]
        force: bool,
    },
}
