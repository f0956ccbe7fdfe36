//! Endpoints and credentials that the functions and `userdocks-admin` refuse, and the errors.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, process::Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use userdocks::domain::{AppId, Secret};
use userdocks_test_support::{
    app::TestApp,
    aws::{FakeAws, Reply, TABLE},
    confidential,
    contract::{FUNCTIONS, Fixture, read_payload},
    function::{Environment, Function},
};

const MALFORMED: [&str; 9] = [
    "127.0.0.1:8001",
    " http://x",
    "http://",
    "ftp://x",
    "http://a b",
    "http://x:99999",
    "http://user:hunter2pw@x",
    "http://x?query",
    "http://x#fragment",
];
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];

async fn start_with(aws: &FakeAws, name: &str, variables: &[(&str, &str)]) -> Function {
    let add = |environment: Environment, (name, value): &(&str, &str)| environment.with(name, value);
    Function::start(name, &variables.iter().fold(aws.environment(), add)).await
}

async fn cause_of_end(function: Function) -> String {
    let (status, lines) = function.ended().await;
    assert!(!status.success());
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    line["cause"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_endpoint_stops_function_and_is_named() {
    let aws = FakeAws::start().await;
    for name in FUNCTIONS {
        for (index, value) in MALFORMED.iter().enumerate() {
            let variable = ENDPOINTS[index % ENDPOINTS.len()];
            let cause = cause_of_end(start_with(&aws, name, &[(variable, value)]).await).await;
            assert!(cause.starts_with(&format!("the environment variable {variable} is not an endpoint: ")), "{cause}");
            assert!(!cause.contains("hunter2pw"), "{cause}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_endpoint_with_session_token_stops_function() {
    let aws = FakeAws::with_fixtures().await;
    let token = ("AWS_SESSION_TOKEN", "token");
    for name in FUNCTIONS {
        let network = ("AWS_ENDPOINT_URL_DYNAMODB", "http://192.0.2.1:8000");
        let cause = cause_of_end(start_with(&aws, name, &[token, network]).await).await;
        assert!(cause.contains("AWS_ENDPOINT_URL_DYNAMODB is an http:// endpoint"), "{cause}");
        // The token never leaves this machine if the endpoint is local.
        let mut local = start_with(&aws, name, &[token]).await;
        let good = Fixture::success(name);
        assert_eq!(read_payload(&local.invoke(&good.event).await).0.status, good.status());
    }
}

/// Runs `userdocks-admin` with an input that no output may contain. Returns the exit code and the errors.
async fn admin(aws: &FakeAws, variables: &[(&str, OsString)], arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = aws.admin(arguments);
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    // A variable takes precedence over the file.
    if variables.iter().any(|(name, _)| *name == "AWS_CONFIG_FILE") {
        command.env_remove("AWS_ENDPOINT_URL");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Fails if the command ends without reading its input.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = process.wait_with_output().await.unwrap();
    let (printed, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    confidential::note_response(&json!({ "SecretString": input }).to_string());
    confidential::assert_absent(&printed);
    confidential::assert_absent(&errors);
    (output.status.code().unwrap(), errors)
}

const VALUE: &str = "operators-own-secret";

#[tokio::test(flavor = "multi_thread")]
async fn admin_reports_malformed_endpoint_in_one_line() {
    let aws = FakeAws::start().await;
    let app = AppId::random().to_string();
    let not_text = OsString::from_vec(b"http://\xff".to_vec());
    let values = MALFORMED.iter().map(OsString::from).chain([not_text]);
    for (value, variable) in values.flat_map(|value| ENDPOINTS.map(|variable| (value.clone(), variable))) {
        let (code, errors) = admin(&aws, &[(variable, value)], &["secret", "set", &app], VALUE).await;
        assert_eq!((code, errors.lines().count()), (1, 1), "{errors}");
        assert!(errors.starts_with(&format!("userdocks-admin: cannot use the endpoint in {variable}: ")), "{errors}");
        assert!(!errors.contains("hunter2pw"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_endpoint_of_configuration_file_is_refused() {
    let aws = FakeAws::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let app = AppId::random().to_string();
    let services = |service| format!("[default]\nservices = s\n[services s]\n{service} =\n  endpoint_url = ftp://x\n");
    for (configuration, setting) in [
        (services("secrets-manager"), "Secrets Manager"),
        (services("dynamodb"), "DynamoDB"),
        ("[default]\nendpoint_url = user:hunter2pw@x\n".to_owned(), "Secrets Manager"),
        ("[default]\nendpoint_url = http://user:hunter2pw@x\n".to_owned(), "Secrets Manager"),
    ] {
        std::fs::write(&file, configuration).unwrap();
        let variables = [("AWS_CONFIG_FILE", file.clone().into_os_string())];
        let (code, errors) = admin(&aws, &variables, &["secret", "set", &app], VALUE).await;
        assert_eq!((code, errors.lines().count()), (1, 1), "{errors}");
        assert!(errors.contains(&format!("the endpoint in endpoint_url for {setting}")), "{errors}");
        assert!(!errors.contains("hunter2pw"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_table_is_named_with_region_and_endpoint() {
    let aws = FakeAws::with_fixtures().await;
    let expected = format!("cannot find DynamoDB table other in region us-east-1 at {}", aws.endpoint);
    let app = AppId::random().to_string();
    for arguments in [&["app", "list"][..], &["app", "show", &app], &["api-key", "list", &app], &["doctor"]] {
        let (code, _, errors) = aws.run_admin(&[&["--table", "other"], arguments].concat()).await;
        assert!(code == 1 && errors.contains(&expected), "{errors}");
    }
    for name in ["get-app-keys", "get-app-jwks", "delete-previous-app-secret"] {
        let mut function = start_with(&aws, name, &[("TABLE_NAME", "other")]).await;
        let good = Fixture::success(name);
        assert_eq!(read_payload(&function.invoke(&good.event).await).0.status, 500);
        let lines = function.stop().await;
        assert!(lines.last().unwrap()["cause"].as_str().unwrap().contains(&expected), "{lines:?}");
    }
    // A failed transaction names the table, too.
    let mut function = start_with(&aws, "delete-previous-app-secret", &[]).await;
    aws.intercept(|call| match call.operation.as_str() {
        "TransactWriteItems" => Reply::error(400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"),
        _ => Reply::Forward,
    });
    let event = Fixture::success("delete-previous-app-secret").to_event().idempotency_key("key");
    assert_eq!(read_payload(&function.invoke(&event).await).0.status, 500);
    let lines = function.stop().await;
    let expected = format!("cannot find DynamoDB table {TABLE} in region us-east-1 at {}", aws.endpoint);
    assert!(lines.last().unwrap()["cause"].as_str().unwrap().contains(&expected), "{lines:?}");
}

/// Secrets Manager's error repeats the request. The function's log is searched for the secret when the function ends.
#[tokio::test(flavor = "multi_thread")]
async fn new_secret_is_in_no_cause() {
    let aws = FakeAws::with_fixtures().await;
    let app = TestApp::create(&aws.services()).await.id().to_string();
    aws.intercept(|call| match call.operation.as_str() {
        "PutSecretValue" => {
            let echoed = json!({"__type": "ValidationException", "message": call.body}).to_string();
            Reply::Send(400, echoed)
        }
        _ => Reply::Forward,
    });
    let mut function = start_with(&aws, "post-app-secrets", &[]).await;
    let (response, _) = read_payload(&function.invoke(&Fixture::success("post-app-secrets").event).await);
    assert_eq!(response.status, 500);
    let lines = function.stop().await;
    let cause = lines.last().unwrap()["cause"].as_str().unwrap();
    assert!(cause.ends_with("the AWS response is not shown, because it repeats the secret"), "{cause}");
    for value in
        [VALUE.to_owned(), "quoted\"secret\\of\noperator".to_owned(), Secret::random().unwrap().expose().to_owned()]
    {
        let (code, errors) = admin(&aws, &[], &["secret", "set", &app], &value).await;
        assert!(code == 1 && errors.contains("because it repeats the secret"), "{errors}");
    }
}
