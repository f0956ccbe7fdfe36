//! What a thief of one key, one function or one browser tab can't do. Other tests of docs/SECURITY.md's table are named there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use userdocks::{
    domain::{ApiKey, ApiKeyType, ApiKeyValue, AppId, KeyLimits, PublicKey, SigningKeyId, Timestamp},
    store::StoreError,
};
use userdocks_test_support::{
    backend::{Backend, Fate},
    contract::{self, Fixture, read_payload},
    function::{Function, environment},
};

/// A new app with its write key: value and record.
struct App {
    id: AppId,
    write: ApiKeyValue,
    record: ApiKey,
}

impl App {
    async fn create(backend: &Backend) -> Self {
        let values = [ApiKeyValue::issue(ApiKeyType::Read).unwrap(), ApiKeyValue::issue(ApiKeyType::Write).unwrap()];
        let (id, services) = (AppId::random(), backend.services());
        let created = userdocks_admin::app::create_with_keys(&services, id, "Test".to_owned(), &values);
        let (_, mut records) = Box::pin(created).await.unwrap();
        let [_, write] = values;
        Self { id, write, record: records.pop().unwrap() }
    }

    /// A rotation of the secret.
    fn rotation(&self) -> String {
        let id = self.id.to_string();
        json!({
            "headers": {"x-api-key": self.write.expose(), "x-api-key-type": "write", "x-client-id": id},
            "pathParameters": {"appId": id},
        })
        .to_string()
    }
}

/// DynamoDB's refusal of a transaction because of another one.
fn transaction_conflict() -> Fate {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None]",
        "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
    });
    Fate::Answered(400, body.to_string())
}

/// The thief's rotation has been authenticated and waits for Secrets Manager while the operator ends its key.
#[tokio::test(flavor = "multi_thread")]
async fn write_in_flight_fails_if_its_key_was_ended_meanwhile() {
    let backend = Backend::start().await;
    for command in [&["revoke"][..], &["rotate", "--overlap", "0s"]] {
        let app = App::create(&backend).await;
        let before = backend.services().store.find_app(app.id).await.unwrap().unwrap();
        let mut function = Function::start("post-app-secrets", &environment(&backend)).await;
        backend.judge(|call| if call.operation == "PutSecretValue" { Fate::Unanswered } else { Fate::Forwarded });
        let rotation = app.rotation();
        let (answer, ()) = tokio::join!(function.invoke(&rotation), async {
            backend.unanswered().await;
            backend.judge(|_| Fate::Forwarded);
            let (id, key) = (app.id.to_string(), app.record.id.to_string());
            let arguments = [&["api-key", command[0], &id, &key], &command[1..]].concat();
            let (status, _, errors) = backend.run_admin(&arguments).await;
            assert_eq!(status, 0, "{command:?}: {errors}");
        });
        assert_eq!(read_payload(&answer).0, contract::failure("post-app-secrets", "E4090"), "{command:?}");
        let after = backend.services().store.find_app(app.id).await.unwrap().unwrap();
        assert_eq!(after.secret_version_id, before.secret_version_id, "{command:?}: nothing was changed");
        assert_eq!(after.version, before.version + 1, "{command:?} counts as a change of the app");
    }
}

/// A thief who writes all the time must not keep the operator from revoking.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_wins_over_concurrent_changes() {
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    let lost = AtomicUsize::new(0);
    backend.judge(move |call| match call.operation.as_str() {
        "TransactWriteItems" if lost.fetch_add(1, Relaxed) < 4 => transaction_conflict(),
        _ => Fate::Forwarded,
    });
    let (id, key) = (app.id.to_string(), app.record.id.to_string());
    let (status, revoked, errors) = backend.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert_eq!((status, &revoked["apiKey"]["status"]), (0, &json!("revoked")), "{errors}");
}

