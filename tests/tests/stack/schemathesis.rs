//! Schemathesis, with all its checks, makes requests by docs/openapi.yaml and holds the answers against it.

use userdocks_test_support::{command, project, stack::Stack};

use crate::python;

/// As an app's own backend: what is well formed is done, what is malformed is refused.
pub fn finds_nothing_with_credentials(stack: &Stack) {
    let (app, read, write) = stack.create_app();
    finds_nothing(stack, "with-credentials.toml", &[("APP", &app), ("READ_KEY", &read), ("WRITE_KEY", &write)]);
}

/// As anybody: whatever is sent is refused in the contract.
pub fn finds_nothing_without_credentials(stack: &Stack) {
    finds_nothing(stack, "without-credentials.toml", &[]);
}

fn finds_nothing(stack: &Stack, configuration: &str, environment: &[(&str, &str)]) {
    let folder = project().join("tests/openapi");
    // It keeps what it has learned where it runs; each run begins without.
    let memory = tempfile::tempdir().unwrap();
    let output = command(python())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(folder.join(configuration))
        .arg("run")
        .arg(project().join("docs/openapi.yaml"))
        .args(["--url", stack.api()])
        .env("HOOKS", folder.join("hooks.py"))
        .envs(environment.iter().copied())
        .current_dir(memory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let said = said.lines().filter(|line| line.contains("Schemathesis v") || line.contains("generated"));
    println!("client: {} ({configuration})", said.map(str::trim).collect::<Vec<_>>().join(": "));
}
