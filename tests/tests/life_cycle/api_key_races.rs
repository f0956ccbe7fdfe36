//! Concurrent changes of API keys, and changes that are killed after each AWS call.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::future::join_all;
use serde_json::{Value, json};
use userdocks::domain::{ApiKeyType, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::Reply,
    contract::read_payload,
    event::Event,
    in_process::InProcess,
};

use crate::{
    crashes::killed_after,
    key_routes::{Created, KeyRoutes, delete, post},
};

/// Calls the function, and does `work` before its transaction is carried out.
async fn call_around(
    routes: &KeyRoutes,
    function: &str,
    event: &Event,
    work: impl Future<Output = ()>,
) -> (u16, Value) {
    let is_first = AtomicBool::new(true);
    routes.aws.intercept(move |call| match call.operation.as_str() {
        "TransactWriteItems" if is_first.swap(false, Relaxed) => Reply::Hold,
        _ => Reply::Forward,
    });
    // A function whose calls have no timeout waits for `work`, however long it takes.
    let function = InProcess::new(function, routes.aws.services());
    let event = event.to_string();
    let (payload, ()) = tokio::join!(function.respond(&event), routes.aws.while_held(work));
    let (response, _) = read_payload(&payload);
    (response.status, serde_json::from_str(&response.body).unwrap())
}

