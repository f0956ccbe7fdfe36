//! Attacks with a stolen key that must fail. docs/SECURITY.md names the tests of each threat.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use userdocks::{
    domain::{ApiKeyType, AppId, Timestamp},
    store::StoreError,
};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{FakeAws, Reply},
    contract::{self, Fixture, read_payload},
    event::Event,
    function::Function,
    in_process::InProcess,
};

/// The thief's rotation is authenticated and waits for Secrets Manager. Meanwhile the operator revokes or rotates the key.
#[tokio::test(flavor = "multi_thread")]
async fn write_in_flight_fails_if_its_key_was_ended_meanwhile() {
    let aws = FakeAws::start().await;
    for command in [&["revoke"][..], &["rotate", "--overlap", "0s"]] {
        let app = TestApp::create(&aws.services()).await;
        let before = aws.services().store.find_app(app.id()).await.unwrap().unwrap();
        aws.intercept_operation("PutSecretValue", Reply::Hold);
        let end_key = async {
            let (id, key) = (app.id().to_string(), app.write.record.id.to_string());
            aws.admin_json(&[&["api-key", command[0], &id, &key], &command[1..]].concat()).await;
        };
        // A function whose calls have no timeout waits for the command, however long it takes.
        let function = InProcess::new("post-app-secrets", aws.services());
        let event = app.event("post-app-secrets").to_string();
        let (payload, ()) = tokio::join!(function.respond(&event), aws.while_held(end_key));
        let (response, _) = read_payload(&payload);
        assert_eq!(response, contract::failure("post-app-secrets", "E4090"), "{command:?}");
        let after = aws.services().store.find_app(app.id()).await.unwrap().unwrap();
        assert_eq!(after.secret_version_id, before.secret_version_id, "{command:?}: nothing was changed");
        assert_eq!(after.version, before.version + 1, "{command:?} counts as a change of the app");
    }
}

/// A thief who writes without pause cannot prevent the revocation.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_wins_over_concurrent_changes() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let lost = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "TransactWriteItems" if lost.fetch_add(1, Relaxed) < 4 => {
            Reply::cancelled_transaction(&["TransactionConflict", "None"])
        }
        _ => Reply::Forward,
    });
    let (id, key) = (app.id().to_string(), app.write.record.id.to_string());
    let (status, revoked, errors) = aws.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert_eq!((status, &revoked["apiKey"]["status"]), (0, &json!("revoked")), "{errors}");
}

/// A thief can change the app's record without pause, but not the API key's record.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_wins_without_record_of_app() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    aws.intercept(|call| match call.operation.as_str() {
        "TransactWriteItems" if call.body.contains("#version") => {
            Reply::cancelled_transaction(&["TransactionConflict", "None"])
        }
        _ => Reply::Forward,
    });
    let (id, key) = (app.id().to_string(), app.write.record.id.to_string());
    let (status, _, errors) = aws.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert!(status == 1 && errors.contains("the API key is revoked, but a write by it"), "{errors}");
    let (keys, _) = aws.services().store.list_api_keys(app.id()).await.unwrap();
    assert!(keys.iter().any(|key| key.id == app.write.record.id && key.revoked_at.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_that_never_wins_is_not_reported_as_done() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    aws.intercept(|call| match call.operation.as_str() {
        "TransactWriteItems" => Reply::cancelled_transaction(&["TransactionConflict", "None"]),
        _ => Reply::Forward,
    });
    let (id, key) = (app.id().to_string(), app.write.record.id.to_string());
    let (status, _, errors) = aws.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert_ne!(status, 0);
    assert!(errors.contains("run the command again"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_revoked_before_conflicts_without_retries() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let store = aws.services().store;
    store.revoke_api_key(app.id(), &app.write.record, Timestamp::now()).await.unwrap();
    let _ = aws.take_operations();
    let again = store.revoke_api_key(app.id(), &app.write.record, Timestamp::now()).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(aws.take_operations(), ["TransactWriteItems", "BatchGetItem"]);
}

/// No key without an app is accepted, but an app with this id may be created later.
#[tokio::test(flavor = "multi_thread")]
async fn key_without_app_can_be_revoked() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let key = [("pk", format!("APP#{}", app.id())), ("sk", "APP".to_owned())];
    let key = key.map(|(name, value)| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value)));
    let deletion =
        aws.dynamodb().delete_item().table_name(userdocks_test_support::aws::TABLE).set_key(Some(key.into()));
    deletion.send().await.unwrap();
    let store = aws.services().store;
    store.revoke_api_key(app.id(), &app.write.record, Timestamp::now()).await.unwrap();
    assert!(store.list_api_keys(app.id()).await.unwrap().0.iter().any(|key| key.revoked_at.is_some()));
    assert_eq!(store.find_app(app.id()).await.unwrap(), None, "no part of an app is created");
}