/// A thief who writes to the app's record without pause can't write to its API key's.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_wins_without_record_of_app() {
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    backend.judge(|call| match call.operation.as_str() {
        "TransactWriteItems" if call.body.contains("#version") => transaction_conflict(),
        _ => Fate::Forwarded,
    });
    let (id, key) = (app.id.to_string(), app.record.id.to_string());
    let (status, _, errors) = backend.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert!(status == 1 && errors.contains("the API key is revoked, but a write by it"), "{errors}");
    let (keys, _) = backend.services().store.list_api_keys(app.id).await.unwrap();
    assert!(keys.iter().any(|key| key.id == app.record.id && key.revoked_at.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_that_never_wins_is_not_reported_as_done() {
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    backend.judge(|call| match call.operation.as_str() {
        "TransactWriteItems" => transaction_conflict(),
        _ => Fate::Forwarded,
    });
    let (id, key) = (app.id.to_string(), app.record.id.to_string());
    let (status, _, errors) = backend.run_admin(&["api-key", "revoke", &id, &key]).await;
    assert_ne!(status, 0);
    assert!(errors.contains("run the command again"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_revoked_before_conflicts_without_retries() {
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    let store = backend.services().store;
    store.revoke_api_key(app.id, &app.record.hash, Timestamp::now()).await.unwrap();
    let _ = backend.take_calls();
    let again = store.revoke_api_key(app.id, &app.record.hash, Timestamp::now()).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(backend.take_calls(), ["TransactWriteItems", "BatchGetItem"]);
}

/// It lets nobody in, but an app of that id may be made later.
#[tokio::test(flavor = "multi_thread")]
async fn key_without_app_can_be_revoked() {
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    let key = [("pk", format!("APP#{}", app.id)), ("sk", "APP".to_owned())];
    let key = key.map(|(name, value)| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value)));
    let deletion =
        backend.dynamodb().delete_item().table_name(userdocks_test_support::backend::TABLE).set_key(Some(key.into()));
    deletion.send().await.unwrap();
    let store = backend.services().store;
    store.revoke_api_key(app.id, &app.record.hash, Timestamp::now()).await.unwrap();
    assert!(store.list_api_keys(app.id).await.unwrap().0.iter().any(|key| key.revoked_at.is_some()));
    assert_eq!(store.find_app(app.id).await.unwrap(), None, "no half of an app is made");
}

/// The line of a request's log.
async fn logged(function: Function) -> Value {
    function.stop().await.into_iter().find(|line| line["message"] == "request").unwrap()
}

/// template.yaml's alarm on deployments passes lines with a `fault` over; template/test_template.py has that half.
#[tokio::test(flavor = "multi_thread")]
async fn failures_of_one_apps_making_name_their_fault() {
    let backend = Backend::with_fixtures().await;
    for (name, case) in
        [("get-app-jwks", "500-E0000-corrupt-signing-key"), ("get-app-keys", "500-E0000-corrupt-api-key")]
    {
        let mut function = Function::start(name, &environment(&backend)).await;
        function.invoke(&Fixture::event(name, case)).await;
        let line = logged(function).await;
        assert_eq!((&line["level"], &line["fault"]), (&json!("ERROR"), &json!("corrupt-item")), "{line}");
    }

    let throttled = |kind: &str| Fate::Answered(400, json!({"__type": kind, "message": "slow down"}).to_string());
    let cancelled = Fate::Answered(
        400,
        json!({"__type": "TransactionCanceledException", "Message": "reasons [None, ThrottlingError]"}).to_string(),
    );
    for (name, operation, fate, fault) in [
        ("get-app-keys", "BatchGetItem", throttled("ProvisionedThroughputExceededException"), json!("throttled")),
        ("get-app-secrets", "GetSecretValue", throttled("ThrottlingException"), json!("throttled")),
        ("post-app-secrets", "PutSecretValue", throttled("ThrottlingException"), json!("throttled")),
        ("post-app-secrets", "TransactWriteItems", cancelled, json!("throttled")),
        // What is no app's doing does undo a deployment.
        ("get-app-keys", "BatchGetItem", throttled("AccessDeniedException"), Value::Null),
        ("get-app-secrets", "GetSecretValue", throttled("ResourceNotFoundException"), Value::Null),
        ("post-app-secrets", "TransactWriteItems", throttled("ValidationException"), Value::Null),
    ] {
        let mut function = Function::start(name, &environment(&backend)).await;
        backend.judge(move |call| if call.operation == operation { fate.clone() } else { Fate::Forwarded });
        let answer = function.invoke(&Fixture::success(name).event).await;
        assert_eq!(answer["statusCode"], 500, "{name}, {operation}");
        backend.judge(|_| Fate::Forwarded);
        let line = logged(function).await;
        assert_eq!((&line["level"], &line["fault"]), (&json!("ERROR"), &fault), "{line}");
    }
}

/// Says how much longer a wrong key takes for an app with eight signing keys than for one that does not exist: DynamoDB returns
/// the app's record, and the function has to read it. Run it with `--nocapture`; docs/SECURITY.md has the figures.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_get_the_same_response_at_a_measured_ratio() {
    const ROUNDS: usize = 200;
    let backend = Backend::start().await;
    let app = App::create(&backend).await;
    let store = backend.services().store;
    let read = store.find_app(app.id).await.unwrap().unwrap();
    let (mut full, pem) = (read.clone(), read.signing_keys.in_use().unwrap().public_key.as_pem().to_owned());
    while full.signing_keys.iter().count() < 8 {
        let key = PublicKey::from_stored(pem.clone()).unwrap();
        full.signing_keys.add_standby(KeyLimits::API, SigningKeyId::random(), key, Timestamp::now()).unwrap();
    }
    store.update_app(&read, full, Timestamp::now(), None).await.unwrap();

    let wrong = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
    let event = |id: AppId| {
        let id = id.to_string();
        json!({
            "headers": {"x-api-key": wrong.expose(), "x-api-key-type": "read", "x-client-id": id},
            "pathParameters": {"appUuid": id},
        })
        .to_string()
    };
    let events = [event(AppId::random()), event(app.id)];
    let mut function = Function::start("get-app-keys", &environment(&backend)).await;
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut answers = Vec::new();
        for (event, took) in events.iter().zip(&mut took) {
            let begun = Instant::now();
            let (answer, _) = read_payload(&function.invoke(event).await);
            took.push(begun.elapsed());
            answers.push(answer);
        }
        assert_eq!(answers[0], contract::failure("get-app-keys", "E4010"));
        assert_eq!(answers[0], answers[1]);
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
