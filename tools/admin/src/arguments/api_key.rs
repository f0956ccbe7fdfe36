use std::time::Duration;

use clap::Subcommand;
use userdocks::domain::{ApiKeyHash, ApiKeyId, ApiKeyType, AppId, Name, Timestamp};

use super::values::{api_key_type, hash, hint, lifetime, moment, overlap};

#[derive(Subcommand)]
pub enum ApiKeyCommand {
    /// Issue an API key and show its value once
    #[command(after_help = "Example:\n  userdocks-admin api-key issue APP --type read --allow-cidr 192.0.2.0/24")]
    Issue {
        /// Id of the app
        app: AppId,
        /// Routes that accept the key: GET (read), or POST, PUT and DELETE (write)
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// Name of the key, for people; read or write if not given
        #[arg(long)]
        name: Option<Name>,
        /// Time after which the key expires: a number with a unit, at least 1m (minute; 1M is a month); never if not given
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// Network from which the key is accepted, repeatable; any network if not given
        #[arg(long, value_name = "CIDR")]
        allow_cidr: Vec<String>,
    },
    /// Add an API key of another system; read its value from standard input or the terminal
    #[command(after_help = "Example:\n  userdocks-admin api-key import APP --type read < key.txt")]
    Import {
        /// Id of the app
        app: AppId,
        /// Routes that accept the key: GET (read), or POST, PUT and DELETE (write)
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// Name of the key, for people; read or write if not given
        #[arg(long)]
        name: Option<Name>,
        /// SHA-256 of the key, if its value is unknown
        #[arg(long, value_name = "HEX", value_parser = hash)]
        sha256: Option<ApiKeyHash>,
        /// Last 4 characters of the key, for people to recognise it
        #[arg(long, value_name = "ABCD", requires = "sha256", value_parser = hint)]
        hint: Option<String>,
    },
    /// List an app's API keys, without their values
    #[command(after_help = "Example:\n  userdocks-admin api-key list APP")]
    List {
        /// Id of the app
        app: AppId,
    },
    /// Find the app of an API key; read the key's value from standard input or the terminal
    #[command(after_help = "Example:\n  userdocks-admin api-key find < key.txt")]
    Find,
    /// Replace an API key with a new one of the same type and name; the old one expires after the overlap
    #[command(after_help = "Example:\n  userdocks-admin api-key rotate APP KEY --overlap 7d")]
    Rotate {
        /// Id of the app
        app: AppId,
        /// Id of the replaced key, apikey_<uuid>
        key: ApiKeyId,
        /// Time for which both keys are accepted, 0s to 30d (1m is a minute, 1M a month)
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
        /// Time after which the new key expires, at least 1m (minute; 1M is a month); the replaced key's lifetime if not
        /// given
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// Issue a key that never expires
        #[arg(long, conflicts_with = "expires_in")]
        never_expires: bool,
        /// Network from which the new key is accepted, repeatable; the replaced key's networks if not given
        #[arg(long, value_name = "CIDR")]
        allow_cidr: Vec<String>,
    },
    /// Change the networks from which an API key is accepted
    #[command(
        group(clap::ArgGroup::new("change").args(["add", "remove", "clear"]).multiple(true).required(true)),
        after_help = "Example:\n  userdocks-admin api-key allow APP KEY --add 198.51.100.0/24 --remove 192.0.2.0/24"
    )]
    Allow {
        /// Id of the app
        app: AppId,
        /// Id of the key, apikey_<uuid>
        key: ApiKeyId,
        /// Network to add, repeatable
        #[arg(long, value_name = "CIDR")]
        add: Vec<String>,
        /// Network to remove, repeatable
        #[arg(long, value_name = "CIDR")]
        remove: Vec<String>,
        /// Accept the key from any network
        #[arg(long, conflicts_with_all = ["add", "remove"])]
        clear: bool,
    },
    /// Revoke an API key permanently, from the next request on
    #[command(after_help = "Example, after a write key was stolen:\n  \
                            userdocks-admin api-key revoke APP KEY --issued --since 2d --yes")]
    Revoke {
        /// Id of the app
        app: AppId,
        /// Id of the key, apikey_<uuid>
        key: ApiKeyId,
        /// Show all keys that the key has issued, directly or through other keys; with --yes, revoke them and the key
        #[arg(long)]
        issued: bool,
        /// Only keys issued since then: a TIME before now, or a moment such as 2026-01-01T00:00:00Z; all if not given
        #[arg(long, value_name = "TIME", requires = "issued", value_parser = moment)]
        since: Option<Timestamp>,
        /// Confirm the revocation of the keys that --issued shows
        #[arg(long, requires = "issued")]
        yes: bool,
    },
}
