//! `userdocks-admin secret`: the version that each key has, and changes that would leave a key without a valid secret.
//! `signing-key import --standby` is tested here, too.

use serde_json::{Value, json};
use userdocks::domain::{SecretFetch, Timestamp};
use userdocks_test_support::{
    app::{RSA_2048, TestApp},
    aws::FakeAws,
};

use crate::commands::{assert_refused, create_app, id, run_with_input};

/// Records that the app's read key fetched the current version. Returns the recorded time.
async fn fetch(aws: &FakeAws, app: &TestApp) -> Timestamp {
    let services = aws.services();
    let fetch = SecretFetch { version_id: app.stored(&services).await.secret_version_id, at: Timestamp::now() };
    services.store.note_fetch(app.id(), &app.read.record.hash, fetch).await.unwrap();
    fetch.at
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_version_that_each_read_key_has() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let app_id = app.id().to_string();
    let status = async || aws.admin_json(&["secret", "status", &app_id]).await;
    let expected = async |fetched_at: Option<Timestamp>, has: &str| {
        json!({
            "secret": { "version": app.stored(&aws.services()).await.secret_version_id.to_string() },
            "apiKeys": [{
                "uuid": app.read.record.id.to_string(),
                "name": "read",
                "hint": app.read.record.hint,
                "lastUsedAt": null,
                "fetchedAt": fetched_at.map(|at| at.to_string()),
                "has": has,
            }],
        })
    };
    assert_eq!(status().await, expected(None, "never").await);
    let at = fetch(&aws, &app).await;
    assert_eq!(status().await, expected(Some(at), "current").await);
    aws.admin_json(&["secret", "rotate", &app_id]).await;
    assert_eq!(status().await, expected(Some(at), "previous").await);
    aws.admin_json(&["secret", "end-overlap", &app_id, "--force"]).await;
    assert_eq!(status().await, expected(Some(at), "older").await);
    let (code, _, errors) = aws.run_admin(&["secret", "status", &userdocks::domain::AppId::random().to_string()]).await;
    assert!(code == 1 && errors.contains("cannot find app"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_that_cuts_key_off_is_refused_unless_forced() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let app_id = app.id().to_string();
    fetch(&aws, &app).await;
    let (rotate, set) = (["secret", "rotate", &app_id], ["secret", "set", &app_id]);
    let end_overlap = ["secret", "end-overlap", &app_id];
    let key = app.read.record.id.to_string();
    let assert_refuses = async |arguments: &[&str]| {
        let before = app.stored(&aws.services()).await;
        let _ = aws.take_calls();
        assert_refused(&run_with_input(&aws, arguments, b"another secret").await, &key);
        let changes = ["TransactWriteItems", "PutSecretValue"].map(str::to_owned);
        assert!(!aws.take_operations().iter().any(|operation| changes.contains(operation)), "{arguments:?}");
        assert_eq!(app.stored(&aws.services()).await, before);
    };
    let succeeds = async |arguments: &[&str]| {
        let output = run_with_input(&aws, arguments, b"another secret").await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    assert_refuses(&[&rotate[..], &["--overlap", "0s"]].concat()).await;
    assert_refuses(&[&set[..], &["--overlap", "0s"]].concat()).await;
    succeeds(&rotate).await;
    assert_refuses(&rotate).await;
    assert_refuses(&set).await;
    assert_refuses(&end_overlap).await;
    succeeds(&[&end_overlap[..], &["--force"]].concat()).await;
    succeeds(&rotate).await;

    fetch(&aws, &app).await;
    succeeds(&[&set[..], &["--overlap", "0s", "--force"]].concat()).await;
    fetch(&aws, &app).await;
    succeeds(&[&rotate[..], &["--overlap", "0s", "--force"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_key_is_imported() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let import = ["signing-key", "import", id(&created["app"]), "--standby"];
    let imported = run_with_input(&aws, &import, RSA_2048.as_bytes()).await;
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(imported["signingKey"]["state"], "standby");
    let listed = aws.admin_json(&["signing-key", "list", id(&created["app"])]).await;
    let states: Vec<_> =
        listed["signingKeys"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["in_use", "standby"]);
    assert_refused(&run_with_input(&aws, &import, RSA_2048.as_bytes()).await, "already has it as");
    let activate = ["signing-key", "activate", id(&created["app"]), id(&imported["signingKey"])];
    assert_refused(&run_with_input(&aws, &activate, b"").await, "less than 600 seconds");
    assert_eq!(aws.run_admin(&["doctor", "--min-age", "0s"]).await.0, 0, "no private key is expected");
}
