//! The response to each fixture, to malformed events and in incomplete environments, with its AWS calls and log lines.

use std::net::IpAddr;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks_test_support::{
    aws::{FakeAws, Reply},
    contract::{self, FUNCTIONS, Fixture, Route, read_payload, reading_functions},
    event::Event,
    fixtures,
    function::{Function, INVOCATION_ID},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gets_exact_response() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        let mut function = Function::start(name, &aws.environment()).await;
        for fixture in Fixture::of(name) {
            let payload = function.invoke(&fixture.event).await;
            let (response, id) = read_payload(&payload);
            fixture.assert_response(response);
            assert_eq!(payload.get("cookies").is_some(), fixture.is_readable(), "{name} {}", fixture.case);
            let event = fixture.json();
            let given = event["requestContext"]["requestId"].as_str().filter(|_| fixture.is_readable());
            let given = given.map(str::to_owned);
            assert_eq!(id, given.unwrap_or(INVOCATION_ID.to_owned()), "{name} {}", fixture.case);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gets_same_response_from_rest_api() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        let mut function = Function::start(name, &aws.environment()).await;
        for fixture in Fixture::of(name) {
            let payload = function.invoke(&fixture.to_event().rest_api().to_string()).await;
            let mut names: Vec<_> = payload.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(
                names,
                ["body", "headers", "isBase64Encoded", "statusCode"],
                "a REST API returns 502 for any other member"
            );
            fixture.assert_response(read_payload(&payload).0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_makes_one_dynamodb_call_and_secret_is_read_once() {
    let aws = FakeAws::with_fixtures().await;
    let mut keys = Function::start("get-app-keys", &aws.environment()).await;
    let mut secrets = Function::start("get-app-secrets", &aws.environment()).await;
    aws.intercept(|call| {
        let consistent = call.operation != "BatchGetItem" || call.body.contains(r#""ConsistentRead":true"#);
        if consistent { Reply::Forward } else { Reply::Send(400, "not strongly consistent".to_owned()) }
    });
    for _ in 0..2 {
        let response = keys.invoke(&Fixture::event("get-app-keys", "200-ok")).await;
        assert_eq!(response["statusCode"], 200);
    }
    assert_eq!(aws.take_operations(), ["BatchGetItem", "UpdateItem", "BatchGetItem"], "a use is recorded once an hour");
    secrets.invoke(&Fixture::event("get-app-secrets", "200-ok")).await;
    assert_eq!(aws.take_operations(), ["BatchGetItem", "GetSecretValue", "UpdateItem"], "a fetch is recorded once");
    for case in ["200-ok", "304-not-modified"] {
        secrets.invoke(&Fixture::event("get-app-secrets", case)).await;
        assert_eq!(aws.take_operations(), ["BatchGetItem"]);
    }
    let mut secrets = Function::start("get-app-secrets", &aws.environment()).await;
    let _ = aws.take_operations();
    secrets.invoke(&Fixture::event("get-app-secrets", "304-not-modified")).await;
    assert_eq!(aws.take_operations(), ["BatchGetItem"], "a 304 does not read the secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_keys_cost_one_read_and_malformed_keys_none() {
    let aws = FakeAws::with_fixtures().await;
    for name in reading_functions() {
        let mut function = Function::start(name, &aws.environment()).await;
        assert!(aws.take_operations().is_empty(), "the warm-up only connects");
        for case in ["unknown-app", "unknown-api-key", "other-apps-api-key", "revoked-api-key", "expired-api-key"] {
            function.invoke(&Fixture::event(name, &format!("401-E4010-{case}"))).await;
            assert_eq!(aws.take_operations(), ["BatchGetItem"], "{case}");
        }
        for case in ["E4010-wrong-checksum", "E4010-api-key-too-long", "E4010-missing-api-key", "E4011-missing-type"] {
            function.invoke(&Fixture::event(name, &format!("401-{case}"))).await;
            assert!(aws.take_operations().is_empty(), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_failing_check_decides() {
    type Change = fn(Event) -> Event;
    let aws = FakeAws::with_fixtures().await;
    // The checks before the read, in the contract's order. Each has a change that makes it fail.
    let changes: [(&str, Change); 5] = [
        ("E4010", |event| event.without_header("x-api-key")),
        ("E4011", |event| event.header("x-api-key-type", "write")),
        ("E4000", |event| event.app("no-uuid")),
        ("E4010", |event| event.header("x-client-id", fixtures::KEYLESS_APP)),
        ("E4010", |event| event.header("x-api-key", "ud_read_wrong")),
    ];
    for name in reading_functions() {
        let mut function = Function::start(name, &aws.environment()).await;
        for (index, (code, first)) in changes.iter().enumerate() {
            for (_, later) in &changes[index..] {
                let event = first(later(Fixture::named(name, "200-ok").to_event()));
                let (response, _) = read_payload(&function.invoke(&event).await);
                assert_eq!(response, contract::failure(name, code), "{name}: check {}", index + 1);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_of_key_come_before_checks_of_app() {
    let aws = FakeAws::with_fixtures().await;
    let update = aws.update_item(fixtures::APP, "APP");
    update
        .clone()
        .update_expression("SET isDisabled = :true")
        .expression_attribute_values(":true", AttributeValue::Bool(true))
        .send()
        .await
        .unwrap();
    let mut function = Function::start("get-app-keys", &aws.environment()).await;
    let mut code = async |case: &str| {
        let (response, _) = read_payload(&function.invoke(&Fixture::event("get-app-keys", case)).await);
        response
    };
    assert_eq!(code("401-E4010-revoked-api-key").await, contract::failure("get-app-keys", "E4010"));
    assert_eq!(code("401-E4011-write-api-key").await, contract::failure("get-app-keys", "E4011"));
    assert_eq!(code("200-ok").await, contract::failure("get-app-keys", "E4030"));
    update.update_expression("REMOVE isDisabled").send().await.unwrap();
    assert_eq!(code("401-E4010-revoked-api-key").await, contract::failure("get-app-keys", "E4010"));
    assert_eq!(code("401-E4011-write-api-key").await, contract::failure("get-app-keys", "E4011"));
    assert_eq!(code("200-ok").await, contract::failure("get-app-keys", "E0000"));
    let lines = function.stop().await;
    let cause = lines.last().unwrap()["cause"].as_str().unwrap();
    assert_eq!(cause, format!("corrupt item APP#{} / APP: attribute isDisabled is missing", fixtures::APP));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_event_gets_response_of_contract() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        let (key, kind) = if Route::of(name).key_type == Some("read") {
            (fixtures::READ_KEY, "read")
        } else {
            (fixtures::WRITE_KEY, "write")
        };
        let context = json!({"http": {"method": "GET"}});
        let headers = json!({"x-api-key": key, "x-api-key-type": kind, "x-client-id": fixtures::APP});
        let mut malformed = vec![
            ("E4010", json!(null)),
            ("E4010", json!({})),
            ("E4010", json!([])),
            ("E4010", json!("text")),
            ("E4010", json!(7)),
            ("E4010", json!({"headers": null, "pathParameters": null, "requestContext": null})),
            ("E4010", json!({"headers": ["x-api-key"], "pathParameters": [], "requestContext": "text"})),
            ("E4010", json!({"headers": {"x-api-key": ["a"], "x-client-id": {}, "x-api-key-type": false}})),
            ("E4010", json!({"version": "1.0", "requestContext": {"http": 5, "requestId": {}}, "body": {}})),
            ("E4010", json!({"headers": headers, "pathParameters": {"appId": fixtures::APP}})),
            ("E4010", json!({"headers": headers, "requestContext": {"http": {}}})),
            ("E4000", json!({"headers": headers, "requestContext": context})),
            ("E4010", json!({"headers": headers, "requestContext": context, "pathParameters": "text"})),
        ];
        let ids = ["", " ", &"x".repeat(100_000), "\u{0}", "🗝", &format!("{{{}}}", fixtures::APP)].map(|id| json!(id));
        let ids = ids.map(|id| ("E4000", id)).into_iter();
        for (code, id) in ids.chain([json!(1.5), json!(["a"]), json!({})].map(|id| ("E4010", id))) {
            let parameters = json!({"appId": id});
            let event = json!({"headers": headers, "requestContext": context, "pathParameters": parameters});
            malformed.push((code, event));
        }
        let mut function = Function::start(name, &aws.environment()).await;
        for (code, event) in &malformed {
            let (response, id) = read_payload(&function.invoke(&event).await);
            let code = match name {
                "get-app-jwks" => "E4040",
                "post-leaks" => "E4000",
                _ => code,
            };
            assert_eq!(response, contract::failure(name, code), "{name} {event}");
            assert_eq!(id, INVOCATION_ID);
        }
        let good = Fixture::success(name);
        let (response, _) = read_payload(&function.invoke(&good.event).await);
        good.assert_response(response);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_empty_variable_is_named_at_start() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        for variable in ["TABLE_NAME", "SECRET_PREFIX", "AWS_REGION"] {
            let missing = aws.environment().without(variable);
            let empty = aws.environment().with(variable, "");
            for (environment, problem) in [(missing, "not set"), (empty, "empty")] {
                let (status, lines) = Function::start(name, &environment).await.ended().await;
                assert!(!status.success());
                let line: Value = serde_json::from_str(&lines[0]).unwrap();
                assert_eq!(line["cause"], format!("the environment variable {variable} is {problem}"));
            }
        }
    }
}

/// `sam local` sets an empty token if its user's credentials have none.
#[tokio::test(flavor = "multi_thread")]
async fn empty_session_token_is_ignored() {
    let aws = FakeAws::with_fixtures().await;
    let environment = aws.environment().with("AWS_SESSION_TOKEN", "");
    let mut function = Function::start("get-app-secrets", &environment).await;
    let (response, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(response.status, 200);
}

/// The names of fixtures whose key is in the table and rejected, except those of its allow list. The log names the key.
const FAILED_CHECKS_OF_FOUND_KEYS: [&str; 8] = [
    "disabled-app",
    "expired-api-key",
    "expiring-key",
    "idempotency-key-empty",
    "idempotency-key-too-long",
    "read-api-key",
    "revoked-api-key",
    "write-api-key",
];

#[tokio::test(flavor = "multi_thread")]
async fn request_logs_one_line_with_ids_and_no_value() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        let environment = aws.environment().with("AWS_LAMBDA_LOG_LEVEL", "TRACE");
        let mut function = Function::start(name, &environment).await;
        let fixtures = Fixture::of(name);
        for fixture in &fixtures {
            function.invoke(&fixture.event).await;
        }
        // An unreadable AWS response must not be logged either.
        let unreadable = Reply::Send(200, format!(r#"{{"SecretString":"{}"#, fixtures::SECRET));
        aws.intercept_operation("GetSecretValue", unreadable);
        let unread = Fixture::of(name).into_iter().find(|fixture| fixture.case == "200-upper-case-ids");
        if let Some(unread) = &unread {
            function.invoke(&unread.event).await;
        }
        aws.forward();
        let route = Route::of(name);
        let route_name = format!("{} {}", route.method, route.path);
        let first: Value = serde_json::from_str(&function.lines()[0]).unwrap();
        assert_eq!((&first["message"], &first["route"]), (&json!("ready"), &json!(route_name)), "{first}");
        let lines = function.stop().await;
        let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
        assert_eq!(requests.len(), fixtures.len() + usize::from(unread.is_some()));
        for (line, fixture) in requests.iter().zip(&fixtures) {
            let (status, rest) = fixture.case.split_once('-').unwrap();
            let code = if status < "400" { "OK" } else { &rest[..5] };
            assert_eq!(line["status"].to_string(), status, "{}", fixture.case);
            assert_eq!(line["code"], code, "{}", fixture.case);
            assert_eq!(line["route"], route_name);
            let level = match code {
                "E0000" => "ERROR",
                _ if is_rejected_browser(fixture) || is_rejected_address(fixture) => "WARN",
                _ => "INFO",
            };
            assert_eq!(line["level"], level, "{}", fixture.case);
            assert!(code != "E4090" || line["cause"].is_string(), "the broken rule is logged: {line}");
            let source = fixture.json()["requestContext"]["http"]["sourceIp"].clone();
            let is_address = source.as_str().is_some_and(|source| source.parse::<IpAddr>().is_ok());
            let source = if fixture.is_readable() && is_address { source } else { Value::Null };
            assert_eq!(line["sourceIp"], source, "{}", fixture.case);
            let failed_check = rest.strip_prefix(code).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
            let is_found = is_rejected_address(fixture) || FAILED_CHECKS_OF_FOUND_KEYS.contains(&failed_check);
            if is_found || ["401", "403"].contains(&status) {
                assert_eq!(line["keyId"].is_string(), is_found, "{}", fixture.case);
            }
            if status < "400" && route.key_type.is_some() {
                assert!(line["appId"].is_string() && line["keyId"].as_str().unwrap().starts_with("apikey_"), "{line}");
                let names_its_subject = match name {
                    "get-app-secrets" | "post-app-secrets" => line["subject"].as_str().is_some_and(|id| id.len() == 36),
                    "get-app-keys" | "get-app-api-keys" | "delete-previous-app-secret" => line.get("subject").is_none(),
                    "post-app-api-keys" | "delete-app-api-key" => {
                        line["subject"].as_str().is_some_and(|id| id.starts_with("apikey_"))
                    }
                    _ => line["subject"].as_str().is_some_and(|id| id.starts_with("appkey_")),
                };
                assert!(names_its_subject, "{line}");
            }
        }
        let all = lines.iter().map(Value::to_string).collect::<String>();
        for secret in [
            fixtures::READ_KEY,
            fixtures::WRITE_KEY,
            fixtures::REVOKED_KEY,
            fixtures::EXPIRED_KEY,
            fixtures::IMPORTED_KEY,
            fixtures::UNKNOWN_KEY,
            fixtures::SECRET,
        ] {
            assert!(!all.contains(secret), "{secret} is logged");
        }
    }
}

fn is_rejected_browser(fixture: &Fixture) -> bool {
    fixture.status() == 401 && fixture.is_from_browser() && fixture.function.ends_with("-app-secrets")
}

/// Returns whether the key's allow list rejects the caller's address. No other check rejects a fixture with a list.
fn is_rejected_address(fixture: &Fixture) -> bool {
    fixture.status() == 401 && fixture.depends_on_address()
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_leaves_no_core_dump() {
    let aws = FakeAws::with_fixtures().await;
    for name in FUNCTIONS {
        let function = Function::start(name, &aws.environment()).await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", function.process_id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"], "{name}");
    }
}
