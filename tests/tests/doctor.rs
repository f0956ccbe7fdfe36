//! `userdocks-admin doctor`: every inconsistency is made, named, repaired where that is safe, and gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::{
    domain::{
        ApiKey, ApiKeyType, ApiKeyValue, App, AppId, KeyLimits, PreviousSecret, PublicKey, Secret, SecretVersionId,
        SigningKeyId, SigningKeys, StoredResult, Timestamp, WriteId,
    },
    secrets::Purpose,
};
use userdocks_test_support::backend::{Backend, Fate, SECRET_PREFIX, TABLE};

/// An app with a secret, two API keys and an imported signing key.
async fn new_app(backend: &Backend) -> App {
    let services = backend.services();
    let now = Timestamp::now();
    let mut signing_keys = SigningKeys::default();
    signing_keys.import(SigningKeyId::random(), public_key(), now);
    let app = App::new(AppId::random(), "Test".to_owned(), SecretVersionId::random(), signing_keys, now);
    services.secrets.create_app_secret(app.id, app.secret_version_id, &secret()).await.unwrap();
    let keys = ApiKeyType::ALL
        .map(|kind| ApiKey::new(&ApiKeyValue::issue(kind).unwrap(), kind, kind.name().to_owned(), now, None));
    services.store.create_app(&app, &keys).await.unwrap();
    app
}

fn public_key() -> PublicKey {
    PublicKey::import(include_str!("../../shared/src/domain/testdata/rsa-2048.pem")).unwrap()
}

fn secret() -> Secret {
    Secret::from("secret".to_owned())
}

