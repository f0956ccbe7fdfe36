//! The operator's AWS settings, stacks and flags.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    process::Stdio,
};

use axum::{Router, extract::State, http::StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use userdocks::domain::{ApiKeyValue, AppId};
use userdocks_test_support::aws::{FakeAws, SECRET_PREFIX, TABLE};

use crate::commands::{assert_refused, text, writer_without_reader};

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_aws_cli_are_accepted() {
    let aws = FakeAws::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let endpoint = &aws.endpoint;
    for (profile, variables) in [
        ("", &[("AWS_RETRY_MODE", "legacy")][..]),
        ("", &[("AWS_RETRY_MODE", "standard"), ("AWS_MAX_ATTEMPTS", " 3 ")]),
        ("", &[("AWS_RETRY_MODE", "adaptive")]),
        ("", &[("AWS_RETRY_MODE", ""), ("AWS_MAX_ATTEMPTS", "")]),
        ("retry_mode = legacy\nmax_attempts = 2", &[]),
        ("", &[("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", " ")]),
        ("", &[("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_DYNAMODB", endpoint)]),
        (&format!("endpoint_url = {endpoint}"), &[("AWS_ENDPOINT_URL", "")]),
        (&format!("endpoint_url = {endpoint}"), &[("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_DYNAMODB", "")]),
    ] {
        fs::write(&file, format!("[default]\n{profile}\n")).unwrap();
        let mut command = aws.admin(&["app", "list"]);
        let output = command.env("AWS_CONFIG_FILE", &file).envs(variables.iter().copied()).output().await.unwrap();
        let seen = (output.status.code(), text(&output.stdout), text(&output.stderr));
        assert_eq!(seen, (Some(0), "apps\n  none\n".to_owned(), String::new()), "{profile} {variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_aws_setting_is_one_sentence() {
    let aws = FakeAws::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    for (profile, variable, cause) in [
        (
            "",
            ("AWS_MAX_ATTEMPTS", "0"),
            "cannot use AWS_MAX_ATTEMPTS (max_attempts) \"0\": it is not a number of 1 or more",
        ),
        ("", ("AWS_MAX_ATTEMPTS", "many"), "\"many\": it is not"),
        ("", ("AWS_MAX_ATTEMPTS", "99999999999"), "\"99999999999\": it is not"),
        ("", ("AWS_RETRY_MODE", "sometimes"), "\"sometimes\": it is not standard, adaptive or legacy"),
        ("max_attempts = 0", ("UNUSED", ""), "\"0\": it is not"),
        ("retry_mode = x", ("UNUSED", ""), "\"x\": it is not"),
        ("", ("AWS_REGION", ""), "cannot find the AWS region"),
        ("", ("AWS_REGION", "a b"), "userdocks-admin: "),
        ("", ("AWS_PROFILE", "unknown"), "userdocks-admin: "),
        ("[[", ("AWS_ACCESS_KEY_ID", ""), "userdocks-admin: "),
    ] {
        fs::write(&file, format!("[default]\n{profile}\n")).unwrap();
        let mut command = aws.admin(&["app", "list"]);
        command.env("AWS_CONFIG_FILE", &file).env(variable.0, variable.1).env("AWS_EC2_METADATA_DISABLED", "true");
        if variable.0 == "AWS_PROFILE" {
            command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        }
        assert_refused(&command.output().await.unwrap(), cause);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_never_panics() {
    let aws = FakeAws::start().await;
    let app = AppId::random().to_string();
    let invalid = OsStr::from_bytes(b"\xff\xfe");
    let mut commands = Vec::new();
    for arguments in [
        &["api-key", "issue", &app, "--type", "read", "--expires-in", "9000000000y"][..],
        &["api-key", "issue", &app, "--type", "read", "--expires-in", "99999999999999999999y"],
        &["secret", "rotate", &app, "--overlap", "9000000000y"],
        &["app", "list", "--limit", "0"],
        &["--table", "", "app", "list"],
        &["--table", "no such table", "app", "list"],
        &["--stack", "", "app", "list"],
        &["app", "import", "/"],
        &["app", "import", "/dev/null/x"],
        &["app", "create", "--name", ""],
    ] {
        commands.push(aws.admin(arguments));
    }
    let mut not_text = aws.admin(&["app", "create", "--name"]);
    not_text.arg(invalid);
    commands.push(not_text);
    for variable in ["TABLE_NAME", "SECRET_PREFIX"] {
        let mut not_text = aws.admin(&["app", "list"]);
        not_text.env(variable, invalid);
        commands.push(not_text);
    }
    for mut command in commands {
        assert_refused(&command.output().await.unwrap(), "");
    }
    // Standard error may be full or closed.
    for errors in [File::create("/dev/full").unwrap().into(), Stdio::from(writer_without_reader())] {
        let mut command = aws.admin(&["app", "show", &app]);
        command.env("AWS_USE_FIPS_ENDPOINT", "perhaps").stderr(errors).stdout(Stdio::null());
        assert_eq!(command.status().await.unwrap().code(), Some(1));
    }
}

/// Starts a fake CloudFormation that describes one stack. Returns its endpoint.
async fn start_cloudformation() -> String {
    async fn describe(State(()): State<()>, body: String) -> (StatusCode, String) {
        assert!(body.contains("Action=DescribeStacks"), "{body}");
        if !body.contains("StackName=userdocks-test") {
            let error = "<Error><Type>Sender</Type><Code>ValidationError</Code>\
                         <Message>Stack with id other does not exist</Message></Error>";
            return (StatusCode::BAD_REQUEST, format!("<ErrorResponse>{error}</ErrorResponse>"));
        }
        let outputs = [("TableName", TABLE), ("SecretPrefix", SECRET_PREFIX), ("SecretsKmsKeyId", "a-key-of-its-own")];
        let outputs = outputs.map(|(key, value)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        });
        let stack = format!(
            "<StackName>userdocks-test</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
             <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}</Outputs>",
            outputs.concat()
        );
        let result = format!("<DescribeStacksResult><Stacks><member>{stack}</member></Stacks></DescribeStacksResult>");
        (StatusCode::OK, format!("<DescribeStacksResponse>{result}</DescribeStacksResponse>"))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(describe).with_state(())).await });
    endpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_names_table_prefix_and_kms_key() {
    let aws = FakeAws::start().await;
    let endpoint = start_cloudformation().await;
    let without_names = |arguments: &[&str]| {
        let mut command = aws.admin(arguments);
        command.env_remove("TABLE_NAME").env_remove("SECRET_PREFIX");
        command.env("AWS_ENDPOINT_URL_CLOUDFORMATION", &endpoint);
        command
    };
    let create = ["app", "create", "--name", "Test"];
    assert_refused(&without_names(&create).output().await.unwrap(), "--stack");
    assert_refused(&without_names(&["--table", TABLE, "app", "list"]).output().await.unwrap(), "--secret-prefix");

    let by_flag = without_names(&[&["--stack", "userdocks-test"][..], &create].concat());
    let mut by_variable = without_names(&create);
    by_variable.env("USERDOCKS_STACK", "userdocks-test");
    for mut command in [by_flag, by_variable] {
        let _ = aws.take_operations();
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let calls = aws.take_calls();
        let created = calls.iter().find(|call| call.operation == "CreateSecret").unwrap();
        let created: Value = serde_json::from_str(&created.body).unwrap();
        assert!(created["Name"].as_str().unwrap().starts_with(&format!("{SECRET_PREFIX}/apps/")));
        assert_eq!(created["KmsKeyId"], "a-key-of-its-own");
    }
    let flags = ["--stack", "userdocks-test", "--secret-prefix", "flag", "--kms-key", ""];
    let output = without_names(&[&flags[..], &create].concat()).output().await.unwrap();
    assert!(output.status.success());
    let calls = aws.take_calls();
    let created = calls.iter().find(|call| call.operation == "CreateSecret").unwrap();
    assert!(created.body.contains("\"flag/apps/") && !created.body.contains("KmsKeyId"), "flags win: {}", created.body);

    let other = without_names(&["--stack", "other", "app", "list"]).output().await.unwrap();
    assert_refused(&other, "cannot read stack other: Stack with id other does not exist");
    let mut unreachable = without_names(&["--stack", "userdocks-test", "app", "list"]);
    unreachable.env("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:9").env("AWS_MAX_ATTEMPTS", "1");
    assert_refused(&unreachable.output().await.unwrap(), "cannot read stack userdocks-test: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_prefix_with_extra_slash_is_rejected() {
    let aws = FakeAws::start().await;
    for prefix in ["prefix/", "/prefix", "pre//fix", "/"] {
        let flag = aws.admin(&["--secret-prefix", prefix, "app", "create", "--name", "Test"]).output().await.unwrap();
        let variable = aws.admin(&["app", "create", "--name", "Test"]).env("SECRET_PREFIX", prefix).output().await;
        for output in [flag, variable.unwrap()] {
            assert_refused(&output, "begins or ends with a slash, or has two in a row");
            assert_eq!(output.status.code(), Some(2));
        }
    }
    assert!(aws.take_operations().iter().all(|call| call == "CreateTable"), "the command made no call");
}

/// The cache of `aws login`: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-login-credentials.html>
#[tokio::test(flavor = "multi_thread")]
async fn profile_of_aws_login_is_used() {
    let aws = FakeAws::start().await;
    let directory = tempfile::tempdir().unwrap();
    let session = "arn:aws:iam::123456789012:user/operator";
    // The file is named after the session's SHA-256.
    let name = session.parse::<ApiKeyValue>().unwrap().hash().as_str().to_owned() + ".json";
    let token = json!({
        "accessToken": {"accessKeyId": "AKIAOPERATOR", "secretAccessKey": "key", "sessionToken": "token",
            "accountId": "123456789012", "expiresAt": "2999-01-01T00:00:00Z"},
        "tokenType": "aws_sigv4", "refreshToken": "refresh", "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": "-----BEGIN EC PRIVATE KEY-----\ntest\n-----END EC PRIVATE KEY-----\n",
    });
    fs::write(directory.path().join(name), token.to_string()).unwrap();
    let config = directory.path().join("config");
    fs::write(&config, format!("[profile operator]\nlogin_session = {session}\n")).unwrap();
    let mut command = aws.admin(&["app", "list"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_CONFIG_FILE", &config);
    command.env("AWS_PROFILE", "operator").env("AWS_LOGIN_CACHE_DIRECTORY", directory.path());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
