//! The running stack, as `make run` starts it: the contract over HTTP, the operator's commands, and restarts.
//! `EMULATOR=moto` runs the same against moto in place of the embedded services.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "stack/clients.rs"]
mod clients;
#[path = "stack/schemathesis.rs"]
mod schemathesis;

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::Arc,
};

use aws_sdk_dynamodb::types::AttributeValue;
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use userdocks_test_support::{
    binary, command,
    contract::{self, Expected, Fixture, read_payload},
    http::{self, Request, send},
    project,
    stack::{Stack, fails_to_start, free_port},
    trial::trial,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let moto = (std::env::var("EMULATOR").as_deref() == Ok("moto")).then(Moto::start);
    let endpoint = moto.as_ref().map(|moto| moto.endpoint.clone());
    let data = tempfile::tempdir().unwrap();
    let stack = Arc::new(Stack::start(data.path(), endpoint.as_deref()));
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&stack)));
    Arc::into_inner(stack).expect("no test runs any more").stop();
    conclusion.exit_code()
}

type Test = fn(&Stack);

const TESTS: [(&str, Test); 29] = [
    ("the printed curl lines work as pasted", the_printed_curl_lines_work),
    ("a request is a line for people and one of the log", a_request_is_a_line_for_people_and_one_of_the_log),
    ("header names are case-insensitive", header_names_are_case_insensitive),
    ("an unknown route or method is the gateway's matter", an_unknown_route_is_not_ours),
    ("cargo lambda invoke takes the fixtures", cargo_lambda_invoke_takes_the_fixtures),
    ("app create makes a whole app", app_create_makes_a_whole_app),
    ("app create with an id can be run again", app_create_can_be_run_again),
    ("app list and show", app_list_and_show),
    ("app list in parts", app_list_in_parts),
    ("app export and import", app_export_and_import),
    ("doctor", doctor),
    ("app disable, enable and delete", app_disable_enable_delete),
    ("api-key issue, list and revoke", api_key_issue_list_revoke),
    ("api-key import", api_key_import),
    ("secret set and rotate", secret_set_and_rotate),
    ("signing-key import and list", signing_key_import_and_list),
    ("signing-key create, activate and revoke", signing_key_create_activate_revoke),
    ("secret rotate with an overlap and end-overlap", secret_overlap),
    ("api-key rotate", api_key_rotate),
    ("a corrupt record is named and in nobody's way", a_corrupt_record_is_in_nobodys_way),
    ("verifiers that other people wrote do not notice a rotation", verifiers_do_not_notice_a_rotation),
    ("boto3 finds an app's data where it is documented", clients::boto3_reads_the_data),
    ("plain fetch runs the printed examples", clients::fetch_runs_the_printed_examples),
    ("schemathesis finds nothing with credentials", schemathesis::finds_nothing_with_credentials),
    ("schemathesis finds nothing without credentials", schemathesis::finds_nothing_without_credentials),
    ("usage errors and failures have exit codes", exit_codes),
    ("table create", table_create),
    ("a restart keeps the data", a_restart_keeps_the_data),
    ("what keeps the stack from starting is said in one sentence", one_sentence_on_what_is_wrong),
];

fn trials(stack: Option<&Arc<Stack>>) -> Vec<Trial> {
    let fixtures = Fixture::all().into_iter().map(|fixture| {
        let name = format!("{} {}", fixture.function, fixture.case);
        trial(stack, name, move |stack| a_fixture_is_answered(&fixture, stack))
    });
    let tests = TESTS.into_iter().map(|(name, test)| trial(stack, name.to_owned(), test));
    fixtures.chain(tests).collect()
}