/// Stops the function. Returns the log line of its first request.
async fn logged(function: Function) -> Value {
    function.stop().await.into_iter().find(|line| line["message"] == "request").unwrap()
}

/// The alarm that undoes a deployment ignores log lines with a `fault`. template/test_template.py tests its filter.
#[tokio::test(flavor = "multi_thread")]
async fn failure_caused_by_one_app_names_its_fault() {
    let aws = FakeAws::with_fixtures().await;
    for (name, case) in
        [("get-app-jwks", "500-E0000-corrupt-signing-key"), ("get-app-keys", "500-E0000-corrupt-api-key")]
    {
        let mut function = Function::start(name, &aws.environment()).await;
        function.invoke(&Fixture::event(name, case)).await;
        let line = logged(function).await;
        assert_eq!((&line["level"], &line["fault"]), (&json!("ERROR"), &json!("corrupt-item")), "{line}");
    }

    let cancelled = |reason| Reply::cancelled_transaction(&["None", reason]);
    for (name, operation, reply, fault) in [
        (
            "get-app-keys",
            "BatchGetItem",
            Reply::error(400, "ProvisionedThroughputExceededException"),
            json!("throttled"),
        ),
        ("get-app-secrets", "GetSecretValue", Reply::error(400, "ThrottlingException"), json!("throttled")),
        ("post-app-secrets", "PutSecretValue", Reply::error(400, "ThrottlingException"), json!("throttled")),
        ("post-app-secrets", "TransactWriteItems", cancelled("ThrottlingError"), json!("throttled")),
        // These failures have no `fault`, so that they undo a deployment.
        ("get-app-keys", "BatchGetItem", Reply::error(400, "AccessDeniedException"), Value::Null),
        ("get-app-secrets", "GetSecretValue", Reply::error(400, "ResourceNotFoundException"), Value::Null),
        ("post-app-secrets", "TransactWriteItems", Reply::error(400, "ValidationException"), Value::Null),
        ("post-app-secrets", "TransactWriteItems", cancelled("ValidationError"), Value::Null),
    ] {
        let mut function = Function::start(name, &aws.environment()).await;
        aws.intercept_operation(operation, reply);
        let response = function.invoke(&Fixture::success(name).event).await;
        assert_eq!(response["statusCode"], 500, "{name}, {operation}");
        aws.forward();
        let line = logged(function).await;
        assert_eq!((&line["level"], &line["fault"]), (&json!("ERROR"), &fault), "{line}");
    }
}

/// Compares the time that a wrong key takes for an app with eight signing keys and for an app that does not exist. Only the
/// first app's record is read. The ratio is printed, and docs/SECURITY.md quotes it.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_get_same_response_at_measured_ratio() {
    const ROUNDS: usize = 200;
    let aws = FakeAws::start().await;
    let app = TestApp::builder().standby_keys(7).create(&aws.services()).await;
    let wrong = TestKey::new(ApiKeyType::Read);
    let event = |id: AppId| Event::new("get-app-keys").caller(id, wrong.value.expose()).to_string();
    let events = [event(AppId::random()), event(app.id())];
    let mut function = Function::start("get-app-keys", &aws.environment()).await;
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut responses = Vec::new();
        for (event, took) in events.iter().zip(&mut took) {
            let begun = Instant::now();
            let (response, _) = read_payload(&function.invoke(event).await);
            took.push(begun.elapsed());
            responses.push(response);
        }
        assert_eq!(responses[0], contract::failure("get-app-keys", "E4010"));
        assert_eq!(responses[0], responses[1]);
    }
    let [absent, existing] = took.map(|mut took| {
        took.sort();
        took[ROUNDS / 2]
    });
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "wrong key, median of {ROUNDS}: no app {:.2} ms, app with 8 signing keys {:.2} ms, ratio {:.2}",
        milliseconds(absent),
        milliseconds(existing),
        existing.as_secs_f64() / absent.as_secs_f64()
    );
}