async fn active_write_keys(routes: &KeyRoutes, app: &TestApp) -> usize {
    let keys = routes.list(app.id(), app.read.value.expose()).await;
    keys.iter().filter(|key| key["type"]["name"] == "write" && key["status"] == "active").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn last_two_write_keys_do_not_revoke_each_other() {
    let routes = KeyRoutes::start().await;
    for own_keys in [true, false] {
        let other = TestKey::new(ApiKeyType::Write);
        let app = routes.create_app_with(&[&other]).await;
        let keys = [&app.write, &other];
        let [first, second] = [0, 1].map(|index| {
            let target = keys[if own_keys { index } else { 1 - index }].record.id.to_string();
            delete(app.id(), keys[index].value.expose(), &target)
        });
        let during = async {
            let (status, body) = routes.call("delete-app-api-key", &second).await;
            assert_eq!(status, 200, "{body}");
        };
        assert_eq!(call_around(&routes, "delete-app-api-key", &first, during).await.0, 409);
        assert_eq!(active_write_keys(&routes, &app).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_revocations_leave_one_write_key() {
    let routes = KeyRoutes::start().await;
    let other = TestKey::new(ApiKeyType::Write);
    let app = routes.create_app_with(&[&other]).await;
    let events = [&app.write, &other].map(|key| delete(app.id(), key.value.expose(), "self"));
    let calls = events.iter().map(|event| routes.call("delete-app-api-key", event));
    let mut statuses: Vec<_> = join_all(calls).await.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(active_write_keys(&routes, &app).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replacements_of_key_wins_whole() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let (id, write, replaced) = (app.id(), app.write.value.expose(), app.read.record.id.to_string());
    let event = |seconds| post(id, write, json!({"replaces": replaced, "overlapSeconds": seconds}));
    let during = async {
        let (status, body) = routes.call("post-app-api-keys", &event(3600)).await;
        assert_eq!(status, 201, "{body}");
    };
    assert_eq!(call_around(&routes, "post-app-api-keys", &event(0), during).await.0, 409);
    assert!(routes.is_accepted(id, app.read.value.expose()).await, "the overlap that the winner asked for");
    assert_eq!(routes.list(id, app.read.value.expose()).await.len(), 3);
    routes.assert_keys_are_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_by_key_revoked_meanwhile_fails() {
    let routes = KeyRoutes::start().await;
    let other = TestKey::new(ApiKeyType::Write);
    let app = routes.create_app_with(&[&other]).await;
    let store = routes.aws.services().store;
    let events = [
        ("post-app-api-keys", post(app.id(), app.write.value.expose(), json!({"type": "write", "name": "thief"}))),
        ("delete-app-api-key", delete(app.id(), app.write.value.expose(), &other.record.id.to_string())),
    ];
    for (function, event) in events {
        let during = async {
            store.revoke_api_key(app.id(), &app.write.record, Timestamp::now()).await.unwrap();
        };
        let update = routes.aws.update_item(app.id(), &format!("APIKEY#{}", app.write.record.hash.as_str()));
        update.update_expression("REMOVE revokedAt").send().await.unwrap();
        let (status, body) = call_around(&routes, function, &event, during).await;
        assert_eq!(status, 409, "{function}: {body}");
    }
    assert!(!routes.is_accepted(app.id(), app.write.value.expose()).await);
    assert_eq!(active_write_keys(&routes, &app).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_changes_succeed_or_fail_whole() {
    let routes = KeyRoutes::start().await;
    let keys: Vec<_> = (0..8).map(|_| TestKey::new(ApiKeyType::Read)).collect();
    let spare = TestKey::new(ApiKeyType::Write);
    let app = routes.create_app_with(&keys.iter().chain([&spare]).collect::<Vec<_>>()).await;
    let (id, write) = (app.id(), app.write.value.expose());
    let mut writes = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let key = key.record.id.to_string();
        writes.push(("post-app-api-keys", post(id, write, json!({"type": "write", "name": number.to_string()}))));
        writes.push(("post-app-api-keys", post(id, write, json!({"replaces": key})).idempotency_key(number)));
        writes.push(("delete-app-api-key", delete(id, write, &key)));
        writes.push(("delete-app-api-key", delete(id, write, &spare.record.id.to_string())));
    }
    assert_eq!(writes.len(), 32);
    let calls = writes.iter().map(|(function, event)| routes.call(function, event));
    let responses = join_all(calls).await;
    let listed = routes.list(id, app.read.value.expose()).await;
    let find = |id: &Value| listed.iter().find(|key| key["uuid"] == *id).unwrap();
    let (mut created, mut changes) = (0, 0);
    for ((function, event), (status, body)) in writes.iter().zip(&responses) {
        assert!([200, 201, 409].contains(status), "{function} {event}: {status} {body}");
        match status {
            201 => {
                let key = Created::new((*status, body.clone()));
                let is_active = find(&key.item["uuid"])["status"] == "active";
                assert!(is_active && (routes.is_accepted(id, &key.value).await), "each created key is active: {body}");
                created += 1;
            }
            200 => {
                assert_eq!(find(&body["items"][0]["uuid"])["status"], "revoked", "each revoked key stays revoked");
            }
            _ => {}
        }
        changes += u64::from(*status < 300);
    }
    assert!(changes > 0, "the first commit succeeds: {responses:?}");
    assert_eq!(listed.len(), keys.len() + 3 + created, "nothing else was created");
    assert!(routes.is_accepted(id, write).await);
    let counted = app.stored(&routes.aws.services()).await.version - app.record.version;
    // A 200 for a key that is revoked already changes nothing.
    assert!((created as u64..=changes).contains(&counted), "{counted} of {changes}");
    routes.assert_keys_are_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_api_keys_killed_after_any_call_completes() {
    let routes = KeyRoutes::start().await;
    let app = routes.create_app().await;
    let write = app.write.value.expose();
    for (function, idempotency_key) in [
        ("post-app-api-keys", None),
        ("post-app-api-keys", Some("killed")),
        ("delete-app-api-key", None),
        ("delete-app-api-key", Some("killed")),
    ] {
        let mut index = 0;
        loop {
            let update = routes.aws.update_item(app.id(), &format!("APIKEY#{}", app.write.record.hash.as_str()));
            update.update_expression("REMOVE lastUsedAt").send().await.unwrap();
            let key = TestKey::new(ApiKeyType::Read);
            routes.add_keys(app.id(), [key.clone()]).await;
            let target = key.record.id.to_string();
            let mut event = match function {
                "post-app-api-keys" => post(app.id(), write, json!({"replaces": target, "overlapSeconds": 3600})),
                _ => delete(app.id(), write, &target),
            };
            if let Some(key) = idempotency_key {
                event = event.idempotency_key(format!("{key} {function} {index}"));
            }
            let find = async |id: &str| {
                let keys = routes.list(app.id(), app.read.value.expose()).await;
                (keys.len(), keys.into_iter().find(|key| key["uuid"] == id).unwrap())
            };
            let (before, _) = find(&target).await;
            let over = killed_after(&routes.aws, function, &event, index).await;
            routes.assert_keys_are_whole().await;
            let (after, changed) = find(&target).await;
            let is_done = changed["updatedAt"] != changed["createdAt"];
            assert_eq!(
                after - before,
                usize::from(is_done && function == "post-app-api-keys"),
                "a change fails or succeeds whole"
            );
            assert_eq!(changed["expiresAt"].is_null(), !is_done || function != "post-app-api-keys");
            assert_eq!(changed["revokedAt"].is_null(), !is_done || function == "post-app-api-keys");

            let (status, body) = routes.call(function, &event).await;
            assert!(status < 300, "{function}, killed after call {index}: {status} {body}");
            let (count, _) = find(&target).await;
            routes.assert_keys_are_whole().await;
            if function == "post-app-api-keys" {
                let is_replay = is_done && idempotency_key.is_some();
                assert_eq!(count, after + usize::from(!is_replay), "a replay creates nothing");
                assert_eq!(body["items"][0]["value"].is_null(), is_replay, "only the first response has a value");
                let created = body["items"][0]["uuid"].as_str().unwrap();
                assert_eq!(find(created).await.1["status"], "active");
            } else {
                assert!(!routes.is_accepted(app.id(), key.value.expose()).await);
            }
            if over.is_some() {
                break;
            }
            index += 1;
        }
        assert!(index >= 3, "{function} makes several calls");
    }
}
