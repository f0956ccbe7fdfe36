//! What the black-box tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub mod backend;
pub mod confidential;
pub mod contract;
pub mod emulator;
pub mod function;
pub mod gaps;
pub mod hostile;
pub mod http;
pub mod readme;
pub mod rotation;
pub mod sam;
pub mod stack;
pub mod tls;
pub mod trial;
pub mod wire;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The project's root.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The path of a binary of this workspace, built from the sources as they are now.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        let built = build.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(project()).status();
        assert!(built.unwrap().success(), "the workspace does not build");
    });
    // A test's own binary is in <target>/<profile>/deps.
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join(name)
}
