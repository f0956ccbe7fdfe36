//! The last use of API keys, and a rotation that loses to a revocation.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use userdocks::{
    domain::{ApiKeyType, Timestamp},
    store::StoreError,
};
use userdocks_test_support::{app::TestKey, aws::Reply, contract::read_payload, in_process::InProcess};

use crate::{api::Api, key_routes::post};

#[tokio::test(flavor = "multi_thread")]
async fn last_use_of_key_is_noted_best_effort() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let last_used = async || {
        let (keys, _) = api.aws.services().store.list_api_keys(app.id()).await.unwrap();
        keys.into_iter().find(|key| key.kind == ApiKeyType::Read).unwrap().last_used_at
    };
    assert_eq!(last_used().await, None);
    for fault in [Reply::error(400, "AccessDeniedException"), Reply::Send(500, String::new()), Reply::Never] {
        api.aws.intercept_operation("UpdateItem", fault);
        api.secret(&app).await;
    }
    api.aws.forward();
    let before = Timestamp::now();
    api.secret(&app).await;
    let noted = last_used().await.unwrap();
    assert!(noted >= before);
    api.secret(&app).await;
    assert_eq!(last_used().await, Some(noted), "once an hour");

    let store = api.aws.services().store;
    let hash = app.read.record.hash.clone();
    let hour = Duration::from_secs(3600);
    store.note_use(app.id(), &hash, noted.before(hour)).await.unwrap();
    assert_eq!(last_used().await, Some(noted), "forward only");
    store.note_use(app.id(), &hash, noted + hour).await.unwrap();
    assert_eq!(last_used().await, Some(noted + hour));
    store.revoke_api_key(app.id(), &app.read.record, Timestamp::now()).await.unwrap();
    store.note_use(app.id(), &hash, noted + hour + hour).await.unwrap();
    assert_eq!(last_used().await, Some(noted + hour + hour), "the use of a revoked key is recorded");
    store.delete_app(app.id()).await.unwrap();
    store.note_use(app.id(), &hash, noted + hour + hour).await.unwrap();
    assert_eq!(store.list_api_keys(app.id()).await.unwrap(), (vec![], vec![]), "no record is created");
}

/// The response has the only copy of the new key's value.
#[tokio::test(flavor = "multi_thread")]
async fn response_does_not_depend_on_expiry_of_index_item() {
    let api = Api::start().await;
    let app = api.create_app().await;
    api.aws.intercept(|call| match call.operation.as_str() {
        "UpdateItem" if call.body.contains("#ttl") => Reply::Never,
        _ => Reply::Forward,
    });
    // The calls have no timeout of their own.
    let function = InProcess::new("post-app-api-keys", api.aws.services());
    let event = post(app.id(), app.write.value.expose(), json!({"replaces": app.read.record.id.to_string()}));
    let response = timeout(Duration::from_secs(60), function.respond(&event.to_string())).await;
    let (response, _) = read_payload(&response.expect("the response does not wait for the index item"));
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(response.status, 201, "{body}");
    assert!(body["items"][0]["value"].is_string(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_key_revoked_meanwhile_is_not_rotated() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let store = api.aws.services().store;
    let (keys, _) = store.list_api_keys(app.id()).await.unwrap();
    let read = keys.iter().find(|key| key.kind == ApiKeyType::Read).unwrap();
    store.revoke_api_key(app.id(), read, Timestamp::now()).await.unwrap();
    let new = TestKey::new(ApiKeyType::Read);
    let mut retired = read.clone();
    retired.retire(Duration::ZERO, Timestamp::now());
    let refused = store.replace_api_key(app.id(), &new.record, read, &retired).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.list_api_keys(app.id()).await.unwrap().0.len(), keys.len(), "nothing was changed");
}
