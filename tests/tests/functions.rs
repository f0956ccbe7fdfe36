//! The functions' real binaries, driven through the Lambda Runtime API, on embedded services that can go wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};
use userdocks_local::fixtures;
use userdocks_test_support::{
    backend::{Backend, Fate},
    contract::{self, FUNCTIONS, Fixture, READING, read_payload},
    function::{Function, INVOCATION_ID, environment},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_is_answered_to_the_letter() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        let mut function = Function::start(name, &environment(&backend)).await;
        for fixture in Fixture::of(name) {
            let payload = function.invoke(&fixture.event).await;
            let (answer, id) = read_payload(&payload);
            fixture.assert_answered(answer);
            assert_eq!(payload.get("cookies").is_some(), fixture.json()["version"] == "2.0", "{name} {}", fixture.case);
            let given = fixture.json()["requestContext"]["requestId"].as_str().map(str::to_owned);
            assert_eq!(id, given.unwrap_or(INVOCATION_ID.to_owned()), "{name} {}", fixture.case);
        }
    }
}

/// The event in payload format 1.0, as a REST API sends it.
fn of_rest_api(event: &Value) -> Value {
    let http = &event["requestContext"]["http"];
    let headers = event["headers"].as_object();
    let split = |value: &Value| match value.as_str() {
        Some(text) => text.split(',').map(Value::from).collect::<Vec<_>>(),
        None => vec![value.clone()],
    };
    let last = headers.map(|all| all.iter().map(|(name, value)| (name.clone(), split(value).pop().unwrap())).collect());
    let all = headers.map(|all| all.iter().map(|(name, value)| (name.clone(), Value::from(split(value)))).collect());
    let query = event["queryStringParameters"].as_object();
    let last_of =
        query.map(|all| all.iter().map(|(name, value)| (name.clone(), split(value).pop().unwrap())).collect());
    let all_of = query.map(|all| all.iter().map(|(name, value)| (name.clone(), Value::from(split(value)))).collect());
    json!({
        "resource": "/api/v1/apps/{appId}/{proxy+}",
        "path": event["rawPath"],
        "httpMethod": http["method"],
        "headers": last.map(Value::Object),
        "multiValueHeaders": all.map(Value::Object),
        "queryStringParameters": last_of.map(Value::Object),
        "multiValueQueryStringParameters": all_of.map(Value::Object),
        "pathParameters": event["pathParameters"],
        "requestContext": {
            "requestId": event["requestContext"]["requestId"],
            "identity": {"sourceIp": http["sourceIp"]},
        },
        "body": event["body"],
        "isBase64Encoded": event["isBase64Encoded"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_is_answered_the_same_behind_a_rest_api() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        let mut function = Function::start(name, &environment(&backend)).await;
        for fixture in Fixture::of(name) {
            let payload = function.invoke(&of_rest_api(&fixture.json()).to_string()).await;
            let mut names: Vec<_> = payload.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["body", "headers", "isBase64Encoded", "statusCode"], "it answers 502 to anything else");
            fixture.assert_answered(read_payload(&payload).0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_makes_one_dynamodb_call_and_a_secret_is_fetched_once() {
    let backend = Backend::with_fixtures().await;
    let mut keys = Function::start("get-app-keys", &environment(&backend)).await;
    let mut secrets = Function::start("get-app-secrets", &environment(&backend)).await;
    backend.judge(|call| {
        let consistent = call.operation != "BatchGetItem" || call.body.contains(r#""ConsistentRead":true"#);
        if consistent { Fate::Forwarded } else { Fate::Answered(400, "not strongly consistent".to_owned()) }
    });
    for _ in 0..2 {
        let answer = keys.invoke(&Fixture::event("get-app-keys", "200-ok")).await;
        assert_eq!(answer["statusCode"], 200);
    }
    assert_eq!(backend.take_calls(), ["BatchGetItem", "UpdateItem", "BatchGetItem"], "a use is noted once an hour");
    secrets.invoke(&Fixture::event("get-app-secrets", "200-ok")).await;
    assert_eq!(backend.take_calls(), ["BatchGetItem", "GetSecretValue"]);
    secrets.invoke(&Fixture::event("get-app-secrets", "200-ok")).await;
    assert_eq!(backend.take_calls(), ["BatchGetItem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_indistinguishable_makes_the_same_calls_and_what_needs_no_look_up_makes_none() {
    let backend = Backend::with_fixtures().await;
    for name in READING {
        let mut function = Function::start(name, &environment(&backend)).await;
        assert_eq!(backend.take_calls(), ["BatchGetItem"], "the start's own, for something that is not there");
        for case in ["unknown-app", "unknown-api-key", "other-apps-api-key", "revoked-api-key", "expired-api-key"] {
            function.invoke(&Fixture::event(name, &format!("401-E4010-{case}"))).await;
            assert_eq!(backend.take_calls(), ["BatchGetItem"], "{case}");
        }
        for case in ["E4010-wrong-checksum", "E4010-api-key-too-long", "E4010-missing-api-key", "E4011-missing-type"] {
            function.invoke(&Fixture::event(name, &format!("401-{case}"))).await;
            assert!(backend.take_calls().is_empty(), "{case}");
        }
    }
}

/// The order of the contract's checks: of two failures in one request, the earlier check answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_check_that_fails_answers() {
    type Change = fn(&mut Value);
    let backend = Backend::with_fixtures().await;
    // The checks that need no look-up, in the contract's order, each with a change that makes it fail.
    let changes: [(&str, Change); 5] = [
        ("E4010", |event| drop(event["headers"].as_object_mut().unwrap().remove("x-api-key"))),
        ("E4011", |event| event["headers"]["x-api-key-type"] = "write".into()),
        ("E4000", |event| event["pathParameters"] = json!({"appId": "no-uuid", "appUuid": "no-uuid"})),
        ("E4010", |event| event["headers"]["x-client-id"] = fixtures::KEYLESS_APP.into()),
        ("E4010", |event| event["headers"]["x-api-key"] = "ud_read_wrong".into()),
    ];
    for name in READING {
        let mut function = Function::start(name, &environment(&backend)).await;
        for (index, (code, first)) in changes.iter().enumerate() {
            for (_, later) in &changes[index..] {
                let mut changed: Value = serde_json::from_str(&Fixture::event(name, "200-ok")).unwrap();
                later(&mut changed);
                first(&mut changed);
                let (answer, _) = read_payload(&function.invoke(&changed.to_string()).await);
                assert_eq!(answer, contract::failure(name, code), "{name}: check {}", index + 1);
            }
        }
    }
}

/// A write key of a disabled app: its type answers before the app does.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_unknown_before_its_app_is_disabled_or_corrupt() {
    let backend = Backend::with_fixtures().await;
    let update = backend.update_item(fixtures::APP, "APP");
    update
        .clone()
        .update_expression("SET isDisabled = :true")
        .expression_attribute_values(":true", true_())
        .send()
        .await
        .unwrap();
    let mut function = Function::start("get-app-keys", &environment(&backend)).await;
    let mut code = async |case: &str| {
        let (answer, _) = read_payload(&function.invoke(&Fixture::event("get-app-keys", case)).await);
        answer
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

fn true_() -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::Bool(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_event_is_answered_in_the_contract() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        let (key, kind) =
            if READING.contains(&name) { (fixtures::READ_KEY, "read") } else { (fixtures::WRITE_KEY, "write") };
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
            ("E4000", json!({"headers": headers})),
            ("E4000", json!({"headers": headers, "pathParameters": "text"})),
        ];
        for id in [
            json!(""),
            json!(" "),
            json!("x".repeat(100_000)),
            json!("\u{0}"),
            json!(1.5),
            json!(["a"]),
            json!({}),
            json!("🗝"),
            json!(format!("{{{}}}", fixtures::APP)),
        ] {
            malformed.push(("E4000", json!({"headers": headers, "pathParameters": {"appId": id}})));
        }
        let mut function = Function::start(name, &environment(&backend)).await;
        for (code, event) in &malformed {
            let (answer, id) = read_payload(&function.invoke(&event.to_string()).await);
            let code = if name == "get-app-jwks" { "E4040" } else { code };
            assert_eq!(answer, contract::failure(name, code), "{name} {event}");
            assert_eq!(id, INVOCATION_ID);
        }
        let good = Fixture::success(name);
        let (answer, _) = read_payload(&function.invoke(&good.event).await);
        good.assert_answered(answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_empty_variable_is_named_at_start_up() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        for variable in ["TABLE_NAME", "SECRET_PREFIX", "AWS_REGION"] {
            let complete = environment(&backend);
            let missing: Vec<_> = complete.iter().filter(|(name, _)| *name != variable).cloned().collect();
            let empty: Vec<_> = complete
                .iter()
                .map(|(name, value)| (*name, if *name == variable { String::new() } else { value.clone() }))
                .collect();
            for (environment, problem) in [(missing, "not set"), (empty, "empty")] {
                let (status, lines) = Function::start(name, &environment).await.ended().await;
                assert!(!status.success());
                let line: Value = serde_json::from_str(&lines[0]).unwrap();
                assert_eq!(line["cause"], format!("the environment variable {variable} is {problem}"));
            }
        }
    }
}

/// `sam local` passes one where its user's credentials have none.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_session_token_is_none() {
    let backend = Backend::with_fixtures().await;
    let mut environment = environment(&backend);
    environment.push(("AWS_SESSION_TOKEN", String::new()));
    let mut function = Function::start("get-app-secrets", &environment).await;
    let (answer, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_logs_one_line_that_names_ids_and_no_value() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        let mut environment = environment(&backend);
        environment.push(("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()));
        let mut function = Function::start(name, &environment).await;
        let fixtures = Fixture::of(name);
        for fixture in &fixtures {
            function.invoke(&fixture.event).await;
        }
        // Answers of the services that can't be read are not logged either.
        backend.judge(|call| match call.operation.as_str() {
            "GetSecretValue" => Fate::Answered(200, format!(r#"{{"SecretString":"{}"#, fixtures::SECRET)),
            _ => Fate::Forwarded,
        });
        let unread = Fixture::of(name).into_iter().find(|fixture| fixture.case == "200-upper-case-ids");
        if let Some(unread) = &unread {
            function.invoke(&unread.event).await;
        }
        backend.judge(|_| Fate::Forwarded);
        let lines = function.stop().await;
        let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
        assert_eq!(requests.len(), fixtures.len() + usize::from(unread.is_some()));
        for (line, fixture) in requests.iter().zip(&fixtures) {
            let (status, rest) = fixture.case.split_once('-').unwrap();
            let code = if status < "400" { "OK" } else { &rest[..5] };
            assert_eq!(line["status"].to_string(), status, "{}", fixture.case);
            assert_eq!(line["code"], code, "{}", fixture.case);
            assert!(line["route"].as_str().unwrap().contains(" /api/v1/apps/{app"));
            let level = match code {
                "E0000" => "ERROR",
                _ if fixture.case.contains("E4010-browser") => "WARN",
                _ => "INFO",
            };
            assert_eq!(line["level"], level, "{}", fixture.case);
            assert!(code != "E4090" || line["cause"].is_string(), "the rule is told: {line}");
            let source = fixture.json()["requestContext"]["http"]["sourceIp"].clone();
            assert_eq!(line["sourceIp"], source, "{}", fixture.case);
            if status < "400" && name != "get-app-jwks" {
                assert!(line["appId"].is_string() && line["keyId"].as_str().unwrap().starts_with("apikey_"), "{line}");
                let names_its_subject = match name {
                    "get-app-secrets" | "post-app-secrets" => line["subject"].as_str().is_some_and(|id| id.len() == 36),
                    "get-app-keys" | "delete-previous-app-secret" => line.get("subject").is_none(),
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

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_core_dump() {
    let backend = Backend::with_fixtures().await;
    for name in FUNCTIONS {
        let function = Function::start(name, &environment(&backend)).await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", function.process_id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"], "{name}");
    }
}
