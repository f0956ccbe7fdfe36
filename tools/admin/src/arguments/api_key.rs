use std::time::Duration;

use clap::Subcommand;
use userdocks::domain::{ApiKeyHash, ApiKeyId, ApiKeyType, AppId, Name, Timestamp};

use super::values::{api_key_type, hash, hint, lifetime, moment, overlap};

#[derive(Subcommand)]
pub enum ApiKeyCommand {
    /// Issue an API key and show its value once
    #[command(after_help = "Example:\n  userdocks-admin api-key issue APP --type read --allow-cidr 192.0.2.0/24")]
    Issue {
        app: AppId,
        /// Purpose of the key: GET routes, or POST, PUT and DELETE routes
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// Name of the key, for people; its type if not given
        #[arg(long)]
        name: Option<Name>,
        /// Time after which it expires, 1m (minute) to 1M (month) or more; never if not given
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// Network from which the key is accepted, repeatable; everywhere if not given
        #[arg(long, value_name = "CIDR")]
        allow_cidr: Vec<String>,
    },
    /// Add an API key of another system, whose value is read from standard input or typed at the terminal
    Import {
        app: AppId,
        /// Purpose of the key: GET routes, or POST, PUT and DELETE routes
        #[arg(long = "type", value_name = "read|write", value_parser = api_key_type)]
        kind: ApiKeyType,
        /// Name of the key, for people; its type if not given
        #[arg(long)]
        name: Option<Name>,
        /// SHA-256 of a key whose value is unknown, instead of the value
        #[arg(long, value_name = "HEX", value_parser = hash)]
        sha256: Option<ApiKeyHash>,
        /// Last 4 characters of the key, by which people recognise it
        #[arg(long, value_name = "ABCD", requires = "sha256", value_parser = hint)]
        hint: Option<String>,
    },
    /// List an app's API keys, without their values
    List { app: AppId },
    /// Find the app of an API key, whose value is read from standard input or typed at the terminal
    Find,
    /// Issue a key that replaces another one of the same type and name, which expires after the overlap
    Rotate {
        app: AppId,
        /// Id of the replaced key, apikey_<uuid>
        key: ApiKeyId,
        /// Time for which both keys are accepted, 0s to 30d; 1m is a minute, 1M a month
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
        /// Time after which the new key expires, 1m (minute) to 1M (month) or more; the replaced key's lifetime if not given
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
        /// Let the new key never expire
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
        app: AppId,
        /// Id of the key, apikey_<uuid>
        key: ApiKeyId,
        /// Network to add, repeatable
        #[arg(long, value_name = "CIDR")]
        add: Vec<String>,
        /// Network to remove, repeatable
        #[arg(long, value_name = "CIDR")]
        remove: Vec<String>,
        /// Accept the key from everywhere
        #[arg(long, conflicts_with_all = ["add", "remove"])]
        clear: bool,
    },
    /// Revoke an API key: reject it from the next request on, for good
    #[command(after_help = "Example, after a write key was stolen:\n  \
                            userdocks-admin api-key revoke APP KEY --issued --since 2d --yes")]
    Revoke {
        app: AppId,
        /// Id of the key, apikey_<uuid>
        key: ApiKeyId,
        /// Show the keys that it created, and those that these created; with --yes, revoke it and all of them
        #[arg(long)]
        issued: bool,
        /// Only keys created since that time: a TIME before now, or a moment such as 2026-01-01T00:00:00Z
        #[arg(long, value_name = "TIME", requires = "issued", value_parser = moment)]
        since: Option<Timestamp>,
        /// Confirm the revocation of the keys that --issued shows
        #[arg(long, requires = "issued")]
        yes: bool,
    },
}
