//! Leak reports: the keys that they revoke, and what responses and logs reveal.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{ApiKeyType, ApiKeyValue};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{Reply, TABLE},
    contract::{Response, failure, read_payload},
    event::Event,
    function::Function,
};

use crate::key_routes::{KeyRoutes, header};

fn report(leaks: &[Value]) -> Event {
    Event::new("post-leaks").body(Value::from(leaks))
}

fn leak(token: &str) -> Value {
    json!({"token": token, "type": "userdocks_api_key", "url": "https://example.com/leak", "source": "content"})
}

fn leaks<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Event {
    report(&tokens.into_iter().map(leak).collect::<Vec<_>>())
}

fn value(key: &TestKey) -> &str {
    key.value.expose()
}

fn assert_received(response: &Response, count: usize) {
    let headers = [("cache-control", "no-store"), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        (response.status, &response.body, &response.headers[..]),
        (202, &format!(r#"{{"received":{count}}}"#), &headers[..])
    );
}

impl KeyRoutes {
    async fn report(&self, tokens: &[&str]) -> Response {
        self.respond("post-leaks", &leaks(tokens.iter().copied())).await
    }

    async fn update_index(&self, key: &TestKey, expression: &str, app: Option<&str>) {
        let dynamodb = self.aws.dynamodb();
        let mut update = dynamodb.update_item().table_name(TABLE).update_expression(expression);
        update = update.key("pk", AttributeValue::S(format!("APIKEY#{}", key.record.hash.as_str())));
        if let Some(app) = app {
            update = update.expression_attribute_values(":app", AttributeValue::S(app.to_owned()));
        }
        update.key("sk", AttributeValue::S("APIKEY".to_owned())).send().await.unwrap();
    }

    async fn delete_index(&self, key: &TestKey) {
        let delete = self.aws.dynamodb().delete_item().table_name(TABLE);
        let delete = delete.key("pk", AttributeValue::S(format!("APIKEY#{}", key.record.hash.as_str())));
        delete.key("sk", AttributeValue::S("APIKEY".to_owned())).send().await.unwrap();
    }

    /// Returns the number of keys that are still accepted.
    async fn count_accepted(&self, app: &TestApp, keys: &[TestKey]) -> usize {
        let mut accepted = 0;
        for key in keys {
            accepted += usize::from(self.is_accepted(app.id(), value(key)).await);
        }
        accepted
    }
}

/// Returns each key's value, followed by a token that is not a key.
fn mixed(keys: &[TestKey]) -> Vec<String> {
    let invented = keys.iter().enumerate().map(|(number, key)| match number % 4 {
        0 => TestKey::new(ApiKeyType::Read).value.expose().to_owned(),
        1 => format!("{}x", value(key)),
        2 => format!("ghp_{number:036}"),
        _ => String::new(),
    });
    keys.iter().map(|key| value(key).to_owned()).zip(invented).flat_map(<[String; 2]>::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reported_keys_are_rejected_at_next_request() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let keys: Vec<_> = (0..50).map(|number| TestKey::new(ApiKeyType::ALL[number % 2])).collect();
    routes.add_keys(app.id(), keys.iter().cloned()).await;
    assert_eq!(routes.count_accepted(&app, &keys).await, 50);
    let tokens = mixed(&keys);
    let response = routes.respond("post-leaks", &leaks(tokens.iter().map(String::as_str))).await;
    assert_received(&response, 100);
    assert_eq!(routes.count_accepted(&app, &keys).await, 0);
    for key in [&app.read, &app.write] {
        assert!(routes.is_accepted(app.id(), value(key)).await, "keys that were not reported stay");
    }
    let unknown = vec![TestKey::new(ApiKeyType::Read); 100];
    let of_unknown = routes.respond("post-leaks", &leaks(unknown.iter().map(value))).await;
    assert_eq!(response, of_unknown, "the response does not depend on what is found");

    // The rule about the last write key does not apply to leak reports.
    assert_received(&routes.report(&[value(&app.write)]).await, 1);
    assert!(!routes.is_accepted(app.id(), value(&app.write)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn report_costs_two_reads_and_one_write_per_active_key() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let keys: Vec<_> = (0..3).map(|_| TestKey::new(ApiKeyType::Read)).collect();
    routes.add_keys(app.id(), keys.iter().cloned()).await;
    let operations = async |tokens: Vec<&str>| {
        let _ = routes.aws.take_calls();
        assert_received(&routes.respond("post-leaks", &leaks(tokens.iter().copied())).await, tokens.len());
        let calls = routes.aws.take_calls();
        assert!(
            calls
                .iter()
                .filter(|call| call.operation == "BatchGetItem")
                .all(|call| call.body.contains(r#""ConsistentRead":true"#))
        );
        calls.into_iter().map(|call| call.operation).collect::<Vec<_>>()
    };
    assert_eq!(operations(vec![value(&keys[0]); 100]).await, ["BatchGetItem", "BatchGetItem", "UpdateItem"]);
    assert_eq!(operations(vec![value(&keys[0])]).await, ["BatchGetItem", "BatchGetItem"], "it is revoked");
    let wrong = format!("{}x", value(&keys[1]));
    let long = "x".repeat(257);
    assert_eq!(operations(vec!["", "short", "fifteen-charact", &wrong, &long, "ud_read_"]).await, [""; 0]);
    let unknown: Vec<_> = (0..1000).map(|number| format!("some-other-token-{number}")).collect();
    assert_eq!(operations(unknown.iter().map(String::as_str).collect()).await, ["BatchGetItem"; 10]);
    let rest = [value(&keys[1]), value(&keys[2])];
    let tokens = unknown[..98].iter().map(String::as_str).chain(rest).collect();
    let two = operations(tokens).await;
    assert_eq!(two, ["BatchGetItem", "BatchGetItem", "UpdateItem", "UpdateItem"]);
    // The log names the keys that a write key has issued, which takes a query.
    assert_eq!(operations(vec![value(&app.write)]).await, ["BatchGetItem", "BatchGetItem", "Query", "UpdateItem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_app_and_shape_are_found() {
    let routes = KeyRoutes::start().await;
    let imported = TestKey::imported("imported-from-elsewhere", ApiKeyType::Read);
    let shortest = TestKey::imported("sixteen-characte", ApiKeyType::Read);
    let longest = TestKey::imported(&"l".repeat(256), ApiKeyType::Read);
    let (first, second) =
        (routes.create_app_with(&[&imported, &shortest]).await, routes.create_app_with(&[&longest]).await);
    routes.aws.admin_json(&["app", "disable", &second.id().to_string()]).await;
    let tokens = [&imported, &shortest, &longest, &first.read, &second.write].map(value);
    assert_received(&routes.report(&tokens).await, 5);
    let store = routes.aws.services().store;
    for (app, revoked) in [(&first, 3), (&second, 2)] {
        let (keys, _) = store.list_api_keys(app.id()).await.unwrap();
        assert_eq!(keys.iter().filter(|key| key.revoked_at.is_some()).count(), revoked);
        assert!(keys.iter().all(|key| key.revoked_at.is_none_or(|end| end == key.updated_at)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_keys_and_keys_without_index_item_stay() {
    let routes = KeyRoutes::start().await;
    let [revoked, expired] = [TestKey::new(ApiKeyType::Read).revoked(), TestKey::new(ApiKeyType::Read).expired()];
    let [not_indexed, of_other_app] = [(); 2].map(|()| TestKey::new(ApiKeyType::Read));
    let app = routes.create_app_with(&[&revoked, &expired, &not_indexed, &of_other_app]).await;
    let other = routes.create_app().await;
    routes.delete_index(&not_indexed).await;
    routes.update_index(&of_other_app, "SET app = :app", Some(&other.id().to_string())).await;
    let before = routes.items_without_last_use().await;
    let tokens = [&revoked, &expired, &not_indexed, &of_other_app].map(value);
    assert_received(&routes.report(&tokens).await, 4);
    assert!(routes.items_without_last_use().await == before);
    assert!(routes.is_accepted(app.id(), value(&not_indexed)).await);

    routes.aws.services().store.repair_index(app.id(), &not_indexed.record).await.unwrap();
    assert_received(&routes.report(&[value(&not_indexed)]).await, 1);
    assert!(!routes.is_accepted(app.id(), value(&not_indexed)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_item_fails_report_after_other_keys_are_revoked() {
    let routes = KeyRoutes::start().await;
    let keys: Vec<_> = (0..6).map(|_| TestKey::new(ApiKeyType::Read)).collect();
    let app = routes.create_app_with(&keys.iter().collect::<Vec<_>>()).await;
    routes.update_index(&keys[0], "REMOVE app", None).await;
    routes.update_index(&keys[1], "SET app = :app", Some("no-app")).await;
    let record = format!("APIKEY#{}", keys[2].record.hash.as_str());
    routes.aws.update_item(app.id(), &record).update_expression("REMOVE hint").send().await.unwrap();
    let tokens: Vec<_> = keys.iter().map(value).collect();
    for _ in 0..2 {
        assert_eq!(routes.report(&tokens).await, failure("post-leaks", "E0000"));
        assert_eq!(routes.count_accepted(&app, &keys[..2]).await, 2);
        assert_eq!(routes.count_accepted(&app, &keys[3..]).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn report_cut_short_is_repeatable() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let keys: Vec<_> = (0..40).map(|_| TestKey::new(ApiKeyType::Read)).collect();
    routes.add_keys(app.id(), keys.iter().cloned()).await;
    let tokens: Vec<_> = keys.iter().map(value).collect();
    let denied = || Reply::error(400, "AccessDeniedException");
    // Eight writes are in flight at a time. When the tenth begins, at least two are finished.
    for (operation, allowed) in [("BatchGetItem", 1), ("UpdateItem", 9)] {
        let calls = AtomicUsize::new(0);
        routes.aws.intercept(move |call| {
            let is_denied = call.operation == operation && calls.fetch_add(1, Relaxed) >= allowed;
            if is_denied { denied() } else { Reply::Forward }
        });
        assert_eq!(routes.report(&tokens).await, failure("post-leaks", "E0000"), "{operation}");
        routes.aws.forward();
    }
    let left = routes.count_accepted(&app, &keys).await;
    assert!((1..40).contains(&left), "{left}");
    assert_received(&routes.report(&tokens).await, 40);
    assert_eq!(routes.count_accepted(&app, &keys).await, 0);
}

/// A thief who has the key can keep transactions on its record in progress.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_by_report_waits_for_transactions() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let conflicts = AtomicUsize::new(0);
    routes.aws.intercept(move |call| match call.operation.as_str() {
        "UpdateItem" if conflicts.fetch_add(1, Relaxed) < 3 => Reply::error(400, "TransactionConflictException"),
        _ => Reply::Forward,
    });
    assert_received(&routes.report(&[value(&app.write)]).await, 1);
    routes.aws.forward();
    assert!(!routes.is_accepted(app.id(), value(&app.write)).await);
    routes.aws.intercept_operation("UpdateItem", Reply::error(400, "TransactionConflictException"));
    assert_eq!(
        routes.report(&[value(&app.read)]).await,
        failure("post-leaks", "E0000"),
        "a revocation that never succeeds is not reported as done"
    );
    // Another change has revoked the key after it was read.
    routes.aws.intercept_operation("UpdateItem", Reply::error(400, "ConditionalCheckFailedException"));
    assert_received(&routes.report(&[value(&app.read)]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_by_report_is_logged_without_key() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (id, read, write) = (app.id(), value(&app.read), value(&app.write));
    let imported = TestKey::imported("imported-and-leaked", ApiKeyType::Read);
    routes.add_keys(id, [imported.clone()]).await;
    let first = routes.create(id, write, json!({"type": "write", "name": "first"})).await;
    let second = routes.create(id, &first.value, json!({"type": "read", "name": "second"})).await;
    let url = "é".repeat(600);
    let mut events = Vec::new();
    for (key, url) in [
        (write, json!(url)),
        (read, json!({"not": "text"})),
        (value(&imported), json!(format!("https://example.com/?key={}&line=1", value(&imported)))),
    ] {
        events.push(report(&[
            json!({"token": key, "url": url, "unknown": 1}),
            json!({"token": "no key of ours at all"}),
        ]));
    }
    let mut function = Function::start("post-leaks", &routes.aws.environment()).await;
    for event in events.iter().chain(&events) {
        assert_received(&read_payload(&function.invoke(event).await).0, 2);
    }
    let lines = function.stop().await;
    let warnings: Vec<_> = lines.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 3, "one line for each reported key that was active: {warnings:?}");
    for (warning, key) in warnings.iter().zip([&app.write, &app.read, &imported]) {
        assert_eq!(warning["message"], "API key reported as leaked");
        assert_eq!((&warning["appId"], &warning["keyId"]), (&id.to_string().into(), &key.record.id.to_string().into()));
    }
    assert_eq!(warnings[0]["untrustedUrl"], "é".repeat(512));
    assert_eq!(warnings[0]["issued"], format!("{} {}", first.id, second.id));
    assert_eq!((&warnings[1]["untrustedUrl"], &warnings[1]["issued"]), (&Value::Null, &"".into()));
    assert_eq!(warnings[2]["untrustedUrl"], "https://example.com/?key=[key]&line=1");
    for key in [read, write, value(&imported)] {
        assert!(!lines.iter().any(|line| line.to_string().contains(key)), "{lines:?}");
    }
}

/// A repeated report no longer finds the key active.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_with_lost_response_is_logged() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let event = leaks([value(&app.read)]);
    let mut function = Function::start("post-leaks", &routes.aws.environment()).await;
    routes.aws.intercept_operation("UpdateItem", Reply::Lose);
    assert_eq!(read_payload(&function.invoke(&event).await).0, failure("post-leaks", "E0000"));
    routes.aws.forward();
    assert!(!routes.is_accepted(app.id(), value(&app.read)).await);
    assert_received(&read_payload(&function.invoke(&event).await).0, 1);
    let lines = function.stop().await;
    let logged: Vec<_> = lines.iter().filter(|line| line["message"] == "API key reported as leaked").collect();
    assert_eq!(logged.len(), 1, "{lines:?}");
    assert_eq!(logged[0]["keyId"], app.read.record.id.to_string());
}

/// A URL of the report may contain a key of another element, encoded or not.
#[tokio::test(flavor = "multi_thread")]
async fn log_of_report_contains_no_reported_key() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let imported = TestKey::imported("imported/and+leaked%41", ApiKeyType::Read);
    let other = TestKey::new(ApiKeyType::Read);
    routes.add_keys(app.id(), [imported.clone(), other.clone()]).await;
    let (read, write) = (value(&app.read), value(&app.write));
    let encoded = read.replace('_', "%5f");
    let unused = format!("{}x", value(&imported));
    let event = report(&[
        json!({"token": "", "url": "https://example.com/empty"}),
        json!({"token": "short", "url": "https://example.com/short"}),
        json!({"token": read, "url": null}),
        json!({"token": read, "url": format!("https://example.com/first?{write}&{encoded}&{read}#short%20%ff")}),
        json!({"token": read, "url": "https://example.com/second"}),
        json!({"token": write, "url": format!("https://example.com/{}?a=%5F", value(&imported).replace('%', "%25").replace('/', "%2F"))}),
        json!({"token": value(&imported), "url": format!("https://example.com/{}?a=%5F&b=100%25", value(&imported))}),
        json!({"token": value(&other), "url": format!("https://example.com/?next={}", read.replace('_', "%25255F"))}),
        json!({"token": unused}),
    ]);
    let mut function = Function::start("post-leaks", &routes.aws.environment()).await;
    assert_received(&read_payload(&function.invoke(&event).await).0, 9);
    let lines = function.stop().await;
    let mut urls: Vec<_> = lines.iter().filter_map(|line| line["untrustedUrl"].as_str()).collect();
    urls.sort_unstable();
    assert_eq!(
        urls,
        [
            "https://example.com/?next=[key]",
            "https://example.com/[key]?a=%5F&b=100%25",
            "https://example.com/[key]?a=_",
            "https://example.com/first?[key]&[key]&[key]#short \u{fffd}",
        ]
    );
    for key in [read, &encoded, write, value(&imported)] {
        assert!(!lines.iter().any(|line| line.to_string().contains(key)), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_key_is_counted_among_issued() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let write = value(&app.write);
    let [first, second] = ["first", "second"].map(|name| json!({"type": "read", "name": name}));
    let first = routes.create(app.id(), write, first).await;
    let second = routes.create(app.id(), write, second).await;
    let hash = second.value.parse::<ApiKeyValue>().unwrap().hash();
    let record = format!("APIKEY#{}", hash.as_str());
    routes.aws.update_item(app.id(), &record).update_expression("REMOVE hint").send().await.unwrap();
    let mut function = Function::start("post-leaks", &routes.aws.environment()).await;
    assert_received(&read_payload(&function.invoke(&leaks([write])).await).0, 1);
    let lines = function.stop().await;
    let warning = lines.iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(warning["issued"], format!("{} (1 unreadable)", first.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_report_is_refused_whole() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let real = leak(value(&app.read));
    let mut long = vec![real.clone()];
    long.resize(1001, real.clone());
    let padded = |length: usize| {
        let body = json!([real]).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let event = || Event::new("post-leaks");
    for event in [
        event(),
        event().body(""),
        event().body("{"),
        event().body("[]"),
        event().body(&real),
        event().body(r#"["token"]"#),
        report(&[real.clone(), json!({"url": "https://example.com"})]),
        report(&[real.clone(), json!({"token": null})]),
        report(&[real.clone(), json!({"token": 1})]),
        report(&[real.clone(), Value::Null]),
        report(&long),
        event().body(padded(262_145)),
        event().binary_body(padded(262_145).as_bytes()),
        event().encoded_body("no base64!"),
    ] {
        assert_eq!(routes.respond("post-leaks", &event).await, failure("post-leaks", "E4000"));
    }
    assert!(routes.is_accepted(app.id(), value(&app.read)).await);
    // Credentials are ignored, and the response has no expiry.
    let expiring = TestKey::new(ApiKeyType::Write).lifetime(std::time::Duration::from_secs(3600));
    routes.add_keys(app.id(), [expiring.clone()]).await;
    let event = event().binary_body(padded(262_144).as_bytes());
    let event = event.header("x-api-key", value(&expiring)).header("x-client-id", app.id());
    let response = routes.respond("post-leaks", &event).await;
    assert_received(&response, 1);
    assert_eq!(header(&response, "x-api-key-expires-at"), None);
    assert!(!routes.is_accepted(app.id(), value(&app.read)).await);
    assert_received(&routes.respond("post-leaks", &report(&long[..1000])).await, 1000);
}
