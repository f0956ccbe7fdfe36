//! Writes that are repeated one after another and in parallel.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{ApiKeyType, SigningKeyId};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{Reply, TABLE},
    contract::read_payload,
    event::Event,
    function::Function,
};

use crate::api::{Api, WRITES};

#[tokio::test(flavor = "multi_thread")]
async fn repeated_write_returns_stored_result() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let standby = api.add_standby(&app).await;
    let writes = [
        app.event("post-app-keys").body("{}"),
        app.event("post-app-secrets"),
        app.event("put-app-key").key(&standby).body(r#"{"state":"in_use","force":true}"#),
        app.event("delete-app-key").key(&standby).query("force", "true"),
        app.event("delete-previous-app-secret"),
    ];
    for (function, write) in WRITES.into_iter().zip(writes) {
        let event = write.idempotency_key(function);
        let first = api.call(function, &event).await;
        assert!(first.0 < 300, "{function}: {first:?}");
        let state = (api.published(&app).await, api.secret(&app).await);
        assert_eq!(api.call(function, &event).await, first, "{function}");
        assert_eq!((api.published(&app).await, api.secret(&app).await), state, "{function}");
        // A new process has cached nothing.
        let mut process = Function::start(function, &api.aws.environment()).await;
        let (again, _) = read_payload(&process.invoke(&event).await);
        assert_eq!((again.status, serde_json::from_str::<Value>(&again.body).unwrap()), first, "{function}");
        let other = event.query("force", "false");
        assert_eq!(api.call(function, &other).await.0, 409, "{function}: another request has this Idempotency-Key");
    }
    // Another write key has its own Idempotency-Keys.
    let other = TestKey::new(ApiKeyType::Write);
    api.aws.services().store.add_api_key(app.id(), &other.record).await.unwrap();
    let before = api.secret(&app).await;
    let event = Event::new("post-app-secrets").caller(app.id(), other.value.expose());
    let (status, body) = api.call("post-app-secrets", &event.idempotency_key("post-app-secrets")).await;
    assert_eq!(status, 201);
    assert_ne!(body["data"]["secret"], before);
}

/// The event has neither the method nor the path, so the conflict does not depend on them.
#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_of_another_route_conflicts() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let event = |function| app.event(function).idempotency_key("once").without_route();
    let end = event("delete-previous-app-secret");
    let key = |key: SigningKeyId| event("delete-app-key").key(key).without_route();
    let [first, second] = [SigningKeyId::random(), SigningKeyId::random()];
    assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
    assert_eq!(api.call("put-app-key", &end).await.0, 409);
    assert_eq!(api.call("post-app-secrets", &end).await.0, 409);
    assert_eq!(api.call("delete-app-key", &key(first)).await.0, 409);
    assert_eq!(api.call("delete-previous-app-secret", &key(second)).await.0, 409);
    assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
}

/// Fails if there is no stored result, or one has the secret.
async fn expire_stored_results(api: &Api, app: &TestApp, secret: &str) {
    let mut results = api.aws.dynamodb().scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    results.retain(|item| item["sk"].as_s().unwrap().starts_with("IDEMPOTENCY#"));
    assert!(!results.is_empty());
    for result in results {
        assert!(result.values().all(|value| value.as_s().map_or("", String::as_str) != secret));
        let update = api.aws.update_item(app.id(), result["sk"].as_s().unwrap()).update_expression("SET #ttl = :past");
        let update = update.expression_attribute_names("#ttl", "ttl");
        update.expression_attribute_values(":past", AttributeValue::N("1".to_owned())).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_result_expires_after_one_day() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let event = app.event("post-app-secrets").idempotency_key("daily");
    let first = api.call("post-app-secrets", &event).await;
    expire_stored_results(&api, &app, first.1["data"]["secret"].as_str().unwrap()).await;
    let second = api.call("post-app-secrets", &event).await;
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1);
    assert_eq!(api.call("post-app-secrets", &event).await, second, "the second result is stored");

    // Another change overtakes the repetition of an expired write.
    let event = app.event("delete-previous-app-secret").idempotency_key("overtaken");
    assert_eq!(api.call("delete-previous-app-secret", &event).await.0, 200);
    expire_stored_results(&api, &app, &api.secret(&app).await).await;
    api.aws
        .intercept_operation("TransactWriteItems", Reply::cancelled_transaction(&["ConditionalCheckFailed", "None"]));
    assert_eq!(api.call("delete-previous-app-secret", &event).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_write_in_parallel_is_one_change() {
    let api = Api::start().await;
    let app = api.create_app().await;
    for function in ["post-app-secrets", "post-app-keys"] {
        let event = app.event(function).idempotency_key(function);
        let before = api.published(&app).await.len();
        let responses = tokio::join!(
            api.call(function, &event),
            api.call(function, &event),
            api.call(function, &event),
            api.call(function, &event)
        );
        assert_eq!(responses.0.0, 201, "{function}: {responses:?}");
        assert!(
            [&responses.1, &responses.2, &responses.3].iter().all(|response| **response == responses.0),
            "{responses:?}"
        );
        let new = usize::from(function == "post-app-keys");
        assert_eq!(api.published(&app).await.len(), before + new);
        if function == "post-app-secrets" {
            assert_eq!(responses.0.1["data"]["secret"], api.secret(&app).await);
        }
    }
    api.assert_nothing_is_lost(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_succeed_or_fail_whole() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let mut keys = api.listed(&app).await;
    keys.push(api.add_standby(&app).await);
    let mut writes = Vec::new();
    for number in 0..8 {
        let put = json!({"state": "in_use", "force": true});
        for key in &keys {
            writes.push(("put-app-key", app.event("put-app-key").key(key).body(&put)));
        }
        writes.push(("post-app-secrets", app.event("post-app-secrets")));
        let write = app.event("post-app-keys");
        writes.push(("post-app-keys", if number % 2 == 0 { write.idempotency_key(number) } else { write }));
    }
    assert_eq!(writes.len(), 32);
    let calls = writes.iter().map(|(function, event)| api.call(function, event));
    let responses = futures_util::future::join_all(calls).await;
    let mut created = Vec::new();
    let mut secrets = vec![];
    for ((function, _), (status, body)) in writes.iter().zip(&responses) {
        assert!([200, 201, 409].contains(status), "{function}: {status} {body}");
        match (*function, status) {
            ("post-app-keys", 201) => created.push(body["items"][0]["uuid"].as_str().unwrap().to_owned()),
            ("post-app-secrets", 201) => secrets.push(body["data"]["secret"].clone()),
            _ => {}
        }
    }
    let published = api.published(&app).await;
    assert!(created.iter().all(|key| published.contains(key)), "each created key is published");
    assert_eq!(published.len(), keys.len() + created.len(), "no other key is published");
    if !secrets.is_empty() {
        assert!(secrets.contains(&api.secret(&app).await.into()), "one of the rotations was the last");
    }
    api.assert_nothing_is_lost(&app, &created).await;
}
