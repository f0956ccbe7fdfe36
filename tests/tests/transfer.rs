//! `userdocks-admin app export` and `app import`: an app goes to another place as it is, but with another secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;

use serde_json::{Value, json};
use userdocks::domain::{
    ApiKey, ApiKeyType, ApiKeyValue, App, AppId, PublicKey, SecretVersionId, SigningKeyId, SigningKeys, Timestamp,
};
use userdocks_test_support::{
    backend::{Backend, Fate},
    contract::read_payload,
    function::{Function, environment},
};

/// One GET with a read key: status and body.
async fn get(backend: &Backend, resource: &str, app: &str, key: &str) -> (u16, String) {
    let event = json!({
        "headers": {"x-api-key": key, "x-api-key-type": "read", "x-client-id": app},
        "pathParameters": {"appId": app},
    });
    let mut function = Function::start(&format!("get-app-{resource}"), &environment(backend)).await;
    let (answer, _) = read_payload(&function.invoke(&event.to_string()).await);
    (answer.status, answer.body)
}

async fn export_to(backend: &Backend, file: &Path) -> String {
    let output = backend.admin(&["app", "export", "--all"]).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::write(file, &output.stdout).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_app_is_imported_as_it_was_but_with_a_new_secret() {
    let (source, target) = (Backend::start().await, Backend::start().await);
    let (code, created, _) = source.run_admin(&["app", "create", "--name", "Moved \"app\""]).await;
    assert_eq!(code, 0);
    let (app, key) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["value"].as_str().unwrap());
    let pem = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");
    let services = source.services();
    userdocks_admin::signing_key::import(&services, app.parse().unwrap(), pem).await.unwrap();
    let revoked =
        userdocks_admin::api_key::issue(&services, app.parse().unwrap(), ApiKeyType::Read, "old".to_owned(), None);
    let revoked = Box::pin(revoked).await.unwrap().value["apiKey"].clone();
    let revoked_id = revoked["uuid"].as_str().unwrap().parse().unwrap();
    userdocks_admin::api_key::revoke(&services, app.parse().unwrap(), revoked_id).await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    let _ = source.take_calls();
    let exported = export_to(&source, &file).await;
    assert!(!source.take_calls().iter().any(|call| call == "GetSecretValue"));
    assert_eq!(source.run_admin(&["app", "export", "--app", app]).await.1.to_string() + "\n", exported);
    let secret: Value = serde_json::from_str(&get(&source, "secrets", app, key).await.1).unwrap();
    let secret = secret["data"]["secret"].as_str().unwrap();
    assert!(![secret, key, "PRIVATE"].iter().any(|hidden| exported.contains(hidden)));

    let import = ["app", "import", file.to_str().unwrap()];
    let (code, imported, errors) = target.run_admin(&import).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!((&imported["apps"][0]["uuid"], &imported["apps"][0]["isImported"]), (&json!(app), &json!(true)));
    assert!(imported["note"].as_str().unwrap().contains("new random secret"));
    assert_eq!(get(&target, "keys", app, key).await, get(&source, "keys", app, key).await, "the same bytes");
    let (status, body) = get(&target, "secrets", app, key).await;
    let new: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, new["data"]["secret"].as_str().unwrap().len()), (200, 64));
    assert_ne!(new["data"]["secret"], secret);
    assert_eq!(get(&target, "keys", app, revoked["value"].as_str().unwrap()).await.0, 401, "revoked is revoked");
    assert_eq!(target.run_admin(&["doctor", "--min-age", "0s"]).await.0, 0, "what is imported fits together");
    let again = target.admin(&["app", "export", "--all"]).output().await.unwrap();
    let mut times_of_use: Value = serde_json::from_slice(&again.stdout).unwrap();
    for key in times_of_use["apiKeys"].as_array_mut().unwrap() {
        key["lastUsedAt"] = Value::Null;
    }
    assert_eq!(times_of_use.to_string() + "\n", exported, "and is exported the same");

    let (code, _, errors) = target.run_admin(&import).await;
    assert!(code == 1 && errors.contains("nothing was imported"), "{errors}");
    let (code, again, _) = target.run_admin(&[&import[..], &["--if-not-exists"]].concat()).await;
    assert_eq!((code, &again["apps"][0]["isImported"]), (0, &json!(false)));
    assert_eq!(get(&target, "secrets", app, key).await.1, body, "it keeps its secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_line_keeps_all_from_being_imported() {
    let backend = Backend::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    for app in [many_keys(1), many_keys(1)] {
        backend.services().store.create_app(&app.0, &app.1).await.unwrap();
    }
    let good = export_to(&backend, &file).await;
    let target = Backend::start().await;
    let first = good.lines().next().unwrap();
    for wrong in [format!("{good}{first}\n"), format!("{good}x\n"), good.replacen("\"format\":1", "\"format\":2", 2)] {
        std::fs::write(&file, &wrong).unwrap();
        let (code, answer, errors) = target.run_admin(&["app", "import", file.to_str().unwrap()]).await;
        assert!(code == 1 && answer.is_null() && errors.contains("nothing was imported"), "{errors}");
    }
    assert!(target.take_calls().iter().all(|call| ["CreateTable", "BatchGetItem"].contains(&call.as_str())));
    let (code, _, errors) = target.run_admin(&["app", "import", "/dev/null/none"]).await;
    assert!(code == 1 && errors.contains("/dev/null/none"), "{errors}");
}

/// An app with that many API keys.
fn many_keys(count: usize) -> (App, Vec<ApiKey>) {
    let now = Timestamp::now();
    let pem = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");
    let mut signing_keys = SigningKeys::default();
    signing_keys.import(SigningKeyId::random(), PublicKey::import(pem).unwrap(), now);
    let app = App::new(AppId::random(), "Many".to_owned(), SecretVersionId::random(), signing_keys, now);
    let key = || ApiKeyValue::issue(ApiKeyType::Read).unwrap();
    let keys = (0..count).map(|_| ApiKey::new(&key(), ApiKeyType::Read, String::new(), now, None)).collect();
    (app, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_call_an_import_leaves_a_whole_app_or_none_and_can_be_run_again() {
    const KEYS: usize = 250;
    let source = Backend::start().await;
    let (app, keys) = many_keys(KEYS);
    source.services().store.create_app(&app, &keys).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    export_to(&source, &file).await;
    let import = ["app", "import", file.to_str().unwrap(), "--if-not-exists"];

    for index in 0.. {
        let target = Backend::start().await;
        target.judge(move |call| if call.index == index { Fate::Unanswered } else { Fate::Forwarded });
        let mut command = target.admin(&import);
        let was_killed = tokio::select! {
            output = command.output() => { assert!(output.unwrap().status.success()); false }
            () = target.unanswered() => true,
        };
        target.judge(|_| Fate::Forwarded);
        let store = target.services().store;
        if store.find_app(app.id).await.unwrap().is_some() {
            assert_eq!(store.list_api_keys(app.id).await.unwrap().0.len(), KEYS, "whole, or not there");
        }
        let (code, _, errors) = target.run_admin(&import).await;
        assert_eq!((code, errors.as_str()), (0, ""), "killed after call {index}");
        assert_eq!(store.list_api_keys(app.id).await.unwrap().0.len(), KEYS);
        if !was_killed {
            assert!(index >= 6, "it makes calls to be killed after");
            break;
        }
    }
}
