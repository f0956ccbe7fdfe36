//! Runs commands with input and checks their output.

use std::{
    os::fd::OwnedFd,
    process::{Output, Stdio},
};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use userdocks_test_support::aws::FakeAws;

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub async fn create_app(aws: &FakeAws) -> Value {
    let (code, created, errors) = aws.run_admin(&["app", "create", "--name", "Test"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    created
}

pub fn id(value: &Value) -> &str {
    value["uuid"].as_str().unwrap()
}

/// Runs a command with that standard input and JSON output.
pub async fn run_with_input(aws: &FakeAws, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = aws.admin(&[&["--output", "json"], arguments].concat());
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // Fails if the command ends without reading its input.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    process.wait_with_output().await.unwrap()
}

/// Fails unless the command had exit code 1 or 2, reported that cause and printed no output.
pub fn assert_refused(output: &Output, cause: &str) {
    let errors = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {errors}", output.status);
    assert!(errors.contains(cause), "{cause}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

pub fn writer_without_reader() -> OwnedFd {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
