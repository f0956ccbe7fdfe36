use std::{num::NonZeroU16, path::PathBuf};

use clap::Subcommand;
use userdocks::domain::{AppId, Name};

#[derive(Subcommand)]
pub enum AppCommand {
    /// Create an app with a secret, a signing key, and a read and a write API key; show the API keys' values once
    #[command(after_help = "Example:\n  userdocks-admin app create --name 'My app'")]
    Create {
        /// Name of the app, for people
        #[arg(long)]
        name: Name,
        /// Id of the app; random if not given
        #[arg(long, value_name = "UUID")]
        id: Option<AppId>,
        /// Show an existing app of this id instead of failing
        #[arg(long, requires = "id")]
        if_not_exists: bool,
    },
    /// List apps, in no particular order
    #[command(after_help = "Example:\n  userdocks-admin app list --limit 100")]
    List {
        /// Maximum number of apps; pass `next` of the output to --after for more; all if not given
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU16>,
        /// List the apps after this one
        #[arg(long, value_name = "UUID")]
        after: Option<AppId>,
    },
    /// Show an app, its keys and the version of its secret
    #[command(after_help = "Example:\n  userdocks-admin app show APP")]
    Show {
        /// Id of the app
        #[arg(value_name = "APP")]
        id: AppId,
    },
    /// Reject the app's requests with E4030, from the next request on
    #[command(after_help = "Example:\n  userdocks-admin app disable APP")]
    Disable {
        /// Id of the app
        #[arg(value_name = "APP")]
        id: AppId,
    },
    /// Accept the app's requests again
    #[command(after_help = "Example:\n  userdocks-admin app enable APP")]
    Enable {
        /// Id of the app
        #[arg(value_name = "APP")]
        id: AppId,
    },
    /// Delete an app and its API keys, and schedule the deletion of its secret and private keys
    #[command(after_help = "Example:\n  userdocks-admin app delete APP --yes")]
    Delete {
        /// Id of the app
        #[arg(value_name = "APP")]
        id: AppId,
        /// Confirm the deletion
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Export apps as JSON Lines: records, API key hashes and public keys, but no secrets or private keys
    #[command(after_help = "Example:\n  userdocks-admin app export --all > apps.jsonl")]
    Export {
        /// App to export
        #[arg(long, value_name = "UUID", required_unless_present = "all", conflicts_with = "all")]
        app: Option<AppId>,
        /// Export all apps
        #[arg(long)]
        all: bool,
    },
    /// Create exported apps, each with a random secret and without private keys; check the whole file first
    #[command(after_help = "Example:\n  userdocks-admin app import apps.jsonl --if-not-exists")]
    Import {
        /// Exported file; `-` is standard input
        file: PathBuf,
        /// Skip existing apps instead of failing
        #[arg(long)]
        if_not_exists: bool,
    },
}
