//! The last use of API keys, and a rotation that loses to a revocation.

use std::time::Duration;

use userdocks::{
    domain::{ApiKeyType, Timestamp},
    store::StoreError,
};
use userdocks_test_support::{app::TestKey, aws::Reply};

use crate::api::Api;

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
