//! `userdocks-admin` as operators meet it: their AWS settings, terminals, pipes and mistakes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    process::{Output, Stdio},
    sync::Mutex,
};

use axum::{Router, extract::State, http::StatusCode};
use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};
use userdocks::domain::{ApiKeyType, ApiKeyValue, App, AppId, PublicKey, SecretVersionId, SigningKeys, Timestamp};
use userdocks_test_support::{
    backend::{Backend, Fate, SECRET_PREFIX, TABLE},
    binary,
    function::environment,
};

const RSA_2048: &str = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn create_app(backend: &Backend) -> Value {
    let (code, created, errors) = backend.run_admin(&["app", "create", "--name", "Test"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    created
}

fn id(value: &Value) -> &str {
    value["uuid"].as_str().unwrap()
}

/// Runs a command with that standard input.
async fn run_with_input(backend: &Backend, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = backend.admin(&[&["--output", "json"], arguments].concat());
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // A command that reads nothing may have ended.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    process.wait_with_output().await.unwrap()
}

/// Failed as it should: exit code 1 or 2, and that in one sentence on standard error.
fn assert_refused(output: &Output, cause: &str) {
    let errors = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {errors}", output.status);
    assert!(errors.contains(cause), "{cause}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_settings_of_the_aws_cli_are_accepted() {
    let backend = Backend::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let endpoint = &backend.endpoint;
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
        let mut command = backend.admin(&["app", "list"]);
        let output = command.env("AWS_CONFIG_FILE", &file).envs(variables.iter().copied()).output().await.unwrap();
        let seen = (output.status.code(), text(&output.stdout), text(&output.stderr));
        assert_eq!(seen, (Some(0), "apps\n  none\n".to_owned(), String::new()), "{profile} {variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_aws_setting_is_one_sentence() {
    let backend = Backend::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    for (profile, variable, cause) in [
        ("", ("AWS_MAX_ATTEMPTS", "0"), "AWS_MAX_ATTEMPTS (max_attempts) is not a number of 1 or more: 0"),
        ("", ("AWS_MAX_ATTEMPTS", "many"), "1 or more: many"),
        ("", ("AWS_MAX_ATTEMPTS", "99999999999"), "1 or more: 99999999999"),
        ("", ("AWS_RETRY_MODE", "sometimes"), "not standard, adaptive or legacy: sometimes"),
        ("max_attempts = 0", ("UNUSED", ""), "1 or more: 0"),
        ("retry_mode = x", ("UNUSED", ""), "adaptive or legacy: x"),
        ("", ("AWS_REGION", ""), "no AWS region"),
        ("", ("AWS_REGION", "a b"), "userdocks-admin: "),
        ("", ("AWS_PROFILE", "unknown"), "userdocks-admin: "),
        ("[[", ("AWS_ACCESS_KEY_ID", ""), "userdocks-admin: "),
    ] {
        fs::write(&file, format!("[default]\n{profile}\n")).unwrap();
        let mut command = backend.admin(&["app", "list"]);
        command.env("AWS_CONFIG_FILE", &file).env(variable.0, variable.1).env("AWS_EC2_METADATA_DISABLED", "true");
        if variable.0 == "AWS_PROFILE" {
            command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        }
        assert_refused(&command.output().await.unwrap(), cause);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_never_panics() {
    let backend = Backend::start().await;
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
        commands.push(backend.admin(arguments));
    }
    let mut not_text = backend.admin(&["app", "create", "--name"]);
    not_text.arg(invalid);
    commands.push(not_text);
    for variable in ["TABLE_NAME", "SECRET_PREFIX"] {
        let mut not_text = backend.admin(&["app", "list"]);
        not_text.env(variable, invalid);
        commands.push(not_text);
    }
    for mut command in commands {
        assert_refused(&command.output().await.unwrap(), "");
    }
    // Errors that can't be shown, and warnings too.
    for errors in [File::create("/dev/full").unwrap().into(), Stdio::from(writer_without_reader())] {
        let mut command = backend.admin(&["app", "show", &app]);
        command.env("AWS_USE_FIPS_ENDPOINT", "perhaps").stderr(errors).stdout(Stdio::null());
        assert_eq!(command.status().await.unwrap().code(), Some(1));
    }
}

fn writer_without_reader() -> OwnedFd {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// CloudFormation, as far as `DescribeStacks` of one stack goes.
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
    let backend = Backend::start().await;
    let endpoint = start_cloudformation().await;
    let without_names = |arguments: &[&str]| {
        let mut command = backend.admin(arguments);
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
        let _ = backend.take_calls();
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let calls = backend.take_whole_calls();
        let created = calls.iter().find(|call| call.operation == "CreateSecret").unwrap();
        let created: Value = serde_json::from_str(&created.body).unwrap();
        assert!(created["Name"].as_str().unwrap().starts_with(&format!("{SECRET_PREFIX}/apps/")));
        assert_eq!(created["KmsKeyId"], "a-key-of-its-own");
    }
    let flags = ["--stack", "userdocks-test", "--secret-prefix", "flag", "--kms-key", ""];
    let output = without_names(&[&flags[..], &create].concat()).output().await.unwrap();
    assert!(output.status.success());
    let calls = backend.take_whole_calls();
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
    let backend = Backend::start().await;
    for prefix in ["prefix/", "/prefix", "pre//fix", "/"] {
        let flag =
            backend.admin(&["--secret-prefix", prefix, "app", "create", "--name", "Test"]).output().await.unwrap();
        let variable = backend.admin(&["app", "create", "--name", "Test"]).env("SECRET_PREFIX", prefix).output().await;
        for output in [flag, variable.unwrap()] {
            assert_refused(&output, "begins or ends with a slash, or has two in a row");
            assert_eq!(output.status.code(), Some(2));
        }
    }
    assert!(backend.take_calls().iter().all(|call| call == "CreateTable"), "nothing was called");
}

/// The cache that `aws login` leaves: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-login-credentials.html>
#[tokio::test(flavor = "multi_thread")]
async fn profile_of_aws_login_is_used() {
    let backend = Backend::start().await;
    let directory = tempfile::tempdir().unwrap();
    let session = "arn:aws:iam::123456789012:user/operator";
    // Its SHA-256.
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
    let mut command = backend.admin(&["app", "list"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_CONFIG_FILE", &config);
    command.env("AWS_PROFILE", "operator").env("AWS_LOGIN_CACHE_DIRECTORY", directory.path());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn unprintable_name_is_rejected_and_stored_one_escaped() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    for name in ["a\nforged", "\u{1b}[2J", "\u{202e}txt", "", &"é".repeat(101)] {
        assert_refused(&backend.admin(&["app", "create", "--name", name]).output().await.unwrap(), "a name has ");
        for command in ["issue", "import"] {
            let arguments = ["api-key", command, &app, "--type", "read", "--name", name];
            assert_refused(&run_with_input(&backend, &arguments, b"a key from elsewhere").await, "a name has ");
        }
    }
    let (_, issued, _) = backend.run_admin(&["api-key", "issue", &app, "--type", "write"]).await;
    assert_eq!(issued["apiKey"]["name"], "write", "the type is the default");

    let name = "evil\n  11111111-1111-4111-8111-111111111111  forged\u{1b}[1A\u{9b}\u{202e}";
    let stored =
        App::new(AppId::random(), name.to_owned(), SecretVersionId::random(), SigningKeys::default(), Timestamp::now());
    backend.services().store.create_app(&stored, &[]).await.unwrap();
    for arguments in [
        &["app", "list"][..],
        &["app", "show", &stored.id.to_string()],
        &["app", "export", "--all"],
        &["--output", "json", "app", "list"],
        &["app", "disable", &stored.id.to_string()],
    ] {
        let output = backend.admin(arguments).output().await.unwrap();
        let printed = text(&output.stdout);
        assert!(printed.contains("evil\\") && printed.contains("\\u202e"), "{arguments:?}: {printed}");
        assert!(!printed.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{arguments:?}: {printed}");
        assert!(!printed.lines().any(|line| line.trim_start().starts_with("11111111-")), "{arguments:?}: {printed}");
    }
    let (_, listed, _) = backend.run_admin(&["app", "show", &stored.id.to_string()]).await;
    assert_eq!(listed["app"]["name"], name, "JSON says the same text");

    let exported = backend.admin(&["app", "export", "--all"]).output().await.unwrap();
    let target = Backend::start().await;
    assert_refused(&run_with_input(&target, &["app", "import", "-"], &exported.stdout).await, "no control characters");
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetime_is_at_least_a_minute() {
    let backend = Backend::start().await;
    let created = create_app(&backend).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    for time in ["0s", "59s", "59999ms", "0M"] {
        let issue = ["api-key", "issue", app, "--type", "read", "--expires-in", time];
        let rotate = ["api-key", "rotate", app, key, "--expires-in", time];
        for arguments in [&issue[..], &rotate] {
            assert_refused(&backend.admin(arguments).output().await.unwrap(), "at least a minute");
        }
    }
    for (time, shortest, longest) in [("1m", 60, 60), ("2m", 120, 120), ("1M", 28 * 86_400, 31 * 86_400)] {
        let (code, issued, _) =
            backend.run_admin(&["api-key", "issue", app, "--type", "read", "--expires-in", time]).await;
        assert_eq!(code, 0);
        let lifetime = lifetime(&issued["apiKey"]).unwrap();
        assert!((shortest..=longest).contains(&lifetime), "{time}: {lifetime} seconds");
    }
    assert_refused(
        &backend.admin(&["secret", "rotate", app, "--overlap", "1ms"]).output().await.unwrap(),
        "whole seconds",
    );
    assert_eq!(backend.run_admin(&["secret", "rotate", app, "--overlap", "0s"]).await.0, 0);
    assert_refused(&backend.admin(&["secret", "rotate", app, "--overlap", "31d"]).output().await.unwrap(), "30 days");
    for command in [&["api-key", "issue"][..], &["api-key", "rotate"], &["secret", "set"], &["doctor"], &[]] {
        let help = text(&backend.admin(&[command, &["--help"]].concat()).output().await.unwrap().stdout);
        assert!(help.contains("minute") && help.contains("month"), "{help}");
    }
}

fn lifetime(key: &Value) -> Option<u64> {
    let time = |field: &str| Some(key[field].as_str()?.parse::<Timestamp>().unwrap());
    Some(time("expiresAt")?.since(time("createdAt")?).as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_api_key_keeps_its_lifetime() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    for (lifetimes, options) in [
        ((Some("2h"), Some(7200)), &[][..]),
        ((Some("2h"), Some(180)), &["--expires-in", "3m"]),
        ((Some("2h"), None), &["--never-expires"]),
        ((None, None), &[]),
        ((None, Some(180)), &["--expires-in", "3m"]),
    ] {
        let (before, after) = lifetimes;
        let mut issue = vec!["api-key", "issue", &app, "--type", "read"];
        issue.extend(before.iter().flat_map(|time| ["--expires-in", time]));
        let (_, issued, _) = backend.run_admin(&issue).await;
        let rotate = [&["api-key", "rotate", &app, id(&issued["apiKey"])], options].concat();
        let (code, rotated, errors) = backend.run_admin(&rotate).await;
        assert_eq!((code, lifetime(&rotated["apiKey"])), (0, after), "{rotate:?}: {errors}");
    }
    let both = [
        "api-key",
        "rotate",
        &app,
        "apikey_11111111-1111-4111-8111-111111111111",
        "--expires-in",
        "1h",
        "--never-expires",
    ];
    assert_eq!(backend.run_admin(&both).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_secret_or_key_is_not_imported_twice() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    let set = ["secret", "set", &app];
    assert!(run_with_input(&backend, &set, b"the-secret\n").await.status.success());
    let (_, before, _) = backend.run_admin(&["app", "show", &app]).await;
    assert_refused(&run_with_input(&backend, &set, b"the-secret").await, "has this secret already");
    assert_eq!(backend.run_admin(&["app", "show", &app]).await.1, before, "the overlap goes on");
    assert!(run_with_input(&backend, &set, b"another").await.status.success());
    assert!(run_with_input(&backend, &set, b"the-secret").await.status.success(), "the previous one can be put back");

    let import = ["api-key", "import", &app, "--type", "read"];
    assert!(run_with_input(&backend, &import, b"a key from elsewhere").await.status.success());
    assert_refused(&run_with_input(&backend, &import, b"a key from elsewhere\n").await, "has this API key already");

    let import = ["signing-key", "import", &app];
    let imported = run_with_input(&backend, &import, RSA_2048.as_bytes()).await;
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    let again = run_with_input(&backend, &import, RSA_2048.replace('\n', "\r\n").as_bytes()).await;
    assert_refused(&again, &format!("has this public key already: {} is in_use", id(&imported["signingKey"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_secret_is_set_with_a_warning() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    for (secret, warning) in [
        ("secret\n", ""),
        ("two\nlines\n", ""),
        ("  \n", "the secret is blank"),
        ("\u{feff}secret\n", "byte order mark"),
        ("secret\n\n", "ends with a line break"),
        (" secret", "white space"),
    ] {
        let output = run_with_input(&backend, &["secret", "set", &app], secret.as_bytes()).await;
        let errors = text(&output.stderr);
        assert!(output.status.success() && errors.contains(warning), "{secret:?}: {errors}");
        assert_eq!(errors.lines().count(), usize::from(!warning.is_empty()), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_any_length_is_read_or_refused() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    let set = ["secret", "set", &app];
    let longest = "x".repeat(65_536);
    assert!(run_with_input(&backend, &set, (longest.clone() + "\r\n").as_bytes()).await.status.success());
    assert_refused(&run_with_input(&backend, &set, (longest.clone() + "x").as_bytes()).await, "65536");
    assert_refused(&run_with_input(&backend, &set, longest.repeat(9).as_bytes()).await, "65536");
    assert_refused(&run_with_input(&backend, &set, b"").await, "1 to 65536 bytes");
    assert_refused(&run_with_input(&backend, &set, b"\xff\xfes\0").await, "not UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_key_pasted_with_more_is_recognised() {
    let backend = Backend::start().await;
    let created = create_app(&backend).await;
    let key = created["apiKeys"][0]["value"].as_str().unwrap();
    for pasted in [format!("\"{key}\""), format!("'{key}'\n"), format!("Bearer {key}\n"), format!("x-api-key: {key}")] {
        let import = ["api-key", "import", id(&created["app"]), "--type", "read"];
        let output = run_with_input(&backend, &import, pasted.as_bytes()).await;
        assert_refused(&output, "one of this system's keys with more around it");
        assert!(!text(&output.stderr).contains(key));
    }
}

/// Copies of an exported app, each with an id and API keys of its own.
async fn exported(backend: &Backend) -> impl Fn() -> String {
    let app = create_app(backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    let line = text(&backend.admin(&["app", "export", "--app", &app]).output().await.unwrap().stdout);
    let line: Value = serde_json::from_str(&line).unwrap();
    move || {
        let mut copy = line.clone();
        copy["uuid"] = AppId::random().to_string().into();
        for key in copy["apiKeys"].as_array_mut().unwrap() {
            key["sha256"] = ApiKeyValue::issue(ApiKeyType::Read).unwrap().hash().as_str().into();
        }
        copy.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_reads_pipe_and_dash() {
    let backend = Backend::start().await;
    let line = exported(&backend).await;
    for file in ["-", "/dev/stdin"] {
        let target = Backend::start().await;
        for input in [
            format!("{}\n{}\n", line(), line()),
            format!("\u{feff}{}\r\n\r\n{}\r\n", line(), line()),
            format!("\n{}\n \t\n{}", line(), line()),
        ] {
            let output = run_with_input(&target, &["app", "import", file], input.as_bytes()).await;
            assert!(output.status.success(), "{file}: {}", text(&output.stderr));
            let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(imported["apps"].as_array().unwrap().len(), 2);
        }
        let before = target.run_admin(&["app", "list"]).await.1;
        for (wrong, cause) in
            [(b"{}".to_vec(), "line 4: missing field"), (b"\xff".to_vec(), "line 4: it is not UTF-8 text")]
        {
            let input = [format!("{}\r\n\n\n", line()).into_bytes(), wrong].concat();
            assert_refused(&run_with_input(&target, &["app", "import", file], &input).await, cause);
        }
        assert_eq!(target.run_admin(&["app", "list"]).await.1, before, "nothing was imported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_key_is_not_made_for_closed_output() {
    let backend = Backend::start().await;
    let created = create_app(&backend).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    let _ = backend.take_calls();
    for arguments in [
        &["app", "create", "--name", "Test"][..],
        &["api-key", "issue", app, "--type", "read"],
        &["api-key", "rotate", app, key],
    ] {
        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(binary("userdocks-admin")).args(arguments);
        closed.env_clear().envs(environment(&backend)).stdin(Stdio::null());
        assert_refused(&closed.output().await.unwrap(), "standard output: it is closed; nothing was changed");

        let mut full = backend.admin(arguments);
        let full = full.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        assert_refused(&full.wait_with_output().await.unwrap(), "No space left on device; nothing was changed");

        let mut broken = backend.admin(arguments);
        let broken = broken.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
        assert_refused(&broken.wait_with_output().await.unwrap(), "its reader is gone; nothing was changed");
        assert!(backend.take_calls().is_empty(), "{arguments:?}");
        // Whoever throws the output away means it.
        assert!(backend.admin(arguments).stdout(Stdio::null()).status().await.unwrap().success());
        let _ = backend.take_calls();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_key_whose_printing_fails_is_named() {
    let backend = Backend::start().await;
    let created = create_app(&backend).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    let known = backend.services().store.list_api_keys(app.parse().unwrap()).await.unwrap().0;
    for arguments in [
        &["app", "create", "--name", "Test"][..],
        &["api-key", "issue", app, "--type", "read"],
        &["api-key", "rotate", app, key],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        let reader = Mutex::new(Some(reader));
        // Whoever reads goes away while the key is made.
        backend.judge(move |call| {
            if call.operation == "TransactWriteItems" {
                reader.lock().unwrap().take();
            }
            Fate::Forwarded
        });
        let mut command = backend.admin(arguments);
        let process = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let output = process.wait_with_output().await.unwrap();
        assert_refused(&output, "its value is lost");
        let errors = text(&output.stderr);
        let revocations: Vec<Vec<&str>> = errors
            .lines()
            .filter_map(|line| line.split_once("`userdocks-admin ")?.1.strip_suffix('`'))
            .map(|command| command.split(' ').collect())
            .collect();
        assert_eq!(revocations.len(), if arguments[1] == "create" { 2 } else { 1 }, "{errors}");
        for revocation in revocations {
            let (code, revoked, errors) = backend.run_admin(&revocation).await;
            assert_eq!((code, &revoked["apiKey"]["status"]), (0, &json!("revoked")), "{errors}");
            assert!(known.iter().all(|key| key.id.to_string() != id(&revoked["apiKey"])), "the new one");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_into_closed_pipe_ends_quietly() {
    let backend = Backend::start().await;
    let created = create_app(&backend).await;
    let app = id(&created["app"]);
    for arguments in [
        &["app", "list"][..],
        &["app", "show", app],
        &["app", "export", "--all"],
        &["api-key", "list", app],
        &["signing-key", "list", app],
        &["doctor"],
    ] {
        let mut command = backend.admin(arguments);
        let process = command.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
        let output = process.wait_with_output().await.unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()), "{arguments:?}");
    }
    // A change is told, whoever listens.
    let mut command = backend.admin(&["app", "disable", app]);
    let process = command.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
    assert_refused(&process.wait_with_output().await.unwrap(), "its reader is gone");
}

/// What a command shows at a terminal, of which the test has the other end.
struct Terminal {
    master: File,
    shown: String,
}

impl Terminal {
    /// Starts the command; its standard output stays a pipe.
    fn start(command: &mut Command) -> (Self, tokio::process::Child) {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        command.stdin(terminal.slave.try_clone().unwrap()).stderr(terminal.slave).stdout(Stdio::piped());
        let process = command.spawn().unwrap();
        // The command has the last handles to the terminal.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        (Self { master: terminal.master.into(), shown: String::new() }, process)
    }

    /// Reads on until that is shown, and types.
    fn answer(&mut self, question: &str, typed: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(question) {
            assert!(self.read(), "{question}: {}", self.shown);
        }
        self.master.write_all(typed.as_bytes()).unwrap();
    }

    fn read(&mut self) -> bool {
        let mut part = [0; 1024];
        // EIO: the command has ended.
        let count = self.master.read(&mut part).unwrap_or_default();
        self.shown.push_str(&String::from_utf8_lossy(&part[..count]));
        count > 0
    }

    fn rest(mut self) -> String {
        while self.read() {}
        self.shown
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_typed_twice_and_not_shown() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    let version = async || backend.run_admin(&["app", "show", &app]).await.1["secret"]["versionId"].clone();
    let first = version().await;
    for (typed, again, code, shown) in [
        ("typed-secret\n", "typed-other\n", 1, "differ"),
        ("typed-secret\n", "\u{3}", 1, "interrupted"),
        (&("typed-".to_owned() + &"x".repeat(5_000) + "\n"), "", 1, "pipe a longer one in"),
        ("typed-secret\n", "typed-secret\n", 0, ""),
    ] {
        let (mut terminal, process) = Terminal::start(&mut backend.admin(&["secret", "set", &app]));
        terminal.answer("New secret: ", typed);
        if !again.is_empty() {
            terminal.answer("The same again: ", again);
        }
        let output = tokio::task::spawn_blocking(|| terminal.rest());
        let (ended, all) = (process.wait_with_output().await.unwrap(), output.await.unwrap());
        assert_eq!(ended.status.code(), Some(code), "{all}");
        assert!(all.contains(shown) && !all.contains("typed-"), "{all}");
        assert_eq!(version().await != first, code == 0);
    }
    let current = version().await.as_str().unwrap().parse().unwrap();
    let secret = backend.services().secrets.app_secret(app.parse().unwrap(), current).await.unwrap();
    assert_eq!(secret.expose(), "typed-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_at_a_terminal_say_what_they_wait_for() {
    let backend = Backend::start().await;
    let app = create_app(&backend).await["app"]["uuid"].as_str().unwrap().to_owned();
    let key = ["api-key", "import", &app, "--type", "read"];
    let (mut terminal, process) = Terminal::start(&mut backend.admin(&key));
    terminal.answer("API key: ", "a-key-from-elsewhere\n");
    let output = tokio::task::spawn_blocking(|| terminal.rest());
    assert!(process.wait_with_output().await.unwrap().status.success());
    assert!(!output.await.unwrap().contains("elsewhere"));

    let (mut terminal, process) = Terminal::start(&mut backend.admin(&["signing-key", "import", &app]));
    terminal.answer("Paste the public key (PEM), then press Enter and Ctrl-D", &format!("{RSA_2048}\u{4}"));
    let output = tokio::task::spawn_blocking(|| terminal.rest());
    assert!(process.wait_with_output().await.unwrap().status.success());
    output.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_dumps_are_off() {
    let backend = Backend::start().await;
    let (mut terminal, mut process) =
        Terminal::start(&mut backend.admin(&["secret", "set", &AppId::random().to_string()]));
    terminal.answer("New secret: ", "");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id().unwrap())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    process.kill().await.unwrap();
}

/// What OpenSSL and Node.js both read is imported, as the same key; and what is not imported, one of them can't read.
#[test]
fn pem_that_openssl_and_node_read_is_imported() {
    let body: String = RSA_2048.lines().filter(|line| !line.starts_with('-')).collect();
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let spki = |body: &str| block("PUBLIC KEY", body);
    let wrapped = |body: &str, width: usize| {
        let lines: Vec<_> = body.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
        lines.join("\n")
    };
    let decode = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let encode = |der: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let der = decode(&body);
    // 30 82 hh ll: the length of the whole; then 30 0d …: rsaEncryption and NULL; then 03 82 hh ll 00: the key.
    let pkcs1 = &der[24..];
    let no_null = [&[0x30, 0x82, 1, 0x20, 0x30, 11], &der[6..17], &der[19..]].concat();
    let forms = [
        ("as it is", RSA_2048.to_owned(), true),
        ("one line", spki(&body), true),
        ("wide lines", spki(&wrapped(&body, 76)), true),
        ("narrow lines", spki(&wrapped(&body, 7)), true),
        ("CRLF", RSA_2048.replace('\n', "\r\n"), true),
        ("byte order mark", format!("\u{feff}{RSA_2048}"), true),
        ("text before", format!("Our key:\n# 2026\n\n{RSA_2048}"), true),
        ("text behind", format!("{RSA_2048}\nRegards\n"), true),
        ("no line end", RSA_2048.trim_end().to_owned(), true),
        ("white space in lines", RSA_2048.replace("\n", " \t\n").replacen("MII", "M II", 1), true),
        ("blank line inside", spki(&format!("\n{}", wrapped(&body, 64))), true),
        ("two keys", format!("{RSA_2048}{RSA_2048}"), true),
        ("PKCS#1", block("RSA PUBLIC KEY", &wrapped(&encode(pkcs1), 64)), true),
        ("PKCS#1 in one line", block("RSA PUBLIC KEY", &encode(pkcs1)), true),
        ("no NULL", spki(&encode(&no_null)), true),
        ("more DER behind", spki(&encode(&[&der, &b"xx"[..]].concat())), true),
        ("length longer than need be", spki(&encode(&[&[0x30, 0x83, 0], &der[2..]].concat())), true),
        ("open length", spki(&encode(&[&[0x30, 0x80], &der[4..], &[0, 0]].concat())), true),
        ("NUL behind", format!("{RSA_2048}\0"), true),
        ("only PKCS#1's label", RSA_2048.replace("PUBLIC KEY", "RSA PUBLIC KEY"), false),
        ("only SPKI's label", spki(&encode(pkcs1)), false),
        ("cut", RSA_2048[..200].to_owned(), false),
        ("another alphabet", spki(&body.replace('+', "-").replace('/', "_")), false),
        ("elliptic curve", include_str!("../../shared/src/domain/testdata/ec-p256.pem").to_owned(), false),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (form, pem, is_read_by_both) in forms {
        let file = directory.path().join("key.pem");
        fs::write(&file, &pem).unwrap();
        let (openssl, node) = (openssl(&file), node(&file));
        assert_eq!(openssl.is_some() && node.is_some(), is_read_by_both, "{form}: {openssl:?}, {node:?}");
        let imported = PublicKey::import(&pem);
        assert_eq!(imported.is_ok(), is_read_by_both, "{form}: {imported:?}");
        if let Ok(imported) = imported {
            assert_eq!(
                (openssl.as_deref(), node.as_deref()),
                (Some(imported.as_pem()), Some(imported.as_pem())),
                "{form}"
            );
        }
    }
}

/// The RSA key as OpenSSL writes it again.
fn openssl(file: &Path) -> Option<String> {
    let output = std::process::Command::new("openssl").args(["rsa", "-pubin", "-in"]).arg(file).output().unwrap();
    output.status.success().then(|| text(&output.stdout))
}

fn node(file: &Path) -> Option<String> {
    let script = "const key = require('crypto').createPublicKey(require('fs').readFileSync(process.argv[1]));
        if (key.asymmetricKeyType !== 'rsa') process.exit(1);
        process.stdout.write(key.export({ type: 'spki', format: 'pem' }));";
    let output = std::process::Command::new("node").args(["-e", script]).arg(file).output().unwrap();
    output.status.success().then(|| text(&output.stdout))
}
