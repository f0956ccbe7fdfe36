//! The life cycle of signing keys.

use std::sync::{Arc, Mutex};

use serde_json::json;
use userdocks::domain::Timestamp;
use userdocks_test_support::aws::Reply;

use crate::api::Api;

#[tokio::test(flavor = "multi_thread")]
async fn signing_key_is_published_used_retired_and_revoked() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let first = api.listed(&app).await.remove(0);
    let second = api.create_key(&app).await;
    assert_eq!(api.listed(&app).await, [&*first], "a standby key is not listed");
    assert_eq!(api.published(&app).await, [&*first, &*second], "a standby key is published");

    assert_eq!(api.put_in_use(&app, &second, false).await.0, 409, "verifiers may have a key set without it");
    assert_eq!(api.listed(&app).await, [&*first], "nothing was changed");
    api.update(&app, "SET signingKeys[1].createdAt = :then", &[(":then", "2026-01-01T00:00:00.000Z")]).await;
    let (status, body) = api.put_in_use(&app, &second, false).await;
    assert_eq!((status, &body["items"][0]["state"]), (200, &json!("in_use")));
    assert_eq!(api.listed(&app).await, [&*second, &*first]);

    assert_eq!(api.put_in_use(&app, &first, false).await.0, 200, "a bad rotation is undone in one call");
    assert_eq!(api.listed(&app).await, [&*first, &*second]);
    assert_eq!(api.put_in_use(&app, &second, false).await.0, 200);

    assert_eq!(api.revoke(&app, &second).await.0, 409, "the key in use");
    for _ in 0..2 {
        let (status, body) = api.revoke(&app, &first).await;
        assert_eq!((status, &body["items"][0]["state"]), (200, &json!("revoked")));
    }
    assert_eq!((api.listed(&app).await, api.published(&app).await), (vec![second.clone()], vec![second.clone()]));
    assert_eq!(api.put_in_use(&app, &first, true).await.0, 404, "a revoked key is not found");
    let force = app.event("delete-app-key").key(&second).query("force", "true");
    assert_eq!(api.call("delete-app-key", &force).await.0, 200);
    assert!(api.published(&app).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn age_of_key_begins_when_published() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let stored_at = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&stored_at);
    api.aws.intercept(move |call| {
        if call.operation == "CreateSecret" {
            *noted.lock().unwrap() = Some(Timestamp::now());
        }
        Reply::Forward
    });
    let (_, body) = api.call("post-app-keys", &app.event("post-app-keys")).await;
    let created: Timestamp = body["items"][0]["createdAt"].as_str().unwrap().parse().unwrap();
    assert!(created >= stored_at.lock().unwrap().unwrap(), "the age does not begin at the request");
}
