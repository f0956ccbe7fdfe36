//! The routes that list, create, replace and revoke API keys.

use std::time::Duration;

use serde_json::{Value, json};
use userdocks::domain::{ApiKeyType, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::FakeAws,
    contract::read_payload,
    event::Event,
    function::Function,
};

use crate::{
    api::Api,
    key_routes::{Created, KeyRoutes, delete, header, post, time},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn values(app: &TestApp) -> [&str; 2] {
    [app.read.value.expose(), app.write.value.expose()]
}

#[tokio::test(flavor = "multi_thread")]
async fn write_key_rotates_itself_and_read_key_over_http() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (id, [read, write]) = (app.id(), values(&app));
    let [read_id, write_id] = [&app.read, &app.write].map(|key| key.record.id.to_string());

    let new_write = routes.create(id, write, json!({"replaces": "self"})).await;
    for key in [write, &new_write.value, read] {
        assert!(routes.is_accepted(id, key).await, "both keys are accepted during the overlap");
    }
    let new_read = routes.create(id, &new_write.value, json!({"replaces": read_id, "overlapSeconds": 3600})).await;
    for key in [write, &new_write.value, read, &new_read.value] {
        assert!(routes.is_accepted(id, key).await, "both keys of both types are accepted during the overlap");
    }
    let listed = routes.list(id, &new_read.value).await;
    let end_of = |old: &str| time(&listed.iter().find(|key| key["uuid"] == old).unwrap()["expiresAt"]);
    assert_eq!(end_of(&write_id), time(&new_write.item["createdAt"]) + DAY, "the default overlap");
    assert_eq!(end_of(&read_id), time(&new_read.item["createdAt"]) + Duration::from_secs(3600));

    for old in [&write_id, &read_id] {
        let (status, body) = routes.delete(id, &new_write.value, old).await;
        assert_eq!((status, &body["items"][0]["status"]), (200, &"revoked".into()), "{body}");
        assert!(routes.is_accepted(id, &new_write.value).await && routes.is_accepted(id, &new_read.value).await);
    }
    for old in [write, read] {
        assert!(!routes.is_accepted(id, old).await, "a revoked key is rejected at once");
    }
    for (new, old) in [(&new_write, &app.write), (&new_read, &app.read)] {
        let record = &old.record;
        assert_eq!(
            (&new.item["name"], &new.item["type"]["name"]),
            (&record.name.clone().into(), &record.kind.name().into())
        );
        assert_eq!(new.item["expiresAt"], Value::Null, "the lifetime of the replaced key");
    }
    assert_eq!(new_write.item["issuedBy"], write_id);
    assert_eq!(new_read.item["issuedBy"], new_write.id);
    routes.assert_keys_are_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_keys_of_last_30_days_oldest_first() {
    let routes = KeyRoutes::start().await;
    let now = Timestamp::now();
    let created = |days| {
        let mut key = TestKey::new(ApiKeyType::Read).allowing(&["192.0.2.0/24"]);
        (key.record.created_at, key.record.updated_at) = (now.before(DAY * days), now.before(DAY * days));
        key
    };
    let minute = Duration::from_secs(60);
    let revoked = |mut key: TestKey, ago| {
        key.record.revoked_at = Some(now.before(ago));
        key
    };
    let mut caller = created(90);
    // The request does not change a last use that is less than an hour old.
    caller.record.last_used_at = Some(now);
    let recently = [revoked(created(80), DAY * 30 - minute), created(79).lifetime(DAY * 49 + minute)];
    let long_ago = [revoked(created(78), DAY * 30 + minute), created(77).lifetime(DAY * 47 - minute)];
    // The earlier of expiry and revocation counts.
    let both = revoked(created(76).lifetime(DAY * 40), DAY);
    let app = routes.create_app_with(&[&recently[1], &long_ago[0], &caller, &long_ago[1], &both, &recently[0]]).await;

    let event = Event::new("get-app-api-keys").caller(app.id(), caller.value.expose()).source_ip("192.0.2.1");
    let response = routes.respond("get-app-api-keys", &event).await;
    assert_eq!((response.status, header(&response, "cache-control")), (200, Some("no-store")));
    assert_eq!(header(&response, "etag"), None);
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let items = body["items"].as_array().unwrap();
    let expected: Vec<_> = [&caller, &recently[0], &recently[1]]
        .map(|key| key.record.id.to_string())
        .into_iter()
        .map(Value::from)
        .collect();
    assert_eq!(items[..3].iter().map(|item| item["uuid"].clone()).collect::<Vec<_>>(), expected);
    assert_eq!(items.len(), 5, "the app's first keys are the newest");

    let item = |key: &TestKey, status: &str, is_caller: bool| {
        let record = &key.record;
        let text = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
        json!({
            "uuid": record.id.to_string(),
            "createdAt": record.created_at.to_string(),
            "updatedAt": record.updated_at.to_string(),
            "type": {
                "uuid": "appapikeytype_11111111-1111-1111-1111-111111111111",
                "name": "read",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "updatedAt": "2026-01-01T00:00:00.000Z",
            },
            "name": "read",
            "hint": key.value.expose()[key.value.expose().len() - 4..],
            "status": status,
            "expiresAt": text(record.expires_at),
            "revokedAt": text(record.revoked_at),
            "lastUsedAt": text(record.last_used_at),
            "issuedBy": null,
            "allowedCidrs": is_caller.then_some(["192.0.2.0/24"]),
            "isCaller": is_caller,
        })
    };
    let expected =
        [item(&caller, "active", true), item(&recently[0], "revoked", false), item(&recently[1], "expired", false)];
    assert_eq!(items[..3], expected);
    assert_eq!(items[0].to_string(), expected[0].to_string(), "the order of members");
    let write = items.iter().find(|item| item["uuid"] == app.write.record.id.to_string()).unwrap();
    assert_eq!(write["type"]["uuid"], "appapikeytype_22222222-2222-2222-2222-222222222222");
    assert_eq!(write["allowedCidrs"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_costs_one_read_and_one_query() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let [read, _] = values(&app);
    // Recording the first use is one more call.
    routes.list(app.id(), read).await;
    let _ = routes.aws.take_calls();
    let second = routes.list(app.id(), read).await;
    assert_eq!(routes.aws.take_operations(), ["BatchGetItem", "Query"]);
    let own = second.iter().find(|key| key["isCaller"] == true).unwrap();
    assert!(time(&own["lastUsedAt"]) >= time(&own["createdAt"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn replacement_inherits_absent_fields() {
    let routes = KeyRoutes::start().await;
    let old = TestKey::new(ApiKeyType::Read).allowing(&["192.0.2.0/24", "2001:db8::/32"]).lifetime(DAY);
    let app = routes.create_app_with(&[&old]).await;
    let (id, [_, write], old_id) = (app.id(), values(&app), old.record.id.to_string());
    let inherited = |item: &Value| {
        let lifetime = time(&item["expiresAt"]).since(time(&item["createdAt"]));
        (item["name"].clone(), item["allowedCidrs"].clone(), lifetime)
    };
    let networks = json!(["192.0.2.0/24", "2001:db8::/32"]);
    let same = routes.create(id, write, json!({"replaces": old_id, "overlapSeconds": 60, "type": "read"})).await;
    assert_eq!(inherited(&same.item), ("read".into(), networks.clone(), DAY));
    // The overlap shortens the replaced key's life, but not the lifetime that the next replacement inherits.
    let absent =
        json!({"replaces": old_id, "name": null, "allowedCidrs": null, "expiresInSeconds": null, "type": null});
    let again = routes.create(id, write, absent).await;
    assert_eq!(inherited(&again.item), ("read".into(), networks, DAY));
    let other = json!({"replaces": old_id, "name": "other", "allowedCidrs": [], "expiresInSeconds": 3600});
    let other = routes.create(id, write, other).await;
    assert_eq!(inherited(&other.item), ("other".into(), json!([]), Duration::from_secs(3600)));

    let listed = routes.list(id, &other.value).await;
    let replaced = listed.iter().find(|key| key["uuid"] == old_id).unwrap();
    let end = time(&same.item["createdAt"]) + Duration::from_secs(60);
    assert_eq!(time(&replaced["expiresAt"]), end, "no later replacement extends an expiry");
    let endless = routes.create(id, write, json!({"type": "read", "name": "endless", "overlapSeconds": 0})).await;
    assert_eq!((&endless.item["expiresAt"], &endless.item["allowedCidrs"]), (&Value::Null, &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn index_item_expires_with_its_key() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (id, write, read_id) = (app.id(), app.write.value.expose(), app.read.record.id.to_string());
    let hash = app.read.record.hash.as_str();
    let expiries = async || {
        let items = routes.items().await;
        let [record, index] =
            [(format!("APP#{id}"), format!("APIKEY#{hash}")), (format!("APIKEY#{hash}"), "APIKEY".into())];
        [&items[&record], &items[&index]].map(|item| item.get("ttl").cloned())
    };
    assert_eq!(expiries().await, [None, None]);
    routes.create(id, write, json!({"replaces": read_id, "overlapSeconds": 3600})).await;
    let [of_replaced, of_index] = expiries().await;
    assert!(of_replaced.is_some() && of_replaced == of_index, "{of_replaced:?} {of_index:?}");
    routes.delete(id, write, &read_id).await;
    let [of_revoked, of_index] = expiries().await;
    assert!(of_revoked.is_some() && of_revoked == of_index, "{of_revoked:?} {of_index:?}");
    assert_ne!(of_revoked, of_replaced, "it was revoked before its expiry");
}

#[tokio::test(flavor = "multi_thread")]
async fn value_of_new_key_is_shown_once() {
    // Each call starts a process, whose log is searched for keys when it ends.
    let api = Api::start().await;
    let app = api.create_app().await;
    let [read, write] = values(&app);
    let event = post(app.id(), write, json!({"replaces": "self"})).idempotency_key("once");
    let first = api.call("post-app-api-keys", &event).await;
    let created = Created::new(first.clone());
    let mut expected = first.1;
    expected["items"][0]["value"] = Value::Null;
    for _ in 0..2 {
        assert_eq!(api.call("post-app-api-keys", &event).await, (201, expected.clone()), "a replay has no value");
    }
    let other = post(app.id(), write, json!({"replaces": "self", "overlapSeconds": 3600})).idempotency_key("once");
    let (status, body) = api.call("post-app-api-keys", &other).await;
    assert_eq!(
        (status, &body["errors"][0]["code"]),
        (409, &"[E4090]".into()),
        "another request has this Idempotency-Key"
    );

    let list = Event::new("get-app-api-keys").caller(app.id(), read);
    let (_, listed) = api.call("get-app-api-keys", &list).await;
    assert_eq!(listed["totalItems"], 3, "nothing was created twice: {listed}");
    let revocation = delete(app.id(), write, &created.id).idempotency_key("revoked");
    let revoked = api.call("delete-app-api-key", &revocation).await;
    assert_eq!((revoked.0, &revoked.1["items"][0]["uuid"]), (200, &created.id.clone().into()));
    assert_eq!(api.call("delete-app-api-key", &revocation).await, revoked);
    for later in [listed, revoked.1] {
        assert!(!later.to_string().contains("\"value\"") && !later.to_string().contains(&created.value), "{later}");
    }
    let routes = KeyRoutes::on(api.aws);
    routes.assert_not_stored(&created.value).await;
    routes.assert_keys_are_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_of_replay_names_key() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let write = app.write.value.expose();
    let read = app.read.record.id.to_string();
    for (function, event) in [
        ("post-app-api-keys", post(app.id(), write, json!({"type": "read", "name": "new"}))),
        ("delete-app-api-key", delete(app.id(), write, &read)),
    ] {
        let event = event.idempotency_key(function);
        let mut process = Function::start(function, &aws.environment()).await;
        let (response, _) = read_payload(&process.invoke(&event).await);
        process.invoke(&event).await;
        let body: Value = serde_json::from_str(&response.body).unwrap();
        let lines = process.stop().await;
        let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
        assert_eq!(requests[1]["replayed"], true);
        for line in requests {
            assert_eq!(line["subject"], body["items"][0]["uuid"], "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_that_revokes_itself_is_rejected_with_replays() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (id, [read, write]) = (app.id(), values(&app));
    let other = routes.create(id, write, json!({"type": "write", "name": "other"})).await;
    let event = delete(id, write, "self").idempotency_key("self");
    let (status, body) = routes.call("delete-app-api-key", &event).await;
    assert_eq!((status, &body["items"][0]["isCaller"]), (200, &true.into()), "{body}");
    assert_eq!(routes.call("delete-app-api-key", &event).await.0, 401);
    let own = app.write.record.id.to_string();
    let again = routes.delete(id, &other.value, &own).await;
    assert_eq!(again.0, 200, "revoked again");
    assert_eq!(again.1["items"][0]["revokedAt"], body["items"][0]["revokedAt"]);

    // No other write key is left.
    assert_eq!(routes.delete(id, &other.value, "self").await.0, 409);
    assert_eq!(routes.delete(id, &other.value, &other.id).await.0, 409, "by its id as well");
    let forced = delete(id, &other.value, "self").query("force", "true");
    assert_eq!(routes.call("delete-app-api-key", &forced).await.0, 200);
    assert!(!routes.is_accepted(id, &other.value).await);
    let statuses: Vec<_> = routes.list(id, read).await.iter().map(|key| key["status"].clone()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "revoked").count(), 2);
}
