use std::{num::NonZeroU16, path::PathBuf};

use clap::Subcommand;
use userdocks::domain::{AppId, Name};

#[derive(Subcommand)]
pub enum AppCommand {
    /// Create an app with a secret, a signing key in use, and a read and a write API key; show the API keys' values once
    Create {
        /// Name of the app, for people
        #[arg(long)]
        name: Name,
        /// Id of the app; random if not given
        #[arg(long, value_name = "UUID")]
        id: Option<AppId>,
        /// Show an existing app of that id instead of failing
        #[arg(long, requires = "id")]
        if_not_exists: bool,
    },
    /// List apps, in an order of the table's own
    List {
        /// Maximum number of apps; `next` in the output is the --after of the next listing
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU16>,
        /// App to start behind
        #[arg(long, value_name = "UUID")]
        after: Option<AppId>,
    },
    /// Show an app, its keys and which version of its secret is returned
    Show { id: AppId },
    /// Reject the app's API keys with E4030, from the next request on
    Disable { id: AppId },
    /// Accept the app's API keys again
    Enable { id: AppId },
    /// Delete an app and its API keys, and schedule the deletion of its secret and private keys
    Delete {
        id: AppId,
        /// Confirm the deletion
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Print apps as JSON Lines: records, hashes of API keys and public keys, but no secret and no private key
    #[command(after_help = "Example:\n  userdocks-admin app export --all > apps.jsonl")]
    Export {
        /// App to export
        #[arg(long, value_name = "UUID", required_unless_present = "all", conflicts_with = "all")]
        app: Option<AppId>,
        /// Export all apps
        #[arg(long)]
        all: bool,
    },
    /// Create exported apps, each with a random secret and without private keys; check all lines first
    Import {
        /// Exported file; `-` is standard input
        file: PathBuf,
        /// Skip existing apps instead of failing
        #[arg(long)]
        if_not_exists: bool,
    },
}
