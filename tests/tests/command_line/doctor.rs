//! `userdocks-admin doctor` finds every inconsistency and repairs what is safe to repair.

use std::{
    collections::HashMap,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::{
    domain::{
        App, AppId, PreviousSecret, PublicKey, Secret, SecretVersionId, SigningKeyId, SigningKeyLimits, StoredResult,
        Timestamp, WriteId,
    },
    secrets::Purpose,
};
use userdocks_test_support::{
    app::{RSA_2048, TestApp},
    aws::{FakeAws, Reply, SECRET_PREFIX, TABLE},
};

use crate::commands::run_with_input;

/// Creates an app with a secret, two API keys and an imported signing key.
async fn new_app(aws: &FakeAws) -> App {
    TestApp::create(&aws.services()).await.record
}

fn public_key() -> PublicKey {
    PublicKey::import(RSA_2048).unwrap()
}

fn secret() -> Secret {
    Secret::from("secret".to_owned())
}

/// The operations of `doctor` that change data.
const CHANGES: [&str; 5] =
    ["TransactWriteItems", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret", "PutSecretValue"];

/// Runs `doctor`. Returns the kind of each finding and whether it is repaired.
///
/// Checks that it reads no secret value and changes nothing without `--repair`. Its exit code must be 0 if nothing remains.
async fn doctor(aws: &FakeAws, arguments: &[&str]) -> Vec<(String, bool)> {
    let _ = aws.take_operations();
    let (code, response, errors) = aws.run_admin(&[&["doctor"], arguments].concat()).await;
    let calls = aws.take_operations();
    assert!(!calls.contains(&"GetSecretValue".to_owned()));
    let changes = calls.iter().filter(|call| CHANGES.contains(&call.as_str())).count();
    let repaired = response["repaired"].as_u64().unwrap();
    assert_eq!(changes as u64, repaired, "{calls:?}");
    assert!(repaired == 0 || arguments.contains(&"--repair"));
    assert_eq!(
        (code, errors.is_empty()),
        if response["remaining"] == 0 { (0, true) } else { (1, false) },
        "{response}"
    );
    let findings = response["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["detail"].is_string() && finding["id"].is_string()), "{response}");
    let mut kinds: Vec<_> = findings
        .iter()
        .map(|finding| (finding["kind"].as_str().unwrap().to_owned(), finding["isRepaired"].as_bool().unwrap()))
        .collect();
    kinds.sort();
    kinds
}

/// Fails unless `doctor` finds exactly these kinds for an app and repairs only the repairable ones.
async fn assert_found(aws: &FakeAws, app: AppId, repairable: &[&str], lasting: &[&str]) {
    let id = app.to_string();
    let all = |is_repaired: bool| {
        let repairable = repairable.iter().map(|kind| ((*kind).to_owned(), is_repaired));
        let mut all: Vec<_> = repairable.chain(lasting.iter().map(|kind| ((*kind).to_owned(), false))).collect();
        all.sort();
        all
    };
    assert_eq!(doctor(aws, &["--app", &id, "--min-age", "0s"]).await, all(false));
    assert_eq!(doctor(aws, &["--app", &id, "--min-age", "0s", "--repair"]).await, all(true));
    let left: Vec<_> = lasting.iter().map(|kind| ((*kind).to_owned(), false)).collect();
    assert_eq!(doctor(aws, &["--app", &id, "--min-age", "0s"]).await, left);
}

async fn change(aws: &FakeAws, app: &App, change: impl FnOnce(&mut App)) -> App {
    let mut changed = app.clone();
    change(&mut changed);
    aws.services().store.update_app(app, changed, Timestamp::now()).await.unwrap()
}

/// Changes an item as the store never does.
async fn update_item(aws: &FakeAws, app: AppId, sk: &str, expression: &str) {
    let update = aws
        .update_item(app, sk)
        .update_expression(expression)
        .expression_attribute_names("#name", "name")
        .expression_attribute_values(":name", AttributeValue::Bool(true));
    update.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_table_has_no_findings() {
    let aws = FakeAws::start().await;
    let services = aws.services();
    let app = new_app(&aws).await.id;
    let (keys, _) = services.store.list_api_keys(app).await.unwrap();
    let (id, api_key) = (app.to_string(), keys[0].id.to_string());
    let mut generated = Vec::new();
    for _ in 0..3 {
        let created = aws.admin_json(&["signing-key", "create", &id]).await;
        generated.push(created["signingKey"]["uuid"].as_str().unwrap().to_owned());
        aws.admin_json(&["secret", "rotate", &id, "--overlap", "1h"]).await;
    }
    aws.admin_json(&["signing-key", "activate", &id, &generated[0], "--force"]).await;
    aws.admin_json(&["signing-key", "activate", &id, &generated[1], "--force"]).await;
    aws.admin_json(&["signing-key", "revoke", &id, &generated[0]]).await;
    aws.admin_json(&["api-key", "rotate", &id, &api_key, "--overlap", "1h", "--never-expires"]).await;
    aws.admin_json(&["api-key", "revoke", &id, &api_key]).await;

    let ended = new_app(&aws).await;
    let written = {
        let id = WriteId::new(&keys[0].hash, &"key".parse().unwrap());
        StoredResult::new(id, "request".to_owned(), "response".to_owned(), Timestamp::now())
    };
    services.store.update_app_and_api_keys(&ended, ended.clone(), Timestamp::now(), &[], Some(&written)).await.unwrap();
    aws.admin_json(&["secret", "rotate", &ended.id.to_string(), "--overlap", "0s"]).await;
    aws.admin_json(&["secret", "end-overlap", &ended.id.to_string()]).await;
    aws.admin_json(&["app", "disable", &new_app(&aws).await.id.to_string()]).await;
    aws.admin_json(&["app", "delete", &new_app(&aws).await.id.to_string(), "--yes"]).await;

    for arguments in [&[][..], &["--repair"], &["--app", &app.to_string()]] {
        assert_eq!(doctor(&aws, arguments).await, []);
    }
    // After the minimum age, a revoked key's private half and the version of an ended overlap are no longer needed.
    let orphans = ["orphaned-private-key", "orphaned-version"].map(|kind| (kind.to_owned(), true));
    assert_eq!(doctor(&aws, &["--min-age", "0s", "--repair"]).await, orphans);
    assert_eq!(doctor(&aws, &["--min-age", "0s"]).await, []);
    let human = aws.admin(&["doctor"]).output().await.unwrap();
    assert_eq!(String::from_utf8(human.stdout).unwrap(), "findings\n  none\nrepaired  0\nremaining  0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_inconsistent_with_record_are_found() {
    let aws = FakeAws::start().await;
    let secrets = aws.services().secrets;

    let app = new_app(&aws).await;
    secrets.put_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    assert_found(&aws, app.id, &["orphaned-version"], &[]).await;

    let app = new_app(&aws).await;
    secrets.release_app_secret(app.id, app.secret_version_id).await.unwrap();
    assert_found(&aws, app.id, &["unlabelled-version"], &[]).await;

    // If the pinned version is missing, the orphaned one may be the only secret left.
    let app = new_app(&aws).await;
    change(&aws, &app, |app| app.secret_version_id = SecretVersionId::random()).await;
    assert_found(&aws, app.id, &[], &["orphaned-version", "pinned-version-missing"]).await;

    let app = new_app(&aws).await;
    let expires_at = Timestamp::now() + Duration::from_secs(3600);
    let previous = PreviousSecret { version_id: SecretVersionId::random(), expires_at };
    let app = change(&aws, &app, |app| app.previous_secret = Some(previous)).await;
    assert_found(&aws, app.id, &[], &["previous-version-missing"]).await;
    let over = PreviousSecret { expires_at: Timestamp::now(), ..previous };
    let app = change(&aws, &app, |app| app.previous_secret = Some(over)).await;
    assert_found(&aws, app.id, &[], &[]).await;
}

/// Stores a new value with that label, as an operator does in the console.
async fn store_by_hand(aws: &FakeAws, app: &App, label: &str) {
    let name = aws.services().secrets.app_secret_name(app.id);
    let put = aws.secrets_manager().put_secret_value().secret_id(name).secret_string("by hand");
    put.version_stages(label).send().await.unwrap();
}

async fn current_version(aws: &FakeAws, app: &App) -> String {
    let state = aws.services().secrets.describe(Purpose::AppSecret(app.id)).await.unwrap().unwrap();
    state.current_version.unwrap()
}

/// `doctor` is suspended between the read of a record and the listing of versions. A rotation may pin the version meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn version_stored_after_start_is_not_released() {
    let aws = FakeAws::start().await;
    let app = new_app(&aws).await;
    let orphan = SecretVersionId::random();
    aws.services().secrets.put_app_secret(app.id, orphan, &secret()).await.unwrap();
    let pinned = app.secret_version_id;
    let first_call = OnceLock::new();
    aws.intercept(move |call| {
        let created = 1 + first_call.get_or_init(|| Timestamp::now().seconds_since_epoch());
        let version = |id: SecretVersionId| {
            let id = id.to_string();
            json!({"VersionId": id, "VersionStages": [id], "CreatedDate": created})
        };
        match call.operation.as_str() {
            "DescribeSecret" => {
                std::thread::sleep(Duration::from_secs(2));
                Reply::Forward
            }
            "ListSecretVersionIds" => {
                Reply::Send(200, json!({"Versions": [version(pinned), version(orphan)]}).to_string())
            }
            _ => Reply::Forward,
        }
    });
    let (_, response, _) = aws.run_admin(&["doctor", "--min-age", "0s", "--repair"]).await;
    assert_eq!(response["findings"], json!([]), "{response}");
}

/// A version keeps its own label while it has AWSCURRENT: `doctor` would not recognise it as stored by userdocks.
#[tokio::test(flavor = "multi_thread")]
async fn version_with_current_label_is_not_released() {
    let aws = FakeAws::start().await;
    let app = new_app(&aws).await;
    aws.services().secrets.create_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    aws.intercept(|call| match call.operation.as_str() {
        "UpdateSecretVersionStage" if call.body.contains("MoveToVersionId") => {
            Reply::error(400, "AccessDeniedException")
        }
        _ => Reply::Forward,
    });
    let (_, response, _) = aws.run_admin(&["doctor", "--min-age", "0s", "--repair"]).await;
    assert_eq!((&response["repaired"], &response["remaining"]), (&json!(0), &json!(2)), "{response}");
    aws.forward();
    assert_found(&aws, app.id, &["misplaced-current-label", "orphaned-version"], &[]).await;
    assert_eq!(current_version(&aws, &app).await, app.secret_version_id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_on_other_versions_are_found() {
    let aws = FakeAws::start().await;
    let services = aws.services();

    // A change that lost the race left its version: the label is restored.
    let app = new_app(&aws).await;
    services.secrets.create_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    assert_eq!(doctor(&aws, &["--repair"]).await, [], "the version may belong to a running change");
    assert_found(&aws, app.id, &["misplaced-current-label", "orphaned-version"], &[]).await;
    assert_eq!(current_version(&aws, &app).await, app.secret_version_id.to_string());

    // A rotation committed without moving its labels.
    let app = new_app(&aws).await;
    let version = SecretVersionId::random();
    services.secrets.put_app_secret(app.id, version, &secret()).await.unwrap();
    let now = Timestamp::now();
    let app = change(&aws, &app, |app| app.rotate_secret(version, Duration::from_secs(3600), now)).await;
    assert_found(&aws, app.id, &["misplaced-current-label"], &[]).await;
    assert_eq!(current_version(&aws, &app).await, version.to_string());

    // A value that an operator stored stays until the next `secret set`.
    let app = new_app(&aws).await;
    store_by_hand(&aws, &app, "AWSCURRENT").await;
    assert_found(&aws, app.id, &[], &["foreign-current-version"]).await;
    assert_ne!(current_version(&aws, &app).await, app.secret_version_id.to_string());
    let set = ["secret", "set", &app.id.to_string(), "--overlap", "0s"];
    assert!(run_with_input(&aws, &set, b"another").await.status.success());
    assert_found(&aws, app.id, &[], &[]).await;

    let app = new_app(&aws).await;
    store_by_hand(&aws, &app, "AWSPENDING").await;
    assert_eq!(doctor(&aws, &["--app", &app.id.to_string()]).await, [], "a rotation may be running");
    assert_found(&aws, app.id, &[], &["pending-version"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_inconsistent_with_table_are_found() {
    let aws = FakeAws::start().await;
    let services = aws.services();
    let secrets = &services.secrets;

    let app = new_app(&aws).await;
    let standby = SigningKeyId::random();
    let app = change(&aws, &app, |app| {
        app.signing_keys.add_standby(SigningKeyLimits::API, standby, public_key(), Timestamp::now()).unwrap();
    })
    .await;
    assert_found(&aws, app.id, &[], &["private-key-missing"]).await;
    secrets.create_signing_key(app.id, standby, &secret()).await.unwrap().settled();
    assert_found(&aws, app.id, &[], &[]).await;
    secrets.schedule_deletion(Purpose::SigningKey(app.id, standby)).await.unwrap();
    assert_found(&aws, app.id, &["private-key-scheduled-for-deletion"], &[]).await;
    secrets.create_signing_key(app.id, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&aws, app.id, &["orphaned-private-key"], &[]).await;

    let app = new_app(&aws).await;
    secrets.schedule_deletion(Purpose::AppSecret(app.id)).await.unwrap();
    assert_found(&aws, app.id, &["secret-scheduled-for-deletion"], &[]).await;
    // A disabled app may be half deleted, so its secret is not restored.
    secrets.schedule_deletion(Purpose::AppSecret(app.id)).await.unwrap();
    change(&aws, &app, |app| app.is_disabled = true).await;
    assert_found(&aws, app.id, &[], &["secret-scheduled-for-deletion"]).await;

    let app = new_app(&aws).await;
    let delete = aws.secrets_manager().delete_secret().secret_id(secrets.app_secret_name(app.id));
    delete.force_delete_without_recovery(true).send().await.unwrap();
    assert_found(&aws, app.id, &[], &["secret-missing"]).await;
    let empty = aws.secrets_manager().create_secret().name(secrets.app_secret_name(app.id));
    empty.send().await.unwrap();
    assert_found(&aws, app.id, &[], &["pinned-version-missing"]).await;
    aws.admin_json(&["secret", "rotate", &app.id.to_string(), "--overlap", "0s"]).await;
    assert_found(&aws, app.id, &[], &[]).await;

    let unknown = AppId::random();
    secrets.create_app_secret(unknown, SecretVersionId::random(), &secret()).await.unwrap();
    secrets.create_signing_key(unknown, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&aws, unknown, &["secret-without-app", "secret-without-app"], &[]).await;

    let app = new_app(&aws).await;
    let other = format!("{SECRET_PREFIX}/apps/{}/other", app.id);
    aws.secrets_manager().create_secret().name(other).secret_string("x").send().await.unwrap();
    assert_found(&aws, app.id, &[], &["unknown-secret"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inconsistent_records_are_found() {
    let aws = FakeAws::start().await;
    new_app(&aws).await;
    let app = new_app(&aws).await;
    let delete = aws.dynamodb().delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S(format!("APP#{}", app.id)));
    delete.key("sk", AttributeValue::S("APP".to_owned())).send().await.unwrap();
    assert_found(&aws, app.id, &["api-key-without-app", "api-key-without-app", "secret-without-app"], &[]).await;
    assert_eq!(aws.services().store.list_api_keys(app.id).await.unwrap(), (vec![], vec![]));

    // A corrupt record does not say what belongs to the app, so nothing of the app is changed.
    let app = new_app(&aws).await;
    let (keys, _) = aws.services().store.list_api_keys(app.id).await.unwrap();
    update_item(&aws, app.id, "APP", "SET #name = :name").await;
    update_item(&aws, app.id, &format!("APIKEY#{}", keys[0].hash.as_str()), "SET #name = :name").await;
    update_item(&aws, app.id, "IDEMPOTENCY#x", "SET #name = :name").await;
    update_item(&aws, app.id, "OTHER", "SET #name = :name").await;
    aws.services().secrets.create_signing_key(app.id, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&aws, app.id, &[], &["corrupt-item"; 4]).await;

    // Findings of one app do not stop the examination of the whole table.
    new_app(&aws).await;
    let kinds = doctor(&aws, &["--min-age", "0s"]).await;
    assert_eq!(kinds, vec![("corrupt-item".to_owned(), false); 4]);
    let (_, response, errors) = aws.run_admin(&["doctor", "--min-age", "0s"]).await;
    assert_eq!(errors, "userdocks-admin: 4 findings remain\n");
    let are_of_app =
        response["findings"].as_array().unwrap().iter().all(|finding| finding["app"] == app.id.to_string());
    assert!(are_of_app, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_running_change_are_not_repaired() {
    let aws = FakeAws::start().await;
    let secrets = aws.services().secrets;
    let app = new_app(&aws).await.id;
    secrets.put_app_secret(app, SecretVersionId::random(), &secret()).await.unwrap();
    secrets.create_signing_key(app, SigningKeyId::random(), &secret()).await.unwrap().settled();
    secrets.create_app_secret(AppId::random(), SecretVersionId::random(), &secret()).await.unwrap();
    assert_eq!(doctor(&aws, &["--repair"]).await, []);
    assert_eq!(doctor(&aws, &["--min-age", "0s", "--repair"]).await.len(), 3, "the findings were younger than a day");
}

/// Imported keys keep their old times. An import stores the keys of a large app before its record.
#[tokio::test(flavor = "multi_thread")]
async fn api_keys_of_running_import_are_not_repaired() {
    let aws = FakeAws::start().await;
    let app = new_app(&aws).await.id;
    let (keys, _) = aws.services().store.list_api_keys(app).await.unwrap();
    for key in keys {
        let update = aws.update_item(app, &format!("APIKEY#{}", key.hash.as_str()));
        let then = AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned());
        let update = update.update_expression("SET updatedAt = :then").expression_attribute_values(":then", then);
        update.send().await.unwrap();
    }
    let record = HashMap::from(
        [("pk", format!("APP#{app}")), ("sk", "APP".to_owned())]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value))),
    );
    aws.dynamodb().delete_item().table_name(TABLE).set_key(Some(record)).send().await.unwrap();
    assert_eq!(doctor(&aws, &["--repair"]).await, []);
    assert_eq!(doctor(&aws, &["--min-age", "0s"]).await.len(), 3, "both keys, and the app's secret");
}

/// `doctor` reads an unknown app again before it reports the app's secrets as orphans.
#[tokio::test(flavor = "multi_thread")]
async fn new_app_keeps_its_secrets() {
    let aws = FakeAws::start().await;
    let app = new_app(&aws).await.id;
    aws.services().secrets.create_signing_key(app, SigningKeyId::random(), &secret()).await.unwrap().settled();
    let is_hidden = AtomicBool::new(false);
    aws.intercept(move |call| match call.operation.as_str() {
        // Other reads are of index items.
        "BatchGetItem" if call.body.contains("APP#") && !is_hidden.swap(true, Relaxed) => {
            Reply::Send(200, r#"{"Responses":{}}"#.to_owned())
        }
        _ => Reply::Forward,
    });
    let kinds = doctor(&aws, &["--min-age", "0s", "--repair"]).await;
    assert_eq!(kinds, [("orphaned-private-key".to_owned(), true)]);
}

/// The app exists in two stages. `doctor` examines one stage's table with the other stage's secrets.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_another_table_are_not_repaired() {
    let aws = FakeAws::start().await;
    let app = new_app(&aws).await;
    let secrets_manager = aws.secrets_manager();
    let other_stage = userdocks::secrets::Secrets::new(
        userdocks::aws::SecretsManager::from_sdk(secrets_manager, None),
        &"other".parse().unwrap(),
        None,
    );
    other_stage.create_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    other_stage.create_signing_key(app.id, SigningKeyId::random(), &secret()).await.unwrap().settled();
    other_stage.create_app_secret(AppId::random(), SecretVersionId::random(), &secret()).await.unwrap();
    let kinds = ["orphaned-private-key", "orphaned-version", "pinned-version-missing", "secret-without-app"];
    let arguments = ["--secret-prefix", "other", "--min-age", "0s", "--repair"];
    assert_eq!(doctor(&aws, &arguments).await, kinds.map(|kind| (kind.to_owned(), false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_secrets_without_app_than_one_call_reads_are_found() {
    const NUMBER: usize = 101;
    let aws = FakeAws::start().await;
    for _ in 0..NUMBER {
        let secrets = &aws.services().secrets;
        secrets.create_app_secret(AppId::random(), SecretVersionId::random(), &secret()).await.unwrap();
    }
    let kinds = doctor(&aws, &["--min-age", "0s"]).await;
    assert_eq!(kinds, vec![("secret-without-app".to_owned(), false); NUMBER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_repair_remains_and_stops_no_other() {
    let aws = FakeAws::start().await;
    let secrets = aws.services().secrets;
    let (first, second) = (new_app(&aws).await, new_app(&aws).await);
    for app in [&first, &second] {
        secrets.put_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    }
    let refused = first.id.to_string();
    aws.intercept(move |call| {
        if call.operation == "UpdateSecretVersionStage" && call.body.contains(&refused) {
            Reply::Send(400, r#"{"__type":"AccessDeniedException"}"#.to_owned())
        } else {
            Reply::Forward
        }
    });
    let (code, response, _) = aws.run_admin(&["doctor", "--min-age", "0s", "--repair"]).await;
    assert_eq!((code, &response["repaired"], &response["remaining"]), (1, &json!(1), &json!(1)));
    let failed: Vec<&Value> =
        response["findings"].as_array().unwrap().iter().filter(|finding| finding["isRepaired"] == false).collect();
    assert_eq!((failed.len(), &failed[0]["app"]), (1, &json!(first.id.to_string())));
    assert!(failed[0]["detail"].as_str().unwrap().contains("AccessDeniedException"), "{response}");
}
