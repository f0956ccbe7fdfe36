//! The rules for creating, replacing and revoking API keys. A refused request changes nothing.

use std::time::Duration;

use serde_json::{Value, json};
use userdocks::domain::{ApiKeyId, ApiKeyType, AppId, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    contract::failure,
    event::Event,
};

use crate::key_routes::{KeyRoutes, delete, post};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ADDRESS: &str = "192.0.2.7";

impl KeyRoutes {
    /// Fails unless the request fails with that code and changes nothing except the key's last use.
    async fn assert_refused(&self, function: &str, event: &Event, code: &str) {
        let before = self.items_without_last_use().await;
        let response = self.respond(function, event).await;
        let body = event.clone().json()["body"].clone();
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| name != "x-api-key-expires-at");
        let expected = failure(function, code);
        assert_eq!(
            (response.status, &response.body, headers),
            (expected.status, &expected.body, expected.headers),
            "{body}"
        );
        assert!(self.items_without_last_use().await == before, "{code} changes nothing: {body}");
    }

    async fn assert_post_refused(&self, app: AppId, key: &str, body: Value, code: &str) {
        self.assert_refused("post-app-api-keys", &post(app, key, body).source_ip(ADDRESS), code).await;
    }

    async fn assert_delete_refused(&self, app: AppId, key: &str, id: &str, code: &str) {
        self.assert_refused("delete-app-api-key", &delete(app, key, id), code).await;
    }
}

