//! API keys of earlier versions, which have no lifetime, allow list, issuer or index item.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{ApiKeyType, AppId, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::TABLE,
};

use crate::key_routes::{KeyRoutes, time};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Removes the attributes and the index item that earlier versions did not store.
async fn make_earlier(routes: &KeyRoutes, app: AppId, key: &TestKey) {
    let hash = key.record.hash.as_str();
    let new = "lifetimeSeconds, issuedBy, allowedCidrs, fetchedVersionId, fetchedAt, #ttl";
    let update = routes.aws.update_item(app, &format!("APIKEY#{hash}"));
    let update = update.update_expression(format!("REMOVE {new}")).expression_attribute_names("#ttl", "ttl");
    update.send().await.unwrap();
    let delete = routes.aws.dynamodb().delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S(format!("APIKEY#{hash}")));
    delete.key("sk", AttributeValue::S("APIKEY".to_owned())).send().await.unwrap();
}

async fn create(routes: &KeyRoutes, keys: &[&TestKey]) -> TestApp {
    let app = routes.create_app_with(keys).await;
    for key in keys.iter().copied().chain([&app.read, &app.write]) {
        make_earlier(routes, app.id(), key).await;
    }
    app
}

fn aged(key: TestKey, days: u32) -> TestKey {
    let mut key = key;
    key.record.created_at = Timestamp::now().before(DAY * days);
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_record_is_accepted_and_listed() {
    let routes = KeyRoutes::start().await;
    let expiring = aged(TestKey::new(ApiKeyType::Read), 5).lifetime(DAY * 10);
    let expired = aged(TestKey::new(ApiKeyType::Read), 5).lifetime(DAY);
    let revoked = TestKey::new(ApiKeyType::Read).revoked();
    let app = create(&routes, &[&expiring, &expired, &revoked]).await;
    for (key, is_accepted) in
        [(&app.read, true), (&app.write, true), (&expiring, true), (&expired, false), (&revoked, false)]
    {
        assert_eq!(routes.is_accepted(app.id(), key.value.expose()).await, is_accepted);
    }
    let listed = routes.list(app.id(), expiring.value.expose()).await;
    assert_eq!(listed.len(), 5);
    let own = listed.iter().find(|key| key["isCaller"] == true).unwrap();
    assert_eq!((&own["issuedBy"], &own["allowedCidrs"]), (&Value::Null, &json!([])));
    assert_eq!(time(&own["expiresAt"]), expiring.record.expires_at.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_records_lifetime_is_expiry_minus_creation() {
    let routes = KeyRoutes::start().await;
    let expiring = aged(TestKey::new(ApiKeyType::Read), 5).lifetime(DAY * 10);
    let app = create(&routes, &[&expiring]).await;
    let (id, write) = (app.id(), app.write.value.expose());
    let replaced = expiring.record.id.to_string();
    // The first replacement changes the expiry, so the lifetime can no longer be derived from it.
    for _ in 0..2 {
        let new = routes.create(id, write, json!({"replaces": replaced, "overlapSeconds": 60})).await;
        assert_eq!(time(&new.item["expiresAt"]).since(time(&new.item["createdAt"])), DAY * 10);
    }
    let endless = routes.create(id, write, json!({"replaces": app.read.record.id.to_string()})).await;
    assert_eq!(endless.item["expiresAt"], Value::Null);
    let again = routes.create(id, write, json!({"replaces": app.read.record.id.to_string()})).await;
    assert_eq!(again.item["expiresAt"], Value::Null, "an overlap is not a lifetime");
    assert_eq!(routes.create(id, write, json!({"replaces": "self"})).await.item["expiresAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_write_key_limits_its_keys_to_implied_lifetime() {
    let routes = KeyRoutes::start().await;
    let expiring = aged(TestKey::new(ApiKeyType::Write), 5).lifetime(DAY * 10);
    let app = create(&routes, &[&expiring]).await;
    let new = |days: u64| json!({"type": "write", "name": "new", "expiresInSeconds": days * 24 * 3600});
    assert_eq!(routes.post(app.id(), expiring.value.expose(), new(6)).await.0, 409);
    assert_eq!(routes.post(app.id(), expiring.value.expose(), new(4)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_key_is_revoked_without_index_item() {
    let routes = KeyRoutes::start().await;
    let key = TestKey::new(ApiKeyType::Read);
    let app = create(&routes, &[&key]).await;
    let (status, body) = routes.delete(app.id(), app.write.value.expose(), &key.record.id.to_string()).await;
    assert_eq!(status, 200, "{body}");
    assert!(!routes.is_accepted(app.id(), key.value.expose()).await);
    let items = routes.items().await;
    assert!(items.keys().all(|(_, sk)| sk != "APIKEY"), "no index item is created");
    let record = items.iter().find(|((_, sk), _)| sk.ends_with(key.record.hash.as_str())).unwrap().1;
    let ttl: u64 = record["ttl"].as_n().unwrap().parse().unwrap();
    let revoked_at: Timestamp = record["revokedAt"].as_s().unwrap().parse().unwrap();
    assert_eq!(ttl, (revoked_at + DAY * 30).seconds_since_epoch());
}
