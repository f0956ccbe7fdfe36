//! The secret's etag, the recorded last fetch, and the expiry of the caller's key in responses.

use std::time::Duration;

use serde_json::json;
use userdocks::domain::{ApiKeyId, ApiKeyType, AppId, SecretFetch, SecretVersionId, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::Reply,
    contract::Response,
    event::Event,
};

use crate::key_routes::{KeyRoutes, delete, header, post};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl KeyRoutes {
    async fn secret(&self, event: &Event) -> (Response, String) {
        let response = self.respond("get-app-secrets", event).await;
        let etag = header(&response, "etag").unwrap_or_else(|| panic!("{response:?}")).to_owned();
        (response, etag)
    }

    async fn last_fetch(&self, app: AppId, key: &TestKey) -> Option<SecretFetch> {
        let (keys, _) = self.aws.services().store.list_api_keys(app).await.unwrap();
        keys.into_iter().find(|record| record.id == key.record.id).unwrap().last_fetch
    }

    /// Rotates the secret. Returns the new version.
    async fn rotate(&self, app: &TestApp, overlap: u64) -> SecretVersionId {
        let event = app.event("post-app-secrets").body(json!({ "overlapSeconds": overlap }));
        assert_eq!(self.call("post-app-secrets", &event).await.0, 201);
        app.stored(&self.aws.services()).await.secret_version_id
    }
}

fn fetch(app: &TestApp) -> Event {
    app.event("get-app-secrets")
}

fn if_none_match(event: Event, tags: &str) -> Event {
    event.header("if-none-match", tags)
}