/// moto[server], which other people wrote.
struct Moto {
    process: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Self {
        let port = free_port();
        let process = command("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server is not on the PATH: `make test-moto` installs it");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { process, endpoint: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Each fixture twice: as an event, and as the HTTP request that it is the event of.
fn a_fixture_is_answered(fixture: &Fixture, stack: &Stack) {
    let (answer, _) = read_payload(&http::invoke(stack.api(), &fixture.function, fixture));
    fixture.assert_answered(answer);
    if let Some(request) = Request::of(fixture) {
        fixture.assert_answered(request.send(stack.api()));
    }
}

fn get(url: &str, headers: &[(&str, &str)]) -> (Expected, String) {
    send("GET", url, headers, None)
}

/// What an app's backend does: one GET with its key.
fn call(stack: &Stack, app: &str, resource: &str, key: &str) -> Expected {
    let headers = [("x-api-key", key), ("x-api-key-type", "read"), ("x-client-id", app)];
    get(&format!("{}/api/v1/apps/{app}/{resource}", stack.api()), &headers).0
}

fn secret(stack: &Stack, app: &str, key: &str) -> String {
    let answer = call(stack, app, "secrets", key);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["data"]["secret"].as_str().unwrap().to_owned()
}

fn keys(stack: &Stack, app: &str, key: &str) -> Vec<Value> {
    let answer = call(stack, app, "keys", key);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["items"].as_array().unwrap().clone()
}

fn admin_with_input(stack: &Stack, arguments: &[&str], input: &str) -> Value {
    let output = stack.admin(&[&["--output", "json"], arguments].concat(), input);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else")
}

fn admin(stack: &Stack, arguments: &[&str]) -> Value {
    admin_with_input(stack, arguments, "")
}

fn admin_fails(stack: &Stack, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let output = stack.admin(&[&["--output", "json"], arguments].concat(), input);
    assert_eq!(output.stdout, b"", "{arguments:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn field_names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn the_printed_curl_lines_work(stack: &Stack) {
    let lines: Vec<_> = stack.printed.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let output = Command::new("sh").args(["-c", line]).stderr(Stdio::null()).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{line}: {answer}");
    }
    let demo = &stack.ready["demoApp"];
    let (app, read) = (demo["uuid"].as_str().unwrap(), demo["readKey"].as_str().unwrap());
    assert_eq!(secret(stack, app, read).len(), 64);
    assert_eq!(keys(stack, app, read).len(), 1);
    assert!(demo["writeKey"].as_str().unwrap().starts_with("ud_write_"));
}

fn a_request_is_a_line_for_people_and_one_of_the_log(stack: &Stack) {
    let (app, read, _) = stack.create_app();
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

fn header_names_are_case_insensitive(stack: &Stack) {
    let (app, key) = (userdocks_local::fixtures::APP, userdocks_local::fixtures::READ_KEY);
    let headers = [("X-API-KEY", key), ("X-Api-Key-Type", "read"), ("X-CLIENT-ID", app)];
    for resource in ["secrets", "keys"] {
        assert_eq!(get(&format!("{}/api/v1/apps/{app}/{resource}", stack.api()), &headers).0.status, 200);
    }
}

fn an_unknown_route_is_not_ours(stack: &Stack) {
    let url = format!("{}/api/v1/apps/{}/secrets", stack.api(), userdocks_local::fixtures::APP);
    assert_eq!(http::client().put(&url).send().unwrap().status().as_u16(), 404);
    assert_eq!(http::client().get(url + "/").send().unwrap().status().as_u16(), 404);
}

fn cargo_lambda_invoke_takes_the_fixtures(stack: &Stack) {
    let (host, port) = stack.api().strip_prefix("http://").unwrap().split_once(':').unwrap();
    for (function, case) in [("get-app-keys", "200-ok"), ("get-app-secrets", "401-E4010-revoked-api-key")] {
        let file = project().join(format!("events/{function}/{case}.json"));
        let output = command("cargo-lambda")
            .args(["lambda", "invoke", function, "--invoke-address", host, "--invoke-port", port, "--data-file"])
            .arg(&file)
            .current_dir(project())
            .output()
            .unwrap();
        let (answer, _) = read_payload(&serde_json::from_slice(&output.stdout).unwrap());
        Fixture::named(function, case).assert_answered(answer);
    }
}

fn app_create_makes_a_whole_app(stack: &Stack) {
    let created = admin(stack, &["app", "create", "--name", "Whole"]);
    assert_eq!(field_names(&created), ["app", "secret", "signingKey", "apiKeys"]);
    assert_eq!(field_names(&created["app"]), ["uuid", "name", "isDisabled", "createdAt", "updatedAt"]);
    assert_eq!((&created["app"]["name"], &created["app"]["isDisabled"]), (&json!("Whole"), &json!(false)));
    assert_eq!(field_names(&created["signingKey"]), ["uuid", "state"]);
    assert_eq!(created["signingKey"]["state"], "in_use");
    for (key, kind) in created["apiKeys"].as_array().unwrap().iter().zip(["read", "write"]) {
        assert_eq!(field_names(key), ["uuid", "type", "name", "value", "expiresAt"]);
        assert_eq!((&key["type"], &key["expiresAt"]), (&json!(kind), &Value::Null));
    }
    let (app, read) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["value"].as_str().unwrap());
    assert_eq!(secret(stack, app, read).len(), 64);
    let listed = keys(stack, app, read);
    assert_eq!((listed.len(), &listed[0]["uuid"]), (1, &created["signingKey"]["uuid"]));
    assert_eq!(listed[0]["createdAt"], created["app"]["createdAt"]);
    // RSA-4096 as SubjectPublicKeyInfo is 550 bytes.
    let pem = listed[0]["value"].as_str().unwrap();
    assert_eq!(pem.replace('\n', "").len(), "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----".len() + 736);
    let write = created["apiKeys"][1]["value"].as_str().unwrap();
    assert_eq!(call(stack, app, "keys", write), contract::failure("get-app-keys", "E4011"));
}

fn app_create_can_be_run_again(stack: &Stack) {
    let id = "dddddddd-dddd-4ddd-8ddd-dddddddddddd";
    let create = ["app", "create", "--name", "Again", "--id", id];
    let first = admin(stack, &create);
    let again = admin(stack, &[&create[..], &["--if-not-exists"]].concat());
    assert_eq!(
        (&first["app"], &first["secret"], &first["signingKey"]),
        (&again["app"], &again["secret"], &again["signingKey"])
    );
    assert_eq!(again["apiKeys"][0]["value"], Value::Null, "a value is shown once");
    let (code, error) = admin_fails(stack, &create, "");
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains(id));
}

fn app_list_and_show(stack: &Stack) {
    let (app, ..) = stack.create_app();
    let listed = admin(stack, &["app", "list"]);
    let of_list = listed["apps"].as_array().unwrap().iter().find(|listed| listed["uuid"] == app.as_str()).unwrap();
    let shown = admin(stack, &["app", "show", &app]);
    assert_eq!(field_names(&shown), ["app", "secret", "signingKeys", "apiKeys"]);
    assert_eq!(&shown["app"], of_list);
    assert_eq!(shown["apiKeys"].as_array().unwrap().len(), 2);
    let human = stack.admin(&["app", "show", &app.to_uppercase()], "");
    assert!(String::from_utf8(human.stdout).unwrap().contains(&format!("uuid        {app}\n")));
}

fn app_list_in_parts(stack: &Stack) {
    let created = [stack.create_app().0, stack.create_app().0, stack.create_app().0];
    let ids = |page: &Value| -> Vec<String> {
        page["apps"].as_array().unwrap().iter().map(|app| app["uuid"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = Vec::new();
    let mut page = admin(stack, &["app", "list", "--limit", "2"]);
    assert_eq!(field_names(&page), ["apps", "next"]);
    loop {
        all.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(ids(&page).len(), 2);
        page = admin(stack, &["app", "list", "--limit", "2", "--after", next]);
    }
    // Other tests make and delete apps meanwhile.
    assert!(created.iter().all(|app| all.iter().filter(|listed| *listed == app).count() == 1), "{all:?}");
    assert_eq!(field_names(&admin(stack, &["app", "list"])), ["apps"]);
    let human = stack.admin(&["app", "list", "--limit", "1"], "");
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.starts_with("apps\n  uuid ") && human.lines().last().unwrap().starts_with("next  "), "{human}");
    assert_eq!(stack.admin(&["app", "list", "--limit", "0"], "").status.code(), Some(2));
}

fn app_export_and_import(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let (before, old) = (keys(stack, &app, &read), secret(stack, &app, &read));
    let exported = stack.admin(&["app", "export", "--app", &app], "");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    std::fs::write(&file, exported.stdout).unwrap();
    let import = ["app", "import", file.to_str().unwrap()];
    assert_eq!(admin_fails(stack, &import, "").0, Some(1), "there is such an app");
    admin(stack, &["app", "delete", &app, "--yes"]);
    assert_eq!(admin(stack, &import)["apps"][0]["isImported"], true);
    assert_eq!(keys(stack, &app, &read), before);
    assert_ne!(secret(stack, &app, &read), old);
    assert_eq!(stack.admin(&["app", "export"], "").status.code(), Some(2), "one app, or all");
}

/// What is safe to repair of what is wrong with an app: a version and a private key that no record names.
fn doctor(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let healthy = admin(stack, &["doctor", "--app", &app]);
    assert_eq!(healthy, json!({"findings": [], "repaired": 0, "remaining": 0}));
    let orphan = "appkey_00000000-0000-4000-8000-000000000000";
    block_on(async {
        let client = aws_sdk_secretsmanager::Client::new(&sdk(stack, "secretsManager"));
        let prefix = format!("{}/apps/{app}", stack.ready["secretPrefix"].as_str().unwrap());
        let version = "00000000-0000-4000-8000-000000000001";
        let put = client.put_secret_value().secret_id(format!("{prefix}/secret")).secret_string("x");
        put.client_request_token(version).version_stages(version).send().await.unwrap();
        let name = format!("{prefix}/signing-keys/{orphan}");
        client.create_secret().name(name).secret_string("x").send().await.unwrap();
    });
    let kept = secret(stack, &app, &read);
    let all = ["doctor", "--app", &app, "--min-age", "0s"];
    let output = stack.admin(&[&["--output", "json"], &all[..]].concat(), "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "userdocks-admin: 2 findings remain\n");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(field_names(&found["findings"][0]), ["kind", "app", "id", "isRepaired", "repair", "detail"]);
    let repaired = admin(stack, &[&all[..], &["--repair"]].concat());
    assert_eq!((&repaired["repaired"], &repaired["remaining"]), (&json!(2), &json!(0)), "{repaired}");
    let mut kinds: Vec<_> =
        repaired["findings"].as_array().unwrap().iter().map(|found| found["kind"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, [json!("orphaned-private-key"), json!("orphaned-version")]);
    assert_eq!(admin(stack, &all), healthy);
    assert_eq!(secret(stack, &app, &read), kept);
}

fn app_disable_enable_delete(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    assert_eq!(admin(stack, &["app", "disable", &app])["app"]["isDisabled"], true);
    for (resource, function) in [("secrets", "get-app-secrets"), ("keys", "get-app-keys")] {
        assert_eq!(call(stack, &app, resource, &read), contract::failure(function, "E4030"));
    }
    assert_eq!(admin(stack, &["app", "enable", &app])["app"]["isDisabled"], false);
    assert_eq!(call(stack, &app, "secrets", &read).status, 200);
    assert_eq!(admin_fails(stack, &["app", "delete", &app], "").0, Some(2), "not without --yes");
    assert_eq!(admin(stack, &["app", "delete", &app, "--yes"])["deleted"]["uuid"], app.as_str());
    assert_eq!(call(stack, &app, "secrets", &read), contract::failure("get-app-secrets", "E4010"));
    assert_eq!(admin_fails(stack, &["app", "show", &app], "").0, Some(1));
    // Its secret waits for its deletion; an app of the same id brings it back.
    let again = admin(stack, &["app", "create", "--name", "Again", "--id", &app]);
    assert_eq!(secret(stack, &app, again["apiKeys"][0]["value"].as_str().unwrap()).len(), 64);
}

fn api_key_issue_list_revoke(stack: &Stack) {
    let (app, ..) = stack.create_app();
    let issued = admin(stack, &["api-key", "issue", &app, "--type", "read", "--name", "ci", "--expires-in", "90d"]);
    let key = &issued["apiKey"];
    assert_eq!(
        field_names(key),
        ["uuid", "name", "type", "hint", "status", "createdAt", "expiresAt", "revokedAt", "lastUsedAt", "value"]
    );
    let (id, value) = (key["uuid"].as_str().unwrap(), key["value"].as_str().unwrap());
    assert!(value.ends_with(key["hint"].as_str().unwrap()) && key["status"] == "active");
    assert!(key["expiresAt"].as_str().unwrap() > key["createdAt"].as_str().unwrap());
    assert_eq!(call(stack, &app, "secrets", value).status, 200);

    let listed = admin(stack, &["api-key", "list", &app]);
    let of_list = listed["apiKeys"].as_array().unwrap().iter().find(|listed| listed["uuid"] == id).unwrap();
    assert_eq!((of_list["name"].as_str(), of_list.get("value")), (Some("ci"), None));

    let revoked = admin(stack, &["api-key", "revoke", &app, id]);
    assert_eq!(revoked["apiKey"]["status"], "revoked");
    assert_eq!(call(stack, &app, "secrets", value), contract::failure("get-app-secrets", "E4010"));
    let again = admin(stack, &["api-key", "revoke", &app, id]);
    assert_eq!(again["apiKey"]["revokedAt"], revoked["apiKey"]["revokedAt"], "again changes nothing");

    let other = "apikey_00000000-0000-4000-8000-000000000000";
    assert_eq!(admin_fails(stack, &["api-key", "revoke", &app, other], "").0, Some(1));
    assert_eq!(admin_fails(stack, &["api-key", "issue", &other[7..], "--type", "read"], "").0, Some(1));
}

fn api_key_import(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let value = format!("legacy key of {app}");
    let import = ["api-key", "import", &app, "--type", "read", "--name", "legacy"];
    let imported = admin_with_input(stack, &import, &format!("{value}\n"));
    assert_eq!((&imported["apiKey"]["name"], imported["apiKey"].get("value")), (&json!("legacy"), None));
    assert_eq!(call(stack, &app, "secrets", &value).status, 200);
    for refused in [value.as_str(), "too short", &read[..read.len() - 1], &"x".repeat(257), ""] {
        let (code, error) = admin_fails(stack, &import, refused);
        assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
        assert!(refused.is_empty() || !error.contains(refused), "a key is never printed");
    }
}

fn secret_set_and_rotate(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let first = secret(stack, &app, &read);
    let rotated = admin(stack, &["secret", "rotate", &app]);
    let second = secret(stack, &app, &read);
    assert_ne!(first, second);
    assert_eq!(rotated["secret"], admin(stack, &["app", "show", &app])["secret"], "both say when the overlap ends");
    let own = "a secret of \"our\" own\\ with\nlines, 🗝";
    admin_with_input(stack, &["secret", "set", &app], &format!("{own}\n"));
    assert_eq!(secret(stack, &app, &read), own);
    assert_eq!(admin_fails(stack, &["secret", "set", &app], "\n").0, Some(1), "an empty secret is none");
    for _ in 0..25 {
        admin(stack, &["secret", "rotate", &app]);
    }
    assert_eq!(secret(stack, &app, &read).len(), 64);
}

fn signing_key_import_and_list(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let own = keys(stack, &app, &read)[0].clone();
    let pem = std::fs::read_to_string(project().join("shared/src/domain/testdata/rsa-2048.pem")).unwrap();
    let imported = admin_with_input(stack, &["signing-key", "import", &app], &pem);
    assert_eq!(imported["signingKey"]["state"], "in_use");
    let listed = keys(stack, &app, &read);
    assert_eq!(
        (listed[0]["value"].as_str(), &listed[0]["uuid"]),
        (Some(pem.as_str()), &imported["signingKey"]["uuid"])
    );
    assert_eq!((listed.len(), &listed[1]["uuid"]), (2, &own["uuid"]));
    let states: Vec<_> = admin(stack, &["signing-key", "list", &app])["signingKeys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["previous", "in_use"]);
    for other in ["ec-p256.pem", "rsa-1024.pem"] {
        let pem = std::fs::read_to_string(project().join("shared/src/domain/testdata").join(other)).unwrap();
        assert_eq!(admin_fails(stack, &["signing-key", "import", &app], &pem).0, Some(1));
    }
    assert_eq!(keys(stack, &app, &read).len(), 2);
}

fn exit_codes(stack: &Stack) {
    for usage in [&["app"][..], &["app", "show", "no-uuid"], &["nonsense"], &["app", "list", "--output", "xml"]] {
        assert_eq!(stack.admin(usage, "").status.code(), Some(2), "{usage:?}");
    }
    let failed = stack.admin(&["--table", "no-such-table", "app", "list"], "");
    assert_eq!((failed.status.code(), failed.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("ResourceNotFoundException"));
    assert_eq!(stack.admin(&["--help"], "").status.code(), Some(0));
}

fn table_create(stack: &Stack) {
    assert_eq!(admin(stack, &["table", "create", "--if-not-exists"])["table"]["created"], false);
    assert_eq!(admin_fails(stack, &["table", "create"], "").0, Some(1));
    assert_eq!(admin(stack, &["--table", "another", "table", "create"])["table"]["created"], true);
}

fn a_restart_keeps_the_data(stack: &Stack) {
    let data = tempfile::tempdir().unwrap();
    let endpoint = stack.emulator();
    let before = Stack::start(data.path(), endpoint.as_deref());
    let (app, read, _) = before.create_app();
    let kept = (secret(&before, &app, &read), keys(&before, &app, &read), before.ready["demoApp"].clone());
    let ports: Vec<String> = ["api", "dynamodb", "secretsManager"]
        .iter()
        .filter(|name| **name == "api" || endpoint.is_none())
        .map(|name| before.ready[name].as_str().unwrap().strip_prefix("http://").unwrap().to_owned())
        .collect();
    let ready = before.ready.clone();
    before.stop();
    for port in ports {
        assert!(TcpStream::connect(&port).is_err(), "{port} is still listened on");
    }

    let after = match &endpoint {
        Some(emulator) => Stack::start(data.path(), Some(emulator)),
        None => Stack::start_again(data.path(), &ready),
    };
    let found = (secret(&after, &app, &read), keys(&after, &app, &read), after.ready["demoApp"].clone());
    assert_eq!(found, kept);
    let demo = &kept.2;
    assert_eq!(secret(&after, demo["uuid"].as_str().unwrap(), demo["readKey"].as_str().unwrap()).len(), 64);

    // A demo key that its developer revoked is replaced by the next start.
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

fn one_sentence_on_what_is_wrong(_: &Stack) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let path = tempfile::tempdir().unwrap();
    let wrong: [(&[(&str, &str)], String); 6] = [
        (&[("API_PORT", &port)], format!("port {port} is in use; choose another with API_PORT")),
        (&[("DYNAMODB_PORT", &port)], format!("port {port} is in use; choose another with DYNAMODB_PORT")),
        (
            &[("SECRETS_MANAGER_PORT", &port)],
            format!("port {port} is in use; choose another with SECRETS_MANAGER_PORT"),
        ),
        (&[("API_PORT", "many")], "API_PORT is not a port: many".to_owned()),
        (&[("HOST", "nowhere")], "HOST is not an IP address: nowhere".to_owned()),
        (
            &[("PATH", path.path().to_str().unwrap())],
            "cargo-lambda is not on the PATH: start with `make run`, or install it from https://www.cargo-lambda.info"
                .to_owned(),
        ),
    ];
    for (environment, sentence) in wrong {
        let (success, errors) = fails_to_start(path.path(), environment);
        assert!(!success);
        assert_eq!(errors, format!("userdocks-local: {sentence}\n"));
    }
}

fn signing_key_create_activate_revoke(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let first = keys(stack, &app, &read)[0]["uuid"].as_str().unwrap().to_owned();
    let created = admin(stack, &["signing-key", "create", &app]);
    assert_eq!(created["signingKey"]["state"], "standby");
    let second = created["signingKey"]["uuid"].as_str().unwrap();
    let (code, error) = admin_fails(stack, &["signing-key", "activate", &app, second], "");
    assert!(code == Some(1) && error.contains("600 seconds"), "{error}");
    let activated = admin(stack, &["signing-key", "activate", &app, second, "--force"]);
    assert_eq!(activated["signingKey"]["state"], "in_use");
    assert_eq!(keys(stack, &app, &read)[0]["uuid"], second);
    assert_eq!(admin_fails(stack, &["signing-key", "revoke", &app, second], "").0, Some(1), "it is in use");
    assert_eq!(admin(stack, &["signing-key", "revoke", &app, &first])["signingKey"]["state"], "revoked");
    assert_eq!(keys(stack, &app, &read).len(), 1);
    assert_eq!(admin_fails(stack, &["signing-key", "activate", &app, &first], "").0, Some(1), "it is gone");
    admin(stack, &["signing-key", "revoke", &app, second, "--force"]);
    assert!(keys(stack, &app, &read).is_empty());
}

fn secret_overlap(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let both = || {
        let headers = [("x-api-key", read.as_str()), ("x-api-key-type", "read"), ("x-client-id", app.as_str())];
        let (answer, _) = get(&format!("{}/api/v1/apps/{app}/secrets?include=previous", stack.api()), &headers);
        serde_json::from_str::<Value>(&answer.body).unwrap()["data"].clone()
    };
    let first = secret(stack, &app, &read);
    let rotated = admin(stack, &["secret", "rotate", &app, "--overlap", "1h"]);
    assert_eq!(both()["previousSecret"], first);
    assert_eq!(both()["previousExpiresAt"], rotated["secret"]["previousExpiresAt"]);
    assert_eq!(admin(stack, &["secret", "end-overlap", &app])["secret"]["previousExpiresAt"], Value::Null);
    assert_eq!(both()["previousSecret"], Value::Null);
    assert_eq!(admin_fails(stack, &["secret", "rotate", &app, "--overlap", "31d"], "").0, Some(1));
}

fn api_key_rotate(stack: &Stack) {
    let (app, read, _) = stack.create_app();
    let of_type = |kind: &str| {
        let listed = admin(stack, &["api-key", "list", &app]);
        let keys = listed["apiKeys"].as_array().unwrap().clone();
        keys.into_iter().find(|key| key["type"] == kind && key["status"] == "active").unwrap()
    };
    let old = of_type("read")["uuid"].as_str().unwrap().to_owned();
    let rotated = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "2h"]);
    let new = rotated["apiKey"]["value"].as_str().unwrap();
    assert_eq!((&rotated["apiKey"]["type"], &rotated["apiKey"]["name"]), (&json!("read"), &json!("read")));
    assert_eq!((&rotated["previous"]["uuid"], &rotated["previous"]["status"]), (&json!(old), &json!("active")));
    assert!(rotated["previous"]["expiresAt"].is_string());
    for key in [&read, new] {
        assert_eq!(call(stack, &app, "secrets", key).status, 200, "both, while they overlap");
    }
    let listed = admin(stack, &["api-key", "list", &app]);
    assert!(
        listed["apiKeys"].as_array().unwrap().iter().all(|key| key["lastUsedAt"].is_string() || key["type"] == "write")
    );

    let again = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "30d"]);
    assert_eq!(again["previous"]["expiresAt"], rotated["previous"]["expiresAt"], "an expiry is never extended");
    let ended = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "0s"]);
    assert_eq!(ended["previous"]["status"], "expired");
    assert_eq!(call(stack, &app, "secrets", &read), contract::failure("get-app-secrets", "E4010"));
    let (code, error) = admin_fails(stack, &["api-key", "rotate", &app, &old], "");
    assert!(code == Some(1) && error.contains("expired"), "{error}");
    let write = of_type("write")["uuid"].as_str().unwrap().to_owned();
    admin(stack, &["api-key", "revoke", &app, &write]);
    assert!(admin_fails(stack, &["api-key", "rotate", &app, &write], "").1.contains("revoked"));
}

fn a_corrupt_record_is_in_nobodys_way(stack: &Stack) {
    let app = userdocks_local::fixtures::CORRUPT_APP;
    let issued = admin(stack, &["api-key", "issue", app, "--type", "read"]);
    let output = stack.admin(&["--output", "json", "api-key", "list", app], "");
    assert_eq!(output.status.code(), Some(1));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["apiKeys"][0]["uuid"], issued["apiKey"]["uuid"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().filter(|line| line.ends_with("attribute type is missing")).count(), 2, "{errors}");
    let revoked = admin(stack, &["api-key", "revoke", app, issued["apiKey"]["uuid"].as_str().unwrap()]);
    assert_eq!(revoked["apiKey"]["status"], "revoked");
}

/// The Python that has the clients' packages.
fn python() -> String {
    std::env::var("PYTHON").unwrap_or("python3".to_owned())
}

/// A verifier of tokens in a process of its own, which takes commands and gives answers as JSON lines.
struct Verifier {
    process: Child,
    answers: BufReader<ChildStdout>,
    about: Value,
}

impl Verifier {
    fn start(program: &str, script: &str, jwks: &str) -> Self {
        let script = project().join("tests/verifiers").join(script);
        let mut process = command(program)
            .arg(script)
            .arg(jwks)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut verifier = Self { process, answers, about: Value::Null };
        verifier.about = verifier.answer();
        verifier
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.process.stdin.as_mut().unwrap(), "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} answers {line:?}: {error}", self.about))
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// PyJWT and jose, which keep the JWKS for its max-age, verify every token before, during and after a rotation; a client
/// that knows no kid and takes items[0] of the keys route verifies every token of the key in use.
fn verifiers_do_not_notice_a_rotation(stack: &Stack) {
    let (app, read, write) = stack.create_app();
    let jwks = format!("{}/api/v1/apps/{app}/jwks.json", stack.api());
    let mut pyjwt = Verifier::start(&python(), "pyjwt_verifier.py", &jwks);
    let jose = Verifier::start("node", "jose_verifier.mjs", &jwks);
    println!("verifiers: {} and {}", pyjwt.about, jose.about);

    let first = keys(stack, &app, &read)[0]["uuid"].as_str().unwrap().to_owned();
    let token_before = sign(stack, &mut pyjwt, &app, &first);
    let mut both = [pyjwt, jose];
    let in_use = || keys(stack, &app, &read)[0]["value"].clone();
    assert_verified(&mut both, &[(&token_before, &first)], &in_use());

    let headers = [("x-api-key", write.as_str()), ("x-api-key-type", "write"), ("x-client-id", app.as_str())];
    let path = |key: &str| format!("{}/api/v1/apps/{app}/keys{key}", stack.api());
    let (created, _) = send("POST", &path(""), &headers, None);
    let created: Value = serde_json::from_str(&created.body).unwrap();
    let second = created["items"][0]["uuid"].as_str().unwrap().to_owned();
    assert_verified(&mut both, &[(&token_before, &first)], &in_use());
    let put = Some(r#"{"state":"in_use"}"#);
    assert_eq!(send("PUT", &path(&format!("/{second}")), &headers, put).0, contract::failure("put-app-key", "E4090"));

    // 600 seconds pass: for the key, and for the verifiers that have kept the key set since before it was made.
    make_standby_key_older(stack, &app);
    for verifier in &mut both {
        assert_eq!(verifier.ask(&json!({"advance": 600})), json!({}));
    }
    assert_eq!(send("PUT", &path(&format!("/{second}")), &headers, put).0.status, 200);
    let token_after = sign(stack, &mut both[0], &app, &second);
    assert_verified(&mut both, &[(&token_before, &first), (&token_after, &second)], &in_use());

    assert_eq!(send("DELETE", &path(&format!("/{first}")), &headers, None).0.status, 200);
    for verifier in &mut both {
        assert_eq!(verifier.ask(&json!({"advance": 601})), json!({}));
        assert_eq!(verifier.ask(&json!({"verify": token_after})), json!({"kid": second}), "{}", verifier.about);
        let revoked = verifier.ask(&json!({"verify": token_before}));
        assert!(revoked["error"].is_string(), "{}: a revoked key verifies nothing: {revoked}", verifier.about);
    }
}

/// Each verifier verifies each token; and the newest verifies with the key in use, whatever its kid.
fn assert_verified(verifiers: &mut [Verifier; 2], tokens: &[(&String, &str)], in_use: &Value) {
    for (token, kid) in tokens {
        for verifier in &mut *verifiers {
            assert_eq!(verifier.ask(&json!({"verify": token})), json!({"kid": kid}), "{}", verifier.about);
        }
    }
    let (newest, _) = tokens.last().unwrap();
    assert_eq!(verifiers[0].ask(&json!({"verify": newest, "with": in_use})), json!({}), "with items[0]");
}

/// A token signed with the private key from Secrets Manager.
fn sign(stack: &Stack, pyjwt: &mut Verifier, app: &str, key: &str) -> String {
    let name = format!("{}/apps/{app}/signing-keys/{key}", stack.ready["secretPrefix"].as_str().unwrap());
    let private = block_on(async {
        let client = aws_sdk_secretsmanager::Client::new(&sdk(stack, "secretsManager"));
        client.get_secret_value().secret_id(name).send().await.unwrap().secret_string.unwrap()
    });
    pyjwt.ask(&json!({"sign": private, "kid": key}))["token"].as_str().unwrap().to_owned()
}

fn make_standby_key_older(stack: &Stack, app: &str) {
    block_on(async {
        let client = aws_sdk_dynamodb::Client::new(&sdk(stack, "dynamodb"));
        let update = client
            .update_item()
            .table_name(stack.ready["table"].as_str().unwrap())
            .key("pk", AttributeValue::S(format!("APP#{app}")))
            .key("sk", AttributeValue::S("APP".to_owned()))
            .update_expression("SET signingKeys[1].createdAt = :then")
            .expression_attribute_values(":then", AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned()));
        update.send().await.unwrap();
    });
}

fn sdk(stack: &Stack, service: &str) -> aws_config::SdkConfig {
    userdocks_local::sdk_config(stack.ready[service].as_str().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
