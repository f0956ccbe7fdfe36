//! Schemathesis generates requests from docs/openapi.yaml and checks the responses against it.

use userdocks_test_support::{app_client::AppClient, command, project, stack::Stack};

use crate::verifiers::python;

/// Sends requests with an app's credentials.
pub fn finds_nothing_with_credentials(stack: &Stack) {
    let AppClient { id: app, read_key: read, write_key: write, .. } = stack.create_app();
    finds_nothing(stack, "with-credentials.toml", &[("APP", &app), ("READ_KEY", &read), ("WRITE_KEY", &write)]);
}

/// Sends requests without credentials.
pub fn finds_nothing_without_credentials(stack: &Stack) {
    finds_nothing(stack, "without-credentials.toml", &[]);
}

fn finds_nothing(stack: &Stack, configuration: &str, environment: &[(&str, &str)]) {
    let folder = project().join("tests/openapi");
    // Schemathesis caches results in its working directory. An empty directory makes runs independent.
    let directory = tempfile::tempdir().unwrap();
    let output = command(python())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(folder.join(configuration))
        .arg("run")
        .arg(project().join("docs/openapi.yaml"))
        .args(["--url", stack.api()])
        .env("HOOKS", folder.join("hooks.py"))
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let summary = printed.lines().filter(|line| line.contains("Schemathesis v") || line.contains("generated"));
    println!("client: {} ({configuration})", summary.map(str::trim).collect::<Vec<_>>().join(": "));
}