fn write(app: &TestApp) -> &str {
    app.write.value.expose()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_body_is_refused() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let cidrs = |networks: &[&str]| json!({"type": "read", "name": "n", "allowedCidrs": networks});
    let many: Vec<_> = (0..=20).map(|number| format!("10.{number}.0.0/16")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let with = |name: &str, value: Value| {
        let mut body = json!({"type": "read", "name": "n"});
        body[name] = value;
        body
    };
    let mut bodies = vec![
        json!({}),
        json!([]),
        json!("read"),
        json!({"type": "read"}),
        json!({"name": "n"}),
        json!({"type": "read", "name": null}),
        json!({"type": null, "name": "n"}),
        with("unknown", 1.into()),
        with("replaces", "apikey_1".into()),
        with("replaces", "SELF".into()),
        with("type", "admin".into()),
        with("type", "Read".into()),
        with("name", 1.into()),
        with("allowedCidrs", "192.0.2.0/24".into()),
        with("allowedCidrs", json!([1])),
        cidrs(&["192.0.2.1"]),
        cidrs(&["192.0.2.1/24"]),
        cidrs(&["192.0.2.0/33"]),
        cidrs(&["2001:db8::1/64"]),
        cidrs(&["2001:DB8::/32"]),
        cidrs(&["192.0.2.0/24", "192.0.2.0/24"]),
        cidrs(&["::ffff:192.0.2.0/120"]),
        cidrs(&many),
    ];
    for name in ["", &"n".repeat(101), "a\nb", "a\u{202e}b", "a\u{7f}"] {
        bodies.push(with("name", name.into()));
    }
    for seconds in [json!(59), json!(157_680_001), json!(60.5), json!(-60), json!("60"), json!(1e300)] {
        bodies.push(with("expiresInSeconds", seconds));
    }
    for seconds in [json!(-1), json!(2_592_001), json!(0.5), json!("0")] {
        bodies.push(with("overlapSeconds", seconds));
    }
    for body in bodies {
        routes.assert_post_refused(app.id(), write(&app), body.clone(), "E4000").await;
        if body.is_object() && body["replaces"].is_null() && body.as_object().unwrap().len() == 3 {
            let mut replacing = body;
            replacing["replaces"] = app.read.record.id.to_string().into();
            routes.assert_post_refused(app.id(), write(&app), replacing, "E4000").await;
        }
    }
    for body in ["", "null", "{", "[{}]"] {
        let event = post(app.id(), write(&app), Value::Null).body(body);
        routes.assert_refused("post-app-api-keys", &event, "E4000").await;
    }
    for body in [
        json!({"type": "read", "name": "n".repeat(100), "expiresInSeconds": 60, "overlapSeconds": 0}),
        json!({"type": "read", "name": "é", "expiresInSeconds": 157_680_000, "overlapSeconds": 2_592_000}),
        json!({"type": "write", "name": " n ", "expiresInSeconds": 60.0, "allowedCidrs": &many[..20]}),
    ] {
        routes.create(app.id(), write(&app), body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_revocation_is_refused() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let id = app.read.record.id.to_string();
    for malformed in ["no-id", "SELF", "", &id["apikey_".len()..], &id.replace("apikey_", "appkey_")] {
        routes.assert_delete_refused(app.id(), write(&app), malformed, "E4000").await;
    }
    let event = || delete(app.id(), write(&app), &id);
    for event in [event().body("[]"), event().query("force", "1"), event().query("force", "")] {
        routes.assert_refused("delete-app-api-key", &event, "E4000").await;
    }
    assert_eq!(routes.call("delete-app-api-key", &event().query("unknown", "1").body("")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_foreign_keys_are_not_found() {
    let routes = KeyRoutes::start().await;
    let (app, foreign) = (routes.create_app().await, routes.create_app().await);
    for id in [ApiKeyId::random().to_string(), foreign.read.record.id.to_string()] {
        routes.assert_post_refused(app.id(), write(&app), json!({"replaces": id}), "E4040").await;
        // A malformed body is refused before the key is looked up, a wrong type after it.
        let malformed = json!({"replaces": id, "type": "admin"});
        routes.assert_post_refused(app.id(), write(&app), malformed, "E4000").await;
        let other_type = json!({"replaces": id, "type": "write"});
        routes.assert_post_refused(app.id(), write(&app), other_type, "E4040").await;
        routes.assert_delete_refused(app.id(), write(&app), &id, "E4040").await;
        let forced = delete(app.id(), write(&app), &id).query("force", "true");
        routes.assert_refused("delete-app-api-key", &forced, "E4040").await;
    }
    assert!(routes.is_accepted(foreign.id(), foreign.read.value.expose()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_key_is_revoked_and_not_replaced() {
    let routes = KeyRoutes::start().await;
    let key = || TestKey::new(ApiKeyType::Read);
    let (active, revoked, expired) = (key(), key().revoked(), key().expired());
    let app = routes.create_app_with(&[&active, &revoked, &expired]).await;
    for key in [&revoked, &expired] {
        let id = key.record.id.to_string();
        routes.assert_post_refused(app.id(), write(&app), json!({"replaces": id}), "E4090").await;
        // A wrong type is refused before a wrong status.
        let other_type = json!({"replaces": id, "type": "write"});
        routes.assert_post_refused(app.id(), write(&app), other_type, "E4000").await;
        let (status, body) = routes.delete(app.id(), write(&app), &id).await;
        assert_eq!((status, &body["items"][0]["status"]), (200, &"revoked".into()), "{body}");
    }
    let replaced = active.record.id.to_string();
    routes.create(app.id(), write(&app), json!({"replaces": replaced, "overlapSeconds": 0})).await;
    assert!(!routes.is_accepted(app.id(), active.value.expose()).await, "without an overlap it expires at once");
    routes.assert_post_refused(app.id(), write(&app), json!({"replaces": replaced}), "E4090").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_is_not_locked_out_by_replacing_itself() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let own = app.write.record.id.to_string();
    for replaces in ["self", &own] {
        for (body, address) in [
            (json!({"replaces": replaces, "overlapSeconds": 59}), ADDRESS),
            (json!({"replaces": replaces, "allowedCidrs": ["198.51.100.0/24"]}), ADDRESS),
            (json!({"replaces": replaces, "allowedCidrs": ["192.0.2.0/24"]}), "no address"),
        ] {
            let event = post(app.id(), write(&app), body).source_ip(address);
            routes.assert_refused("post-app-api-keys", &event, "E4000").await;
        }
    }
    let body = json!({"replaces": "self", "overlapSeconds": 60, "allowedCidrs": ["192.0.2.0/24"]});
    let event = post(app.id(), write(&app), body).source_ip(format!("::ffff:{ADDRESS}"));
    assert_eq!(routes.call("post-app-api-keys", &event).await.0, 201);
    let other =
        json!({"replaces": app.read.record.id.to_string(), "overlapSeconds": 0, "allowedCidrs": ["198.51.100.0/24"]});
    assert_eq!(routes.post(app.id(), write(&app), other).await.0, 201, "the rule applies only to the caller's own key");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_active_write_key_is_revoked_only_by_force() {
    let routes = KeyRoutes::start().await;
    let ended = [TestKey::new(ApiKeyType::Write).revoked(), TestKey::new(ApiKeyType::Write).expired()];
    let foreign = routes.create_app().await;
    let app = routes.create_app_with(&[&ended[0], &ended[1], &TestKey::new(ApiKeyType::Read)]).await;
    let own = app.write.record.id.to_string();
    for id in ["self", &own, &own.to_uppercase().replace("APIKEY", "apikey")] {
        routes.assert_delete_refused(app.id(), write(&app), id, "E4090").await;
        let event = delete(app.id(), write(&app), id).query("force", "false");
        routes.assert_refused("delete-app-api-key", &event, "E4090").await;
    }
    let forced = delete(app.id(), write(&app), "self").query("force", "true");
    assert_eq!(routes.call("delete-app-api-key", &forced).await.0, 200);
    assert!(!routes.is_accepted(app.id(), write(&app)).await);
    assert!(routes.is_accepted(foreign.id(), write(&foreign)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_key_gets_no_wider_list_than_its_creator() {
    let routes = KeyRoutes::start().await;
    let creator = TestKey::new(ApiKeyType::Write).allowing(&["192.0.2.0/24", "10.0.0.0/8"]);
    let free = TestKey::new(ApiKeyType::Write);
    let app = routes.create_app_with(&[&creator, &free]).await;
    let value = creator.value.expose();
    let new = |networks: &[&str]| json!({"type": "write", "name": "n", "allowedCidrs": networks});
    let free = free.record.id.to_string();
    for body in [
        new(&[]),
        new(&["192.0.0.0/16"]),
        new(&["192.0.2.0/25", "198.51.100.0/24"]),
        json!({"replaces": free}),
        json!({"replaces": "self", "allowedCidrs": []}),
        json!({"replaces": "self", "allowedCidrs": ["0.0.0.0/0"]}),
    ] {
        routes.assert_post_refused(app.id(), value, body, "E4090").await;
    }
    for body in [
        new(&["192.0.2.0/25", "10.1.0.0/16"]),
        json!({"type": "read", "name": "n"}),
        json!({"replaces": free, "allowedCidrs": ["10.0.0.0/9"]}),
        json!({"replaces": "self"}),
        json!({"replaces": "self", "allowedCidrs": ["192.0.2.7/32"]}),
    ] {
        let (status, response) =
            routes.call("post-app-api-keys", &post(app.id(), value, body.clone()).source_ip(ADDRESS)).await;
        assert_eq!(status, 201, "{body}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_key_does_not_outlive_its_creator() {
    let routes = KeyRoutes::start().await;
    let mut creator = TestKey::new(ApiKeyType::Write);
    creator.record.created_at = Timestamp::now().before(DAY);
    let creator = creator.lifetime(DAY * 3);
    let app = routes.create_app_with(&[&creator]).await;
    let (value, two_days) = (creator.value.expose(), 2 * 24 * 3600);
    let new = |kind: &str, seconds: Option<u64>| json!({"type": kind, "name": "n", "expiresInSeconds": seconds});
    for body in [
        new("write", None),
        new("write", Some(two_days + 60)),
        json!({"replaces": "self"}),
        json!({"replaces": app.write.record.id.to_string()}),
    ] {
        routes.assert_post_refused(app.id(), value, body, "E4090").await;
    }
    for body in [
        new("read", None),
        new("write", Some(two_days - 600)),
        json!({"replaces": "self", "expiresInSeconds": two_days - 600}),
        // The overlap now limits the caller's expiry, but the caller keeps the lifetime that it was issued with.
        json!({"replaces": "self", "expiresInSeconds": two_days - 600}),
    ] {
        routes.create(app.id(), value, body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_active_and_ended_keys_are_kept() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let key = || TestKey::new(ApiKeyType::Read);
    let new = || json!({"type": "read", "name": "n"});
    let replacement = || json!({"replaces": "self"});
    routes.add_keys(app.id(), (2..49).map(|_| key())).await;
    routes.create(app.id(), write(&app), new()).await;
    routes.assert_post_refused(app.id(), write(&app), new(), "E4090").await;
    routes.create(app.id(), write(&app), replacement()).await;
    routes.add_keys(app.id(), (51..99).map(|_| key())).await;
    let last = routes.create(app.id(), write(&app), replacement()).await;
    routes.assert_post_refused(app.id(), write(&app), replacement(), "E4090").await;
    // The app now has 99 active keys. Expired and revoked keys make it 199.
    assert_eq!(routes.delete(app.id(), write(&app), &last.id).await.0, 200);
    let ended = (0..98).map(|number| if number % 2 == 0 { key().revoked() } else { key().expired() });
    routes.add_keys(app.id(), ended.chain([key().revoked()])).await;
    let long_ago = |mut key: TestKey| {
        key.record.revoked_at = Some(Timestamp::now().before(DAY * 31));
        key
    };
    routes.add_keys(app.id(), [long_ago(key())]).await;
    assert_eq!(routes.list(app.id(), app.read.value.expose()).await.len(), 199);
    routes.create(app.id(), write(&app), replacement()).await;
    let active = app.read.record.id.to_string();
    assert_eq!(routes.delete(app.id(), write(&app), &active).await.0, 200, "a revocation has no limit");
    routes.assert_post_refused(app.id(), write(&app), replacement(), "E4090").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_wrong_type_is_refused_by_each_route() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let read = app.read.value.expose();
    let id = app.write.record.id.to_string();
    routes.assert_post_refused(app.id(), read, json!({"type": "read", "name": "n"}), "E4011").await;
    routes.assert_delete_refused(app.id(), read, &id, "E4011").await;
    let event = Event::new("get-app-api-keys").caller(app.id(), write(&app));
    routes.assert_refused("get-app-api-keys", &event, "E4011").await;
}
