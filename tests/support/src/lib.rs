//! The test kit for tests, benchmarks and fuzz targets.
//!
//! [`app::TestApp`] builds apps and [`event::Event`] builds events. [`function::Function`] runs a function's binary, and
//! [`in_process::InProcess`] its handler. [`aws::FakeAws`] and [`runtime_api::RuntimeApi`] replace the services around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub mod app;
pub mod app_client;
pub mod aws;
pub mod confidential;
pub mod contract;
pub mod emulator;
pub mod event;
pub mod fixtures;
pub mod function;
pub mod hostile;
pub mod http;
pub mod in_process;
pub mod port;
pub mod program;
pub mod readme;
pub mod runtime_api;
pub mod sam;
pub mod shared_trials;
pub mod stack;
pub mod tcp_proxy;
pub mod tls;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Returns the project's root.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The variables that `make run` and `userdocks-admin` read.
pub const SETTINGS: [&str; 11] = [
    "API_PORT",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "DATA_DIR",
    "DYNAMODB_PORT",
    "HOST",
    "SECRETS_KMS_KEY_ID",
    "SECRETS_MANAGER_PORT",
    "SECRET_PREFIX",
    "TABLE_NAME",
    "USERDOCKS_STACK",
];

/// Returns a command that inherits no AWS settings, no proxies and no settings of another stack.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let is_aws = text.starts_with("AWS_") && !text.starts_with("AWS_LC_");
        if is_aws || text.ends_with("_PROXY") || SETTINGS.contains(&text.as_str()) {
            command.env_remove(name);
        }
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// Returns the path of a binary of this workspace. The first call builds all of them.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        let built = build.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(project()).status();
        assert!(built.unwrap().success(), "the workspace does not build");
    });
    // The test's own binary is in <target>/<profile>/deps.
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join(name)
}
