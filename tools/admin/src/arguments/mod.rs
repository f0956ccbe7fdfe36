use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use userdocks::domain::{ApiKeyId, ApiKeyType, AppId, Name, SecretPrefix, SigningKeyId};

/// Manages apps, their API keys, secrets and signing keys.
///
/// Region, credentials and endpoints are found as the AWS CLI finds them (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …).
/// A TIME is a number with a unit: s, m (minutes), h, d, w, M (months) or y.
#[derive(Parser)]
#[command(name = "userdocks-admin", version)]
pub struct Arguments {
    #[command(flatten)]
    pub resources: ResourceFlags,

    /// How to print what was done.
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
    /// For people.
    Human,
    /// One JSON object on standard output, and nothing else there.
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// The table itself.
    #[command(subcommand)]
    Table(TableCommand),
    /// Apps.
    #[command(subcommand)]
    App(AppCommand),
    /// The keys that an app's backends call the API with.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// An app's secret.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// The keys that an app's tokens are signed with.
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// Finds what does not fit together between the table and Secrets Manager; exit code 1 where something remains so.
    Doctor {
        /// Look at this app alone.
        #[arg(long, value_name = "UUID")]
        app: Option<AppId>,
        /// Repair what can be repaired safely.
        #[arg(long)]
        repair: bool,
        /// What is younger may belong to a change under way, and is left alone; 1m is a minute, 1M a month.
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
            Self::ApiKey(command) => matches!(command, ApiKeyCommand::List { .. }),
            Self::SigningKey(command) => matches!(command, SigningKeyCommand::List { .. }),
            Self::Doctor { repair, .. } => !repair,
            Self::Table(_) | Self::Secret(_) => false,
        }
    }

    /// Whether it shows the values of new API keys, which nothing shows again.
    pub fn shows_new_keys(&self) -> bool {
        self.app_of_new_key().is_some() || matches!(self, Self::App(AppCommand::Create { .. }))
    }

    /// The app that is to have a new API key, if it has been there before.
    pub fn app_of_new_key(&self) -> Option<AppId> {
        match self {
            Self::ApiKey(ApiKeyCommand::Issue { app, .. } | ApiKeyCommand::Rotate { app, .. }) => Some(*app),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum TableCommand {
    /// Makes the table, for emulators; on AWS the stack makes it.
    Create {
        /// Leave a table that is there as it is.
        #[arg(long)]
        if_not_exists: bool,
    },
}

#[derive(Subcommand)]
pub enum AppCommand {
    /// Creates an app with a secret, a signing key in use, and a read and a write API key, whose values are shown this once.
    Create {
        /// What people call the app.
        #[arg(long)]
        name: Name,
        /// Its id; a random one where this is not given.
        #[arg(long, value_name = "UUID")]
        id: Option<AppId>,
        /// Show an app of that id as it is, rather than fail.
        #[arg(long, requires = "id")]
        if_not_exists: bool,
    },
    /// Lists apps, in an order of the table's own.
    List {
        /// No more than this many; then `next` says what to go on after.
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU16>,
        /// Those that come after this app.
        #[arg(long, value_name = "UUID")]
        after: Option<AppId>,
    },
    /// Shows an app, its keys and which version of its secret is handed out.
    Show { id: AppId },
    /// Refuses the app's API keys with E4030, from the next request on.
    Disable { id: AppId },
    /// Lets the app's API keys in again.
    Enable { id: AppId },
    /// Deletes an app and its API keys, and schedules the deletion of its secret and private keys.
    Delete {
        id: AppId,
        /// Confirm the deletion.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Writes apps as JSON Lines: their records, API keys' hashes and public keys, but no secret and no private key.
    Export {
        /// This app alone.
        #[arg(long, value_name = "UUID", required_unless_present = "all", conflicts_with = "all")]
        app: Option<AppId>,
        /// All apps.
        #[arg(long)]
        all: bool,
    },
    /// Creates exported apps, each with a new random secret and without private keys, when all lines are found to be good.
    Import {
        /// The exported file; `-` is standard input.
        file: PathBuf,
        /// Pass over the apps that exist, rather than fail.
        #[arg(long)]
        if_not_exists: bool,
    },
}

#[derive(Subcommand)]
pub enum ApiKeyCommand {
    /// Issues a new API key and shows its value, this once.
    Issue {
        app: AppId,
        /// What it may do.
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// What people call the key; its type if not given.
        #[arg(long)]
        name: Option<Name>,
        /// After what time it expires, 1m (minute) to 1M (month) or more; never without this.
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
    },
    /// Takes in an API key from elsewhere; its value is read from standard input.
    Import {
        app: AppId,
        /// What it may do.
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// What people call the key; its type if not given.
        #[arg(long)]
        name: Option<Name>,
    },
    /// Lists an app's API keys, without their values.
    List { app: AppId },
    /// Issues a new key of the same type and name, and lets the old one expire after a while.
    Rotate {
        app: AppId,
        /// The old key's id, apikey_<uuid>.
        key: ApiKeyId,
        /// How long both are accepted, 0s to 30d; 1m is a minute, 1M a month.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
        /// After what time the new key expires, 1m (minute) to 1M (month) or more; the old key's lifetime without this.
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// The new key never expires.
        #[arg(long, conflicts_with = "expires_in")]
        never_expires: bool,
    },
    /// Refuses an API key from the next request on, for good.
    Revoke {
        app: AppId,
        /// The key's id, apikey_<uuid>.
        key: ApiKeyId,
    },
}

#[derive(Subcommand)]
pub enum SecretCommand {
    /// Sets the secret to a value of your own: standard input, or typed at the terminal.
    Set {
        app: AppId,
        /// How long the previous secret is returned beside it, 0s to 30d; 1m is a minute, 1M a month.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
    },
    /// Replaces the secret with a new random one.
    Rotate {
        app: AppId,
        /// How long the previous secret is returned beside it, 0s to 30d; 1m is a minute, 1M a month.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
    },
    /// Stops returning the previous secret.
    EndOverlap { app: AppId },
}

#[derive(Subcommand)]
pub enum SigningKeyCommand {
    /// Lists an app's signing keys.
    List { app: AppId },
    /// Takes in a public key (RSA, PEM, on standard input) and puts it in use.
    Import { app: AppId },
    /// Makes a new standby key (RSA-4096): published at once, in use when it is activated.
    Create { app: AppId },
    /// Puts a key in use; the one that was becomes previous. A previous key can be put back.
    Activate {
        app: AppId,
        /// The key's id, appkey_<uuid>.
        key: SigningKeyId,
        /// Even if verifiers may not know it yet.
        #[arg(long)]
        force: bool,
    },
    /// Takes a key out of every answer, at once and for good.
    Revoke {
        app: AppId,
        /// The key's id, appkey_<uuid>.
        key: SigningKeyId,
        /// Even if it is in use.
        #[arg(long)]
        force: bool,
    },
}

fn api_key_type(name: &str) -> Result<ApiKeyType, &'static str> {
    name.parse().map_err(|_| "read or write")
}

/// A key that is dead when it is issued, or soon after, is a mistake.
fn lifetime(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_secs(60);
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < SHORTEST { Err("at least a minute (1m)".to_owned()) } else { Ok(time) }
}

fn overlap(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.subsec_nanos() > 0 { Err("whole seconds only".to_owned()) } else { Ok(time) }
}
