//! `userdocks-admin app export` and `app import` move an app to another stack. Only its secret changes.

use std::path::Path;

use serde_json::{Value, json};
use userdocks::domain::ApiKeyType;
use userdocks_test_support::{
    app::{RSA_2048, TestApp, TestKey},
    aws::{FakeAws, Reply},
    contract::read_payload,
    event::Event,
    function::Function,
};

use crate::commands::run_with_input;

/// Sends a GET with a read key. Returns the status and body.
async fn get(aws: &FakeAws, resource: &str, app: &str, key: &str) -> (u16, String) {
    let name = format!("get-app-{resource}");
    let event = Event::new(&name).caller(app, key);
    let mut function = Function::start(&name, &aws.environment()).await;
    let (response, _) = read_payload(&function.invoke(&event).await);
    (response.status, response.body)
}

async fn export_to(aws: &FakeAws, file: &Path) -> String {
    let output = aws.admin(&["app", "export", "--all"]).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::write(file, &output.stdout).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_app_is_imported_with_new_secret_only() {
    let (source, target) = (FakeAws::start().await, FakeAws::start().await);
    let (code, created, _) = source.run_admin(&["app", "create", "--name", "Moved \"app\""]).await;
    assert_eq!(code, 0);
    let (app, key) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["value"].as_str().unwrap());
    assert!(run_with_input(&source, &["signing-key", "import", app], RSA_2048.as_bytes()).await.status.success());
    let revoked =
        source.admin_json(&["api-key", "issue", app, "--type", "read", "--name", "old"]).await["apiKey"].clone();
    source.admin_json(&["api-key", "revoke", app, revoked["uuid"].as_str().unwrap()]).await;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    let _ = source.take_operations();
    let exported = export_to(&source, &file).await;
    assert!(!source.take_operations().iter().any(|call| call == "GetSecretValue"));
    assert_eq!(source.run_admin(&["app", "export", "--app", app]).await.1.to_string() + "\n", exported);
    let secret: Value = serde_json::from_str(&get(&source, "secrets", app, key).await.1).unwrap();
    let secret = secret["data"]["secret"].as_str().unwrap();
    assert!(![secret, key, "PRIVATE"].iter().any(|hidden| exported.contains(hidden)));

    let import = ["app", "import", file.to_str().unwrap()];
    let (code, imported, errors) = target.run_admin(&import).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!((&imported["apps"][0]["uuid"], &imported["apps"][0]["isImported"]), (&json!(app), &json!(true)));
    assert!(imported["note"].as_str().unwrap().contains("new random secret"));
    assert_eq!(
        get(&target, "keys", app, key).await,
        get(&source, "keys", app, key).await,
        "both stacks return the same bytes"
    );
    let (status, body) = get(&target, "secrets", app, key).await;
    let new: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, new["data"]["secret"].as_str().unwrap().len()), (200, 64));
    assert_ne!(new["data"]["secret"], secret);
    assert_eq!(
        get(&target, "keys", app, revoked["value"].as_str().unwrap()).await.0,
        401,
        "a revoked key stays revoked"
    );
    assert_eq!(target.run_admin(&["doctor", "--min-age", "0s"]).await.0, 0, "the import is consistent");
    let again = target.admin(&["app", "export", "--all"]).output().await.unwrap();
    let mut times_of_use: Value = serde_json::from_slice(&again.stdout).unwrap();
    for key in times_of_use["apiKeys"].as_array_mut().unwrap() {
        key["lastUsedAt"] = Value::Null;
    }
    assert_eq!(times_of_use.to_string() + "\n", exported, "exporting again gives the same");

    let (code, _, errors) = target.run_admin(&import).await;
    assert!(code == 1 && errors.contains("nothing was imported"), "{errors}");
    let (code, again, _) = target.run_admin(&[&import[..], &["--if-not-exists"]].concat()).await;
    assert_eq!((code, &again["apps"][0]["isImported"]), (0, &json!(false)));
    assert_eq!(get(&target, "secrets", app, key).await.1, body, "the app keeps its secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_line_prevents_whole_import() {
    let aws = FakeAws::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    for _ in 0..2 {
        TestApp::builder().create_record(&aws.services()).await;
    }
    let good = export_to(&aws, &file).await;
    let target = FakeAws::start().await;
    let first = good.lines().next().unwrap();
    for wrong in [format!("{good}{first}\n"), format!("{good}x\n"), good.replacen("\"format\":2", "\"format\":3", 2)] {
        std::fs::write(&file, &wrong).unwrap();
        let (code, response, errors) = target.run_admin(&["app", "import", file.to_str().unwrap()]).await;
        assert!(code == 1 && response.is_null() && errors.contains("nothing was imported"), "{errors}");
    }
    assert!(target.take_operations().iter().all(|call| ["CreateTable", "BatchGetItem"].contains(&call.as_str())));
    let (code, _, errors) = target.run_admin(&["app", "import", "/dev/null/none"]).await;
    assert!(code == 1 && errors.contains("/dev/null/none"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn import_killed_after_any_call_completes_when_repeated() {
    const KEYS: usize = 250;
    let source = FakeAws::start().await;
    let more = (2..KEYS).map(|_| TestKey::new(ApiKeyType::Read));
    let (app, _) = TestApp::builder().keys(more).create_record(&source.services()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.jsonl");
    export_to(&source, &file).await;
    let import = ["app", "import", file.to_str().unwrap(), "--if-not-exists"];

    for index in 0.. {
        let target = FakeAws::start().await;
        target.intercept(move |call| if call.index == index { Reply::Lose } else { Reply::Forward });
        let mut command = target.admin(&import);
        let was_killed = tokio::select! {
            output = command.output() => { assert!(output.unwrap().status.success()); false }
            () = target.response_lost() => true,
        };
        target.forward();
        let store = target.services().store;
        if store.find_app(app.id).await.unwrap().is_some() {
            assert_eq!(
                store.list_api_keys(app.id).await.unwrap().0.len(),
                KEYS,
                "the app has all keys or does not exist"
            );
        }
        let (code, _, errors) = target.run_admin(&import).await;
        assert_eq!((code, errors.as_str()), (0, ""), "killed after call {index}");
        assert_eq!(store.list_api_keys(app.id).await.unwrap().0.len(), KEYS);
        if !was_killed {
            assert!(index >= 6, "the import makes several calls");
            break;
        }
    }
}