/// What makes changes, of all that a doctor may call.
const CHANGES: [&str; 5] =
    ["TransactWriteItems", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret", "PutSecretValue"];

/// The findings' kinds with whether each is repaired; and the exit code is 0 where nothing remains. It never reads a value,
/// and changes nothing unless it repairs.
async fn doctor(backend: &Backend, arguments: &[&str]) -> Vec<(String, bool)> {
    let _ = backend.take_calls();
    let (code, answer, errors) = backend.run_admin(&[&["doctor"], arguments].concat()).await;
    let calls = backend.take_calls();
    assert!(!calls.contains(&"GetSecretValue".to_owned()));
    let changes = calls.iter().filter(|call| CHANGES.contains(&call.as_str())).count();
    let repaired = answer["repaired"].as_u64().unwrap();
    assert_eq!(changes as u64, repaired, "{calls:?}");
    assert!(repaired == 0 || arguments.contains(&"--repair"));
    assert_eq!((code, errors.is_empty()), if answer["remaining"] == 0 { (0, true) } else { (1, false) }, "{answer}");
    let findings = answer["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["detail"].is_string() && finding["id"].is_string()), "{answer}");
    let mut kinds: Vec<_> = findings
        .iter()
        .map(|finding| (finding["kind"].as_str().unwrap().to_owned(), finding["isRepaired"].as_bool().unwrap()))
        .collect();
    kinds.sort();
    kinds
}

/// Findings of an app by their kinds, of which some can be repaired: named, then repaired, then gone.
async fn assert_found(backend: &Backend, app: AppId, repairable: &[&str], lasting: &[&str]) {
    let id = app.to_string();
    let all = |is_repaired: bool| {
        let repairable = repairable.iter().map(|kind| ((*kind).to_owned(), is_repaired));
        let mut all: Vec<_> = repairable.chain(lasting.iter().map(|kind| ((*kind).to_owned(), false))).collect();
        all.sort();
        all
    };
    assert_eq!(doctor(backend, &["--app", &id, "--min-age", "0s"]).await, all(false));
    assert_eq!(doctor(backend, &["--app", &id, "--min-age", "0s", "--repair"]).await, all(true));
    let left: Vec<_> = lasting.iter().map(|kind| ((*kind).to_owned(), false)).collect();
    assert_eq!(doctor(backend, &["--app", &id, "--min-age", "0s"]).await, left);
}

async fn change(backend: &Backend, app: &App, change: impl FnOnce(&mut App)) -> App {
    let mut changed = app.clone();
    change(&mut changed);
    backend.services().store.update_app(app, changed, Timestamp::now(), None).await.unwrap()
}

/// Changes an item behind the store's back.
async fn update_item(backend: &Backend, app: AppId, sk: &str, expression: &str) {
    let update = backend
        .update_item(app, sk)
        .update_expression(expression)
        .expression_attribute_names("#name", "name")
        .expression_attribute_values(":name", AttributeValue::Bool(true));
    update.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_table_of_every_state_has_no_findings() {
    let backend = Backend::start().await;
    let services = backend.services();
    let app = new_app(&backend).await.id;
    let hour = Duration::from_secs(3600);
    let mut generated = Vec::new();
    for _ in 0..3 {
        let created = Box::pin(userdocks_admin::signing_key::create(&services, app)).await.unwrap();
        generated.push(created.value["signingKey"]["uuid"].as_str().unwrap().parse::<SigningKeyId>().unwrap());
        Box::pin(userdocks_admin::secret::rotate(&services, app, hour)).await.unwrap();
    }
    userdocks_admin::signing_key::activate(&services, app, generated[0], true).await.unwrap();
    userdocks_admin::signing_key::activate(&services, app, generated[1], true).await.unwrap();
    userdocks_admin::signing_key::revoke(&services, app, generated[0], false).await.unwrap();
    let (keys, _) = services.store.list_api_keys(app).await.unwrap();
    userdocks_admin::api_key::rotate(&services, app, keys[0].id, hour, userdocks_admin::api_key::NewExpiry::Never)
        .await
        .unwrap();
    userdocks_admin::api_key::revoke(&services, app, keys[0].id).await.unwrap();

    let ended = new_app(&backend).await;
    let written = {
        let id = WriteId::new(&keys[0].hash, &"key".parse().unwrap());
        StoredResult::new(id, "request".to_owned(), "answer".to_owned(), Timestamp::now())
    };
    services.store.update_app(&ended, ended.clone(), Timestamp::now(), Some(&written)).await.unwrap();
    Box::pin(userdocks_admin::secret::rotate(&services, ended.id, Duration::ZERO)).await.unwrap();
    Box::pin(userdocks_admin::secret::end_overlap(&services, ended.id)).await.unwrap();
    let disabled = new_app(&backend).await;
    userdocks_admin::app::set_disabled(&services, disabled.id, true).await.unwrap();
    Box::pin(userdocks_admin::app::delete(&services, new_app(&backend).await.id)).await.unwrap();

    for arguments in [&[][..], &["--repair"], &["--app", &app.to_string()]] {
        assert_eq!(doctor(&backend, arguments).await, []);
    }
    // A revoked key is revoked for good; some time after, its private key is only a burden. So is an ended overlap's version.
    let orphans = ["orphaned-private-key", "orphaned-version"].map(|kind| (kind.to_owned(), true));
    assert_eq!(doctor(&backend, &["--min-age", "0s", "--repair"]).await, orphans);
    assert_eq!(doctor(&backend, &["--min-age", "0s"]).await, []);
    let human = backend.admin(&["doctor"]).output().await.unwrap();
    assert_eq!(String::from_utf8(human.stdout).unwrap(), "findings\n  none\nrepaired  0\nremaining  0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_do_not_fit_the_record_are_found() {
    let backend = Backend::start().await;
    let secrets = backend.services().secrets;

    let app = new_app(&backend).await;
    secrets.put_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    assert_found(&backend, app.id, &["orphaned-version"], &[]).await;

    let app = new_app(&backend).await;
    secrets.release_app_secret(app.id, app.secret_version_id).await.unwrap();
    assert_found(&backend, app.id, &["unlabelled-version"], &[]).await;

    // Where the pinned version is gone, another may be the last that there is.
    let app = new_app(&backend).await;
    change(&backend, &app, |app| app.secret_version_id = SecretVersionId::random()).await;
    assert_found(&backend, app.id, &[], &["orphaned-version", "pinned-version-missing"]).await;

    let app = new_app(&backend).await;
    let expires_at = Timestamp::now() + Duration::from_secs(3600);
    let previous = PreviousSecret { version_id: SecretVersionId::random(), expires_at };
    let app = change(&backend, &app, |app| app.previous_secret = Some(previous)).await;
    assert_found(&backend, app.id, &[], &["previous-version-missing"]).await;
    let over = PreviousSecret { expires_at: Timestamp::now(), ..previous };
    let app = change(&backend, &app, |app| app.previous_secret = Some(over)).await;
    assert_found(&backend, app.id, &[], &[]).await;
}

/// Puts AWSCURRENT, or another label, on a version with a new value.
async fn store_by_hand(backend: &Backend, app: &App, label: &str) {
    let name = backend.services().secrets.app_secret_name(app.id);
    let put = backend.secrets_manager().put_secret_value().secret_id(name).secret_string("by hand");
    put.version_stages(label).send().await.unwrap();
}

async fn current_version(backend: &Backend, app: &App) -> String {
    let state = backend.services().secrets.describe(Purpose::AppSecret(app.id)).await.unwrap().unwrap();
    state.current_version.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_on_other_versions_are_found() {
    let backend = Backend::start().await;
    let services = backend.services();

    // A version of ours, of a change that lost: the label goes back.
    let app = new_app(&backend).await;
    services.secrets.create_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    assert_eq!(doctor(&backend, &["--repair"]).await, [], "it may belong to a change under way");
    assert_found(&backend, app.id, &["misplaced-current-label", "orphaned-version"], &[]).await;
    assert_eq!(current_version(&backend, &app).await, app.secret_version_id.to_string());

    // A rotation whose labels were not moved.
    let app = new_app(&backend).await;
    let version = SecretVersionId::random();
    services.secrets.put_app_secret(app.id, version, &secret()).await.unwrap();
    let now = Timestamp::now();
    let app = change(&backend, &app, |app| app.rotate_secret(version, Duration::from_secs(3600), now)).await;
    assert_found(&backend, app.id, &["misplaced-current-label"], &[]).await;
    assert_eq!(current_version(&backend, &app).await, version.to_string());

    // A value that a person stored is left where it is, until another one is set.
    let app = new_app(&backend).await;
    store_by_hand(&backend, &app, "AWSCURRENT").await;
    assert_found(&backend, app.id, &[], &["foreign-current-version"]).await;
    assert_ne!(current_version(&backend, &app).await, app.secret_version_id.to_string());
    Box::pin(userdocks_admin::secret::set(&services, app.id, &Secret::from("another".to_owned()), Duration::ZERO))
        .await
        .unwrap();
    assert_found(&backend, app.id, &[], &[]).await;

    let app = new_app(&backend).await;
    store_by_hand(&backend, &app, "AWSPENDING").await;
    assert_eq!(doctor(&backend, &["--app", &app.id.to_string()]).await, [], "a rotation may be under way");
    assert_found(&backend, app.id, &[], &["pending-version"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_do_not_fit_the_table_are_found() {
    let backend = Backend::start().await;
    let services = backend.services();
    let secrets = &services.secrets;

    let app = new_app(&backend).await;
    let standby = SigningKeyId::random();
    let app = change(&backend, &app, |app| {
        app.signing_keys.add_standby(KeyLimits::API, standby, public_key(), Timestamp::now()).unwrap();
    })
    .await;
    assert_found(&backend, app.id, &[], &["private-key-missing"]).await;
    secrets.create_signing_key(app.id, standby, &secret()).await.unwrap().settled();
    assert_found(&backend, app.id, &[], &[]).await;
    secrets.schedule_deletion(Purpose::SigningKey(app.id, standby)).await.unwrap();
    assert_found(&backend, app.id, &["private-key-scheduled-for-deletion"], &[]).await;
    secrets.create_signing_key(app.id, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&backend, app.id, &["orphaned-private-key"], &[]).await;

    let app = new_app(&backend).await;
    secrets.schedule_deletion(Purpose::AppSecret(app.id)).await.unwrap();
    assert_found(&backend, app.id, &["secret-scheduled-for-deletion"], &[]).await;
    // A half-deleted app is to be deleted, not restored.
    secrets.schedule_deletion(Purpose::AppSecret(app.id)).await.unwrap();
    change(&backend, &app, |app| app.is_disabled = true).await;
    assert_found(&backend, app.id, &[], &["secret-scheduled-for-deletion"]).await;

    let app = new_app(&backend).await;
    let delete = backend.secrets_manager().delete_secret().secret_id(secrets.app_secret_name(app.id));
    delete.force_delete_without_recovery(true).send().await.unwrap();
    assert_found(&backend, app.id, &[], &["secret-missing"]).await;
    let empty = backend.secrets_manager().create_secret().name(secrets.app_secret_name(app.id));
    empty.send().await.unwrap();
    assert_found(&backend, app.id, &[], &["pinned-version-missing"]).await;
    Box::pin(userdocks_admin::secret::rotate(&services, app.id, Duration::ZERO)).await.unwrap();
    assert_found(&backend, app.id, &[], &[]).await;

    let nobody = AppId::random();
    secrets.create_app_secret(nobody, SecretVersionId::random(), &secret()).await.unwrap();
    secrets.create_signing_key(nobody, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&backend, nobody, &["secret-without-app", "secret-without-app"], &[]).await;

    let app = new_app(&backend).await;
    let other = format!("{SECRET_PREFIX}/apps/{}/other", app.id);
    backend.secrets_manager().create_secret().name(other).secret_string("x").send().await.unwrap();
    assert_found(&backend, app.id, &[], &["unknown-secret"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_fit_are_found() {
    let backend = Backend::start().await;
    new_app(&backend).await;
    let app = new_app(&backend).await;
    let delete = backend.dynamodb().delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S(format!("APP#{}", app.id)));
    delete.key("sk", AttributeValue::S("APP".to_owned())).send().await.unwrap();
    assert_found(&backend, app.id, &["api-key-without-app", "api-key-without-app", "secret-without-app"], &[]).await;
    assert_eq!(backend.services().store.list_api_keys(app.id).await.unwrap(), (vec![], vec![]));

    // A record that can't be read names nothing, and nothing of its app is touched.
    let app = new_app(&backend).await;
    let (keys, _) = backend.services().store.list_api_keys(app.id).await.unwrap();
    update_item(&backend, app.id, "APP", "SET #name = :name").await;
    update_item(&backend, app.id, &format!("APIKEY#{}", keys[0].hash.as_str()), "SET #name = :name").await;
    update_item(&backend, app.id, "IDEMPOTENCY#x", "SET #name = :name").await;
    update_item(&backend, app.id, "OTHER", "SET #name = :name").await;
    backend.services().secrets.create_signing_key(app.id, SigningKeyId::random(), &secret()).await.unwrap().settled();
    assert_found(&backend, app.id, &[], &["corrupt-item"; 4]).await;

    // The whole table: what is wrong with one app is in no other's way.
    new_app(&backend).await;
    let kinds = doctor(&backend, &["--min-age", "0s"]).await;
    assert_eq!(kinds, vec![("corrupt-item".to_owned(), false); 4]);
    let (_, answer, errors) = backend.run_admin(&["doctor", "--min-age", "0s"]).await;
    assert_eq!(errors, "userdocks-admin: 4 findings remain\n");
    let of_app = answer["findings"].as_array().unwrap().iter().all(|finding| finding["app"] == app.id.to_string());
    assert!(of_app, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_under_way_may_need_is_left_alone() {
    let backend = Backend::start().await;
    let secrets = backend.services().secrets;
    let app = new_app(&backend).await.id;
    secrets.put_app_secret(app, SecretVersionId::random(), &secret()).await.unwrap();
    secrets.create_signing_key(app, SigningKeyId::random(), &secret()).await.unwrap().settled();
    secrets.create_app_secret(AppId::random(), SecretVersionId::random(), &secret()).await.unwrap();
    assert_eq!(doctor(&backend, &["--repair"]).await, []);
    assert_eq!(doctor(&backend, &["--min-age", "0s", "--repair"]).await.len(), 3, "it is younger than a day");
}

/// Its keys have the times that they had elsewhere, and those beyond a hundred are there before the app.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_keys_of_an_import_under_way_are_left_alone() {
    let backend = Backend::start().await;
    let app = new_app(&backend).await.id;
    let (keys, _) = backend.services().store.list_api_keys(app).await.unwrap();
    for key in keys {
        let update = backend.update_item(app, &format!("APIKEY#{}", key.hash.as_str()));
        let then = AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned());
        let update = update.update_expression("SET updatedAt = :then").expression_attribute_values(":then", then);
        update.send().await.unwrap();
    }
    let record = HashMap::from(
        [("pk", format!("APP#{app}")), ("sk", "APP".to_owned())]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value))),
    );
    backend.dynamodb().delete_item().table_name(TABLE).set_key(Some(record)).send().await.unwrap();
    assert_eq!(doctor(&backend, &["--repair"]).await, []);
    assert_eq!(doctor(&backend, &["--min-age", "0s"]).await.len(), 3, "both keys, and the app's secret");
}

/// It is looked at once more just before its secrets are taken for orphans.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_just_made_keeps_its_secrets() {
    let backend = Backend::start().await;
    let app = new_app(&backend).await.id;
    backend.services().secrets.create_signing_key(app, SigningKeyId::random(), &secret()).await.unwrap().settled();
    let is_made = AtomicBool::new(false);
    backend.judge(move |call| match call.operation.as_str() {
        "BatchGetItem" if !is_made.swap(true, Relaxed) => Fate::Answered(200, r#"{"Responses":{}}"#.to_owned()),
        _ => Fate::Forwarded,
    });
    let kinds = doctor(&backend, &["--min-age", "0s", "--repair"]).await;
    assert_eq!(kinds, [("orphaned-private-key".to_owned(), true)]);
}

/// The same app in two stages, and the table of the one looked at with the secrets of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_and_secrets_that_do_not_belong_together_are_left_alone() {
    let backend = Backend::start().await;
    let app = new_app(&backend).await;
    let secrets_manager = backend.secrets_manager();
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
    assert_eq!(doctor(&backend, &arguments).await, kinds.map(|kind| (kind.to_owned(), false)));
}

/// More than DynamoDB is asked for at a time.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_secrets_without_an_app_are_found() {
    const NUMBER: usize = 101;
    let backend = Backend::start().await;
    for _ in 0..NUMBER {
        let secrets = &backend.services().secrets;
        secrets.create_app_secret(AppId::random(), SecretVersionId::random(), &secret()).await.unwrap();
    }
    let kinds = doctor(&backend, &["--min-age", "0s"]).await;
    assert_eq!(kinds, vec![("secret-without-app".to_owned(), false); NUMBER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_fails_remains_and_is_in_no_others_way() {
    let backend = Backend::start().await;
    let secrets = backend.services().secrets;
    let (first, second) = (new_app(&backend).await, new_app(&backend).await);
    for app in [&first, &second] {
        secrets.put_app_secret(app.id, SecretVersionId::random(), &secret()).await.unwrap();
    }
    let refused = first.id.to_string();
    backend.judge(move |call| {
        if call.operation == "UpdateSecretVersionStage" && call.body.contains(&refused) {
            Fate::Answered(400, r#"{"__type":"AccessDeniedException"}"#.to_owned())
        } else {
            Fate::Forwarded
        }
    });
    let (code, answer, _) = backend.run_admin(&["doctor", "--min-age", "0s", "--repair"]).await;
    assert_eq!((code, &answer["repaired"], &answer["remaining"]), (1, &json!(1), &json!(1)));
    let failed: Vec<&Value> =
        answer["findings"].as_array().unwrap().iter().filter(|finding| finding["isRepaired"] == false).collect();
    assert_eq!((failed.len(), &failed[0]["app"]), (1, &json!(first.id.to_string())));
    assert!(failed[0]["detail"].as_str().unwrap().contains("AccessDeniedException"), "{answer}");
}