#[tokio::test(flavor = "multi_thread")]
async fn etag_of_secret_names_versions() {
    let mut routes = KeyRoutes::start().await;
    let app = TestApp::builder().secret("the-first-secret-value").create(&routes.aws.services()).await;
    let with_previous = || fetch(&app).query("include", "previous");
    let (response, first) = routes.secret(&fetch(&app)).await;
    let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    assert!(first.len() == 34 && is_hexadecimal(first.trim_matches('"')), "{first}");
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let (_, first_with_previous) = routes.secret(&with_previous()).await;
    routes.rotate(&app, 3600).await;
    let (_, second) = routes.secret(&fetch(&app)).await;
    let (_, second_with_previous) = routes.secret(&with_previous()).await;
    assert_eq!(routes.call("delete-previous-app-secret", &app.event("delete-previous-app-secret")).await.0, 200);
    assert_eq!(routes.secret(&fetch(&app)).await.1, second, "the overlap does not change this response");
    let (_, ended) = routes.secret(&with_previous()).await;
    let mut tags = [&first, &first_with_previous, &second, &second_with_previous, &ended];
    tags.sort_unstable();
    assert!(tags.windows(2).all(|pair| pair[0] != pair[1]), "{tags:?}");

    // The etag does not depend on the value of a version.
    let other = TestApp::builder().secret("another-secret-value").create(&routes.aws.services()).await;
    let (_, tag) = routes.secret(&fetch(&other)).await;
    routes.restart();
    routes.aws.intercept_operation("GetSecretValue", Reply::Edit("another-secret-value", "changed"));
    let (changed, same_tag) = routes.secret(&fetch(&other)).await;
    assert!(changed.body.contains(r#""secret":"changed""#), "{changed:?}");
    assert_eq!(tag, same_tag);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_etag_returns_304_without_secrets_manager_call() {
    let mut routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    routes.rotate(&app, 3600).await;
    for event in [fetch(&app), fetch(&app).query("include", "previous")] {
        let (ok, tag) = routes.secret(&event).await;
        routes.restart();
        for tags in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), format!("{tag},\"other\"")] {
            let _ = routes.aws.take_calls();
            let response = routes.respond("get-app-secrets", &if_none_match(event.clone(), &tags)).await;
            assert_eq!((response.status, response.body.as_str()), (304, ""), "{tags}");
            assert_eq!(response.headers, ok.headers, "{tags}");
            assert_eq!(routes.aws.take_operations(), ["BatchGetItem"], "{tags}");
        }
        for tags in ["*", "\"other\"", "", tag.trim_matches('"')] {
            let response = routes.respond("get-app-secrets", &if_none_match(event.clone(), tags)).await;
            assert_eq!(response, ok, "{tags}");
        }
        let (_, other_tag) = routes.secret(&fetch(&app).query("unknown", "1")).await;
        let with_previous = if_none_match(fetch(&app).query("include", "previous"), &other_tag);
        assert_eq!(
            routes.respond("get-app-secrets", &with_previous).await.status,
            200,
            "each form of the response has its own etag"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_of_secret_is_recorded_once_per_version() {
    let routes = KeyRoutes::start().await;
    let other = TestKey::new(ApiKeyType::Read);
    let app = routes.create_app_with(&[&other]).await;
    let operations = async |event: &Event| {
        let _ = routes.aws.take_calls();
        let (response, tag) = routes.secret(event).await;
        let mut operations = routes.aws.take_operations();
        operations.sort_unstable();
        (response.status, tag, operations)
    };
    let before = Timestamp::now();
    let (_, _, first) = operations(&fetch(&app)).await;
    assert_eq!(
        first,
        ["BatchGetItem", "GetSecretValue", "UpdateItem", "UpdateItem"],
        "the use and the fetch are recorded"
    );
    let noted = routes.last_fetch(app.id(), &app.read).await.unwrap();
    assert!(noted.version_id == app.record.secret_version_id && noted.at >= before);
    assert_eq!(routes.last_fetch(app.id(), &other).await, None, "each key has its own record");
    for _ in 0..2 {
        assert_eq!(operations(&fetch(&app)).await.2, ["BatchGetItem"]);
    }
    assert_eq!(routes.last_fetch(app.id(), &app.read).await, Some(noted));

    let version_id = routes.rotate(&app, 3600).await;
    let (_, tag, second) = operations(&fetch(&app).query("include", "previous")).await;
    assert_eq!(second, ["BatchGetItem", "GetSecretValue", "UpdateItem"]);
    let noted = routes.last_fetch(app.id(), &app.read).await.unwrap();
    assert_eq!(noted.version_id, version_id, "only the current version is recorded");
    // A 304 also counts as a fetch.
    let event = Event::new("get-app-secrets").caller(app.id(), other.value.expose()).query("include", "previous");
    let (status, _, operations) = operations(&if_none_match(event, &tag)).await;
    assert_eq!((status, operations), (304, ["BatchGetItem", "UpdateItem", "UpdateItem"].map(str::to_owned).to_vec()));
    assert_eq!(routes.last_fetch(app.id(), &other).await.unwrap().version_id, version_id);

    let store = routes.aws.services().store;
    let note = async |version_id, at| {
        store.note_fetch(app.id(), &app.read.record.hash, SecretFetch { version_id, at }).await.unwrap();
    };
    note(app.record.secret_version_id, noted.at.before(DAY)).await;
    note(version_id, noted.at + DAY).await;
    assert_eq!(
        routes.last_fetch(app.id(), &app.read).await,
        Some(noted),
        "a fetch is recorded once, and never an earlier one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_record_of_fetch_fails_no_request() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (_, tag) = routes.secret(&fetch(&app)).await;
    let update = format!("APIKEY#{}", app.read.record.hash.as_str());
    for fault in [Reply::error(400, "AccessDeniedException"), Reply::Send(500, String::new()), Reply::Cut, Reply::Never]
    {
        for (event, status) in [(fetch(&app), 200), (if_none_match(fetch(&app), &tag), 304)] {
            let forget = routes
                .aws
                .update_item(app.id(), &update)
                .update_expression("REMOVE fetchedVersionId, fetchedAt, lastUsedAt");
            routes.aws.forward();
            forget.send().await.unwrap();
            routes.aws.intercept_operation("UpdateItem", fault.clone());
            assert_eq!(routes.secret(&event).await.0.status, status);
        }
    }
    routes.aws.forward();
    assert_eq!(routes.last_fetch(app.id(), &app.read).await, None);
    routes.secret(&if_none_match(fetch(&app), &tag)).await;
    assert!(routes.last_fetch(app.id(), &app.read).await.is_some(), "the next request records the fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_request_records_no_fetch() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app_with(&[]).await;
    let limited = TestKey::new(ApiKeyType::Read).allowing(&["192.0.2.0/24"]);
    routes.add_keys(app.id(), [limited.clone()]).await;
    let of = |key: &TestKey| Event::new("get-app-secrets").caller(app.id(), key.value.expose());
    for (event, status) in [
        (of(&limited).source_ip("198.51.100.1"), 401),
        (of(&app.read).header("origin", "https://example.com"), 401),
        (of(&app.read).query("include", "all"), 400),
    ] {
        assert_eq!(routes.respond("get-app-secrets", &event).await.status, status);
    }
    routes.aws.intercept_operation("GetSecretValue", Reply::error(400, "AccessDeniedException"));
    assert_eq!(routes.respond("get-app-secrets", &of(&app.read)).await.status, 500);
    routes.aws.forward();
    for key in [&app.read, &limited] {
        assert_eq!(routes.last_fetch(app.id(), key).await, None);
    }
    let (keys, _) = routes.aws.services().store.list_api_keys(app.id()).await.unwrap();
    let refused = keys.iter().find(|key| key.id == limited.record.id).unwrap();
    assert_eq!(refused.last_used_at, None, "a rejected address is not a use");
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_of_caller_is_returned_after_check_7() {
    let routes = KeyRoutes::start().await;
    let [read, write] = ApiKeyType::ALL.map(|kind| TestKey::new(kind).lifetime(DAY).allowing(&["192.0.2.0/24"]));
    let app = routes.create_app_with(&[&read, &write]).await;
    let id = app.id();
    let key = |function: &str| if function.starts_with("get-") { &read } else { &write };
    let event = |function: &str| Event::new(function).caller(id, key(function).value.expose()).source_ip("192.0.2.7");
    let create = |body| post(id, write.value.expose(), body).source_ip("192.0.2.7");
    let check = async |function: &str, event: Event, status: u16| {
        let response = routes.respond(function, &event).await;
        assert_eq!(response.status, status, "{function}: {response:?}");
        let expires_at = key(function).record.expires_at.unwrap().to_string();
        let expected = (status != 401).then_some(expires_at.as_str());
        assert_eq!(header(&response, "x-api-key-expires-at"), expected, "{function}, {status}");
        response
    };
    for function in ["get-app-secrets", "get-app-keys", "get-app-api-keys"] {
        let response = check(function, event(function), 200).await;
        if let Some(tag) = header(&response, "etag") {
            check(function, if_none_match(event(function), tag), 304).await;
        }
        check(function, event(function).source_ip("198.51.100.1"), 401).await;
        check(function, event(function).header("x-api-key-type", "write"), 401).await;
        check(function, event(function).header("x-api-key", write.value.expose()), 401).await;
    }
    check("get-app-secrets", event("get-app-secrets").query("include", "all"), 400).await;
    check("post-app-api-keys", create(json!({})), 400).await;
    check("post-app-api-keys", create(json!({})).idempotency_key("k".repeat(65)), 400).await;
    check("delete-app-api-key", event("delete-app-api-key").api_key(ApiKeyId::random()), 404).await;
    check(
        "post-app-api-keys",
        create(json!({"type": "write", "name": "endless", "allowedCidrs": ["192.0.2.0/24"]})),
        409,
    )
    .await;
    let new = || create(json!({"type": "read", "name": "new"})).idempotency_key("new");
    check("post-app-api-keys", new(), 201).await;
    check("post-app-api-keys", new(), 201).await;
    check("post-app-secrets", event("post-app-secrets"), 201).await;
    check("post-app-keys", event("post-app-keys").body("[]"), 400).await;
    routes.aws.intercept_operation("Query", Reply::error(400, "AccessDeniedException"));
    check("get-app-api-keys", event("get-app-api-keys"), 500).await;
    routes.aws.intercept_operation("TransactWriteItems", Reply::error(400, "AccessDeniedException"));
    check("delete-app-api-key", event("delete-app-api-key").api_key(read.record.id), 500).await;
    routes.aws.forward();

    let status_and_expiry = async |function: &str, event: Event| {
        let response = routes.respond(function, &event).await;
        (response.status, header(&response, "x-api-key-expires-at").map(str::to_owned))
    };
    assert_eq!(
        status_and_expiry("get-app-jwks", event("get-app-jwks").header("x-api-key", read.value.expose())).await,
        (200, None)
    );
    assert_eq!(
        status_and_expiry("get-app-keys", app.event("get-app-keys")).await,
        (200, None),
        "the key does not expire"
    );
    let replacing = post(id, app.write.value.expose(), json!({"replaces": "self"}));
    assert_eq!(
        status_and_expiry("post-app-api-keys", replacing).await,
        (201, None),
        "the response has the expiry at authentication"
    );
    let (status, expires_at) =
        status_and_expiry("delete-app-api-key", delete(id, app.write.value.expose(), "no-id")).await;
    assert!(status == 400 && expires_at.is_some(), "the expiry is the end of the overlap");
    routes.aws.intercept_operation("BatchGetItem", Reply::error(400, "AccessDeniedException"));
    assert_eq!(status_and_expiry("get-app-keys", event("get-app-keys")).await, (500, None), "before check 7");
    routes.aws.forward();

    routes.aws.admin_json(&["app", "disable", &id.to_string()]).await;
    for function in ["get-app-secrets", "get-app-keys", "get-app-api-keys", "post-app-api-keys", "delete-app-api-key"] {
        check(function, event(function), 403).await;
    }
    routes.aws.update_item(id, "APP").update_expression("REMOVE signingKeys").send().await.unwrap();
    check("get-app-keys", event("get-app-keys"), 500).await;
    check("get-app-keys", event("get-app-keys").source_ip("198.51.100.1"), 401).await;
}
