//! Functions and commands that are killed after each AWS call, and repeated.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use serde_json::Value;
use userdocks::domain::{ApiKeyType, App, AppId, Secret, SigningKeyId};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{FakeAws, Reply},
    contract::read_payload,
    event::Event,
    function::Function,
};

use crate::api::{Api, WRITES};

/// Calls a function and kills it once its AWS call with that index is carried out. Returns the status and body if the
/// function responds first.
pub async fn killed_after(aws: &FakeAws, function: &str, event: &Event, index: usize) -> Option<(u16, Value)> {
    let mut process = Function::start(function, &aws.environment()).await;
    aws.intercept(move |call| if call.index == index { Reply::Lose } else { Reply::Forward });
    let outcome = tokio::select! {
        response = process.invoke(&event) => Some(response),
        () = aws.response_lost() => None,
    };
    process.stop().await;
    aws.forward();
    outcome.map(|response| {
        let (response, _) = read_payload(&response);
        (response.status, serde_json::from_str(&response.body).unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn write_killed_after_any_call_completes_when_repeated() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let first = api.listed(&app).await.remove(0);
    let second = api.add_standby(&app).await;
    let mut generated = vec![first.clone()];
    for function in WRITES {
        for idempotency_key in [None, Some("killed")] {
            let mut index = 0;
            loop {
                // The function then records the use again: one more call to be killed after.
                forget_last_use(&api, &app).await;
                let idempotency_key = idempotency_key.map(|key| format!("{key} {function} {index}"));
                let in_use = api.listed(&app).await.remove(0);
                let target = match function {
                    "put-app-key" if in_use == first => second.clone(),
                    "put-app-key" => first.clone(),
                    "delete-app-key" => api.add_standby(&app).await,
                    _ => String::new(),
                };
                let mut event = app.event(function).key(&target);
                if function == "put-app-key" {
                    event = event.body(r#"{"state":"in_use","force":true}"#);
                }
                if let Some(key) = idempotency_key {
                    event = event.idempotency_key(key);
                }
                let over = killed_after(&api.aws, function, &event, index).await;
                api.assert_nothing_is_lost(&app, &generated).await;
                let (status, body) = api.call(function, &event).await;
                assert!(status < 300, "{function}, killed after call {index}: {status} {body}");
                match function {
                    "post-app-secrets" => assert_eq!(body["data"]["secret"], api.secret(&app).await),
                    "post-app-keys" => generated.push(body["items"][0]["uuid"].as_str().unwrap().to_owned()),
                    "put-app-key" => assert_eq!(api.listed(&app).await[0], target),
                    "delete-app-key" => assert!(!api.published(&app).await.contains(&target)),
                    _ => assert_eq!(api.secret_with_previous(&app).await["previousSecret"], Value::Null),
                }
                let published = api.published(&app).await;
                assert!(generated.iter().all(|key| published.contains(key)), "no key is lost");
                api.assert_nothing_is_lost(&app, &generated).await;
                // Keeps the number of keys below the limit.
                for key in published.iter().filter(|key| ![&first, &second].contains(key)) {
                    assert_eq!(api.revoke(&app, key).await.0, 200);
                }
                generated.truncate(1);
                if over.is_some() {
                    break;
                }
                index += 1;
            }
            assert!(index >= 2, "{function} makes several calls");
        }
    }
}

async fn forget_last_use(api: &Api, app: &TestApp) {
    let update = api.aws.update_item(app.id(), &format!("APIKEY#{}", app.write.record.hash.as_str()));
    update.update_expression("REMOVE lastUsedAt").send().await.unwrap();
}

/// More keys than a transaction has room for. A parallel creation deletes the first ones before the app exists, as if they had
/// never been stored.
#[tokio::test(flavor = "multi_thread")]
async fn created_app_has_keys_that_parallel_creation_deleted() {
    let api = Api::start().await;
    let store = api.aws.services().store;
    let model = store.find_app(api.create_app().await.id()).await.unwrap().unwrap();
    let app = App { id: AppId::random(), ..model };
    let keys: Vec<_> = (0..60).map(|_| TestKey::new(ApiKeyType::Read).record).collect();
    let is_first = AtomicBool::new(true);
    api.aws.intercept(move |call| {
        let is_lost = call.operation == "TransactWriteItems" && is_first.swap(false, Relaxed);
        if is_lost { Reply::Send(200, "{}".to_owned()) } else { Reply::Forward }
    });
    store.create_app(&app, &keys).await.unwrap();
    assert_eq!(store.list_api_keys(app.id).await.unwrap().0.len(), keys.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_app_leaves_no_secret() {
    let api = Api::start().await;
    let app = api.create_app().await;
    // An orphan: no record names the key.
    let orphan = Secret::from("orphan".to_owned());
    let orphaned = api.aws.services().secrets.create_signing_key(app.id(), SigningKeyId::random(), &orphan).await;
    orphaned.unwrap().settled();
    let other = api.create_app().await;
    let names = async || {
        let listed = api.aws.secrets_manager().list_secrets().send().await.unwrap();
        listed.secret_list().iter().map(|secret| secret.name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await.len(), 5);
    // ListSecrets is eventually consistent: secrets that the record names are deleted even if the listing lacks them.
    let young = api.create_app().await;
    api.aws.intercept(|call| match call.operation.as_str() {
        "ListSecrets" => Reply::Send(200, r#"{"SecretList":[]}"#.to_owned()),
        _ => Reply::Forward,
    });
    assert_eq!(api.aws.run_admin(&["app", "delete", &young.id().to_string(), "--yes"]).await.0, 0);
    api.aws.forward();
    assert_eq!(names().await.len(), 5);
    let app_id = app.id().to_string();
    api.aws.intercept_operation("DeleteSecret", Reply::error(400, "AccessDeniedException"));
    let (status, _, errors) = api.aws.run_admin(&["app", "delete", &app_id, "--yes"]).await;
    assert!(status == 1 && errors.contains("AccessDeniedException"), "{status} {errors}");
    api.aws.forward();
    let (succeeds, _) = admin(&api, &["app", "delete", &app_id, "--yes"], None).await.unwrap();
    assert!(succeeds);
    let left = names().await;
    assert!(left.len() == 2 && left.iter().all(|name| name.contains(&other.id().to_string())), "{left:?}");
}

/// Runs `userdocks-admin` and kills it once its AWS call with that index is carried out. If the command ends first, returns
/// whether it succeeded, and its output.
async fn admin(api: &Api, arguments: &[&str], killed_after: Option<usize>) -> Option<(bool, Value)> {
    if let Some(index) = killed_after {
        api.aws.intercept(move |call| if call.index == index { Reply::Lose } else { Reply::Forward });
    }
    let mut command = api.aws.admin(&[&["--output", "json"], arguments].concat());
    let process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let outcome = tokio::select! {
        output = process.wait_with_output() => Some(output.unwrap()),
        () = api.aws.response_lost() => None,
    };
    api.aws.forward();
    outcome.map(|output| (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn command_killed_after_any_call_completes_when_repeated() {
    let api = Api::start().await;
    for command in ["app create", "app delete", "secret rotate", "signing-key create", "api-key rotate"] {
        let mut index = 0;
        loop {
            let app = api.create_app().await;
            let id = if command == "app create" { AppId::random().to_string() } else { app.id().to_string() };
            let (keys, _) = api.aws.services().store.list_api_keys(app.id()).await.unwrap();
            let key = keys.iter().find(|key| key.kind == ApiKeyType::Write).unwrap().id.to_string();
            let arguments = match command {
                "app create" => vec!["app", "create", "--name", "Killed", "--id", &id, "--if-not-exists"],
                "app delete" => vec!["app", "delete", &id, "--yes"],
                "secret rotate" => vec!["secret", "rotate", &id],
                "signing-key create" => vec!["signing-key", "create", &id],
                _ => vec!["api-key", "rotate", &id, &key],
            };
            let over = admin(&api, &arguments, Some(index)).await;
            if command != "app create" && command != "app delete" {
                api.assert_nothing_is_lost(&app, &[]).await;
            }
            let (succeeds, response) = admin(&api, &arguments, None).await.unwrap();
            let shown = admin(&api, &["app", "show", &id], None).await.unwrap();
            match command {
                "app delete" => assert!(!shown.0, "killed after call {index}: the app is deleted"),
                _ => assert!(succeeds && shown.0, "{command}, killed after call {index}: {response}"),
            }
            match command {
                "app create" => assert_eq!(response["signingKey"]["state"], "in_use"),
                "app delete" => {
                    let (status, _) = api.call("get-app-secrets", &app.event("get-app-secrets")).await;
                    assert_eq!(status, 401);
                    assert!(api.aws.services().store.list_api_keys(app.id()).await.unwrap().0.is_empty());
                }
                _ => api.assert_nothing_is_lost(&app, &[]).await,
            }
            if over.is_some() {
                break;
            }
            index += 1;
        }
        assert!(index >= 2, "{command} makes several calls");
    }
}
