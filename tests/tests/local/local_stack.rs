//! The local stack on a machine with AWS settings, a proxy, web pages and other users.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use tokio::net::TcpListener;
use userdocks_local::embedded;
use userdocks_test_support::{
    binary,
    stack::{Stack, fails_to_start},
};

/// An address at which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Returns AWS settings and proxies that the local stack must ignore.
fn hostile_environment(folder: &Path) -> Vec<(&'static str, String)> {
    let file = folder.join("aws configuration");
    let settings = format!(
        "retry_mode = unknown\nmax_attempts = 0\nuse_fips_endpoint = true\nendpoint_url = {NOWHERE}\nservices = all\n"
    );
    let services = format!("[services all]\ndynamodb =\n  endpoint_url = {NOWHERE}\n");
    fs::write(&file, format!("[default]\n{settings}[profile other]\n{settings}{services}")).unwrap();
    let mut environment = vec![
        ("AWS_CONFIG_FILE", file.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null/none"),
        ("AWS_PROFILE", "unknown"),
        ("AWS_ENDPOINT_URL", NOWHERE),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_RETRY_MODE", "unknown"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_CA_BUNDLE", "/dev/null/none"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_REGION", "mars-north-1"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "many"),
        ("SECRETS_KMS_KEY_ID", "alias/none"),
        ("LC_ALL", "C"),
    ];
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    environment.extend(proxies.map(|name| (name, NOWHERE)));
    environment.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

#[test]
fn hostile_environment_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("it's data");
    let hostile = hostile_environment(folder.path());
    let environment: Vec<_> = hostile.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let stack = Stack::start_in_environment(&data, &environment);
    let (mut curls, mut admins) = (0, 0);
    for line in stack.printed.lines() {
        // The binary exists already, so Cargo need not build it.
        let line = line.replace("cargo run --quiet --package userdocks-admin --", "\"$ADMIN\"");
        let is_curl = line.starts_with("curl ");
        if !is_curl && !line.starts_with(". ") {
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).envs(environment.iter().copied()).env("ADMIN", binary("userdocks-admin"));
        let output = shell.output().unwrap();
        let (printed, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {errors}");
        if is_curl {
            assert!(printed.starts_with("HTTP/1.1 200 OK\r\n"), "{line}: {printed}");
            curls += 1;
        } else {
            assert!(printed.contains("Demo"), "{line}: {printed}");
            admins += 1;
        }
    }
    assert_eq!((curls, admins), (2, 1), "{}", stack.printed);
    stack.stop();
}

#[test]
fn data_is_private_after_start_on_any_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let stack = Stack::start(&data, None);
    stack.stop();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let other = folder.path().join("other");
    fs::write(&other, "untouched").unwrap();
    fs::remove_file(data.join("environment")).unwrap();
    symlink(&other, data.join("environment")).unwrap();
    for file in files(&data) {
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();

    let stack = Stack::start(&data, None);
    assert_eq!(mode(&data), 0o755, "an existing folder keeps its mode");
    let found = files(&data);
    for name in ["dynamodb.sqlite", "secrets-manager.json", "demo-app.json", "environment", "functions.log"] {
        assert!(found.contains(&data.join(name)), "{found:?}");
    }
    for file in found {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(fs::read_to_string(other).unwrap(), "untouched");
    stack.stop();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn symbolic_link_in_place_of_data_stops_start() {
    for name in ["dynamodb.sqlite", "dynamodb.sqlite-wal", "secrets-manager.json", "demo-app.json"] {
        let folder = tempfile::tempdir().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::create_dir(&data).unwrap();
        File::create(&other).unwrap();
        symlink(&other, data.join(name)).unwrap();
        let (succeeds, error) = fails_to_start(&data, &[]);
        assert!(!succeeds && error.contains("symbolic links"), "{name}: {error}");
        assert_eq!(fs::read(&other).unwrap(), b"", "{name}");
    }
}

#[test]
fn folder_shared_with_others_stops_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o1777)).unwrap();
    let (succeeds, error) = fails_to_start(folder.path(), &[]);
    assert!(!succeeds && error.contains("DATA_DIR"), "{error}");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o1777);
}

#[tokio::test]
async fn web_page_is_refused_by_embedded_services() {
    let folder = tempfile::tempdir().unwrap();
    let (dynamodb, secrets_manager) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let services = [
        (dynamodb.local_addr().unwrap(), "DynamoDB_20120810.ListTables"),
        (secrets_manager.local_addr().unwrap(), "secretsmanager.ListSecrets"),
    ];
    embedded::start_dynamodb(dynamodb, &folder.path().join("dynamodb.sqlite")).unwrap();
    embedded::start_secrets_manager(secrets_manager, None).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (address, operation) in services {
        let port = address.port();
        let request = |method: reqwest::Method| {
            let request = client.request(method, format!("http://{address}/")).body("{}");
            let request =
                request.header("content-type", "application/x-amz-json-1.0").header("x-amz-target", operation);
            let credential = "local/20260101/us-east-1/service/aws4_request";
            let signature = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none");
            request.header("authorization", signature).header("x-amz-date", "20260101T000000Z")
        };
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("host.docker.internal:{port}")] {
            let response = request(reqwest::Method::POST).header("host", &host).send().await.unwrap();
            assert_eq!(response.status(), 200, "{operation}, {host}");
        }
        let rebound = format!("evil.example:{port}");
        for (name, value) in [("origin", "http://localhost"), ("sec-fetch-site", "cross-site"), ("host", &rebound)] {
            for method in [reqwest::Method::GET, reqwest::Method::POST, reqwest::Method::OPTIONS] {
                let response = request(method).header(name, value).send().await.unwrap();
                assert_eq!(response.status(), 403, "{operation}, {name}");
                assert_eq!(response.headers().get("access-control-allow-origin"), None, "{operation}, {name}");
                let body: serde_json::Value = response.json().await.unwrap();
                assert_eq!(body["__type"], "AccessDeniedException");
            }
        }
    }
}

#[tokio::test]
async fn embedded_dynamodb_survives_cancelled_requests() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    embedded::start_dynamodb(listener, &folder.path().join("dynamodb.sqlite")).unwrap();
    let dynamodb = aws_sdk_dynamodb::Client::new(&userdocks_local::sdk_config(&endpoint).unwrap());
    for _ in 0..20 {
        let cancelled = dynamodb.list_tables().send();
        tokio::select! { biased; _ = cancelled => {}, () = tokio::task::yield_now() => {} }
        dynamodb.list_tables().send().await.unwrap();
    }
    let many = (0..32).map(|_| dynamodb.list_tables().send());
    for result in futures_util::future::join_all(many).await {
        result.unwrap();
    }
}
