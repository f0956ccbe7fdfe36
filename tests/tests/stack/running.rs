//! The running stack's output, log, API and restarts.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use userdocks_test_support::{
    app_client::AppClient,
    binary, command,
    contract::{Fixture, read_payload},
    fixtures, http, project,
    stack::{Stack, fails_to_start},
};

use crate::api::{admin, call, get, keys, secret};

pub fn printed_curl_lines_work(stack: &Stack) {
    let lines: Vec<_> = stack.printed.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let output = Command::new("sh").args(["-c", line]).stderr(Stdio::null()).output().unwrap();
        let response = String::from_utf8(output.stdout).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{line}: {response}");
    }
    let demo = &stack.ready["demoApp"];
    let (app, read) = (demo["uuid"].as_str().unwrap(), demo["readKey"].as_str().unwrap());
    assert_eq!(secret(stack, app, read).len(), 64);
    assert_eq!(keys(stack, app, read).len(), 1);
    assert!(demo["writeKey"].as_str().unwrap().starts_with("ud_write_"));
}

pub fn request_prints_line_and_logs_one(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    call(stack, &app, "secrets", &read);
    let line = stack.wait_for_line(&[&app, "GET /api/v1/apps/{appId}/secrets"]);
    assert_eq!(
        line[12..].split_once("  keyId=apikey_").unwrap().0,
        format!(" 200 OK    GET /api/v1/apps/{{appId}}/secrets  appId={app}")
    );

    let file = stack.data().join("functions.log");
    let log = std::fs::read_to_string(&file).unwrap();
    let entry: Value = serde_json::from_str(log.lines().find(|line| line.contains(&app)).unwrap()).unwrap();
    assert_eq!((&entry["message"], &entry["status"], &entry["code"]), (&json!("request"), &json!(200), &json!("OK")));
    let shown = Command::new(binary("userdocks-local")).arg("logs").stdin(File::open(file).unwrap()).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().lines().any(|shown| shown == line), "{line}");
}

pub fn header_names_are_case_insensitive(stack: &Stack) {
    let (app, key) = (fixtures::APP, fixtures::READ_KEY);
    let headers = [("X-API-KEY", key), ("X-Api-Key-Type", "read"), ("X-CLIENT-ID", app)];
    for resource in ["secrets", "keys"] {
        assert_eq!(get(&format!("{}/api/v1/apps/{app}/{resource}", stack.api()), &headers).0.status, 200);
    }
}

pub fn unknown_route_is_404_of_gateway(stack: &Stack) {
    let url = format!("{}/api/v1/apps/{}/secrets", stack.api(), fixtures::APP);
    assert_eq!(http::client().put(&url).send().unwrap().status().as_u16(), 404);
    assert_eq!(http::client().get(url + "/").send().unwrap().status().as_u16(), 404);
}

pub fn cargo_lambda_invoke_accepts_fixtures(stack: &Stack) {
    let (host, port) = stack.api().strip_prefix("http://").unwrap().split_once(':').unwrap();
    for (function, case) in [("get-app-keys", "200-ok"), ("get-app-secrets", "401-E4010-revoked-api-key")] {
        let file = project().join(format!("events/{function}/{case}.json"));
        let output = command("cargo-lambda")
            .args(["lambda", "invoke", function, "--invoke-address", host, "--invoke-port", port, "--data-file"])
            .arg(&file)
            .current_dir(project())
            .output()
            .unwrap();
        let (response, _) = read_payload(&serde_json::from_slice(&output.stdout).unwrap());
        Fixture::named(function, case).assert_response(response);
    }
}

pub fn restart_keeps_data(stack: &Stack) {
    let data = tempfile::tempdir().unwrap();
    let endpoint = stack.emulator();
    let before = Stack::start(data.path(), endpoint.as_deref());
    let AppClient { id: app, read_key: read, .. } = before.create_app();
    let kept = (secret(&before, &app, &read), keys(&before, &app, &read), before.ready["demoApp"].clone());
    let addresses: Vec<String> = ["api", "dynamodb", "secretsManager"]
        .iter()
        .filter(|name| **name == "api" || endpoint.is_none())
        .map(|name| before.ready[name].as_str().unwrap().strip_prefix("http://").unwrap().to_owned())
        .collect();
    let ready = before.ready.clone();
    let stopped = before.stop();
    for address in addresses {
        assert!(TcpStream::connect(&address).is_err(), "a program still listens on {address}");
    }

    let after = match &endpoint {
        Some(emulator) => Stack::start(data.path(), Some(emulator)),
        None => Stack::start_again(data.path(), &ready, stopped),
    };
    let found = (secret(&after, &app, &read), keys(&after, &app, &read), after.ready["demoApp"].clone());
    assert_eq!(found, kept);
    let demo = &kept.2;
    assert_eq!(secret(&after, demo["uuid"].as_str().unwrap(), demo["readKey"].as_str().unwrap()).len(), 64);

    // The next start replaces revoked demo keys.
    let demo_app = demo["uuid"].as_str().unwrap();
    let shown = admin(&after, &["app", "show", demo_app]);
    for key in shown["apiKeys"].as_array().unwrap() {
        admin(&after, &["api-key", "revoke", demo_app, key["uuid"].as_str().unwrap()]);
    }
    after.stop();
    let renewed = Stack::start(data.path(), endpoint.as_deref());
    let demo = &renewed.ready["demoApp"];
    assert_eq!(secret(&renewed, demo_app, demo["readKey"].as_str().unwrap()).len(), 64);
    assert_ne!(demo["writeKey"], kept.2["writeKey"]);
    renewed.stop();
    private_files_are_private(data.path());
}

fn private_files_are_private(data: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for file in std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert!(name.starts_with("dynamodb.sqlite") || mode == 0o600, "{name} has mode {mode:o}");
    }
}

pub fn failed_start_prints_one_sentence(_: &Stack) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let path = tempfile::tempdir().unwrap();
    let wrong: [(&[(&str, &str)], String); 6] = [
        (&[("API_PORT", &port)], format!("cannot listen on port {port}: it is in use; set API_PORT to another port")),
        (&[("DYNAMODB_PORT", &port)], format!("cannot listen on port {port}: it is in use; set DYNAMODB_PORT to another port")),
        (
            &[("SECRETS_MANAGER_PORT", &port)],
            format!("cannot listen on port {port}: it is in use; set SECRETS_MANAGER_PORT to another port"),
        ),
        (&[("API_PORT", "many")], "cannot use API_PORT \"many\": it is not a port number".to_owned()),
        (&[("HOST", "nowhere")], "cannot use HOST \"nowhere\": it is not an IP address".to_owned()),
        (
            &[("PATH", path.path().to_str().unwrap())],
            "cannot run cargo-lambda: it is not on the PATH; use `make run`, or install it from https://www.cargo-lambda.info"
                .to_owned(),
        ),
    ];
    for (environment, sentence) in wrong {
        let (success, errors) = fails_to_start(path.path(), environment);
        assert!(!success);
        assert_eq!(errors, format!("userdocks-local: {sentence}\n"));
    }
}
