//! Rotations of the secret, and the staging labels of its versions.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use userdocks::domain::{SecretVersionId, Timestamp};
use userdocks_test_support::{
    aws::{Reply, SECRET_PREFIX},
    contract::{self, read_payload},
    function::Function,
};

use crate::api::Api;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_are_returned_during_overlap() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let first = api.secret(&app).await;
    let none = |secret: &str| json!({"secret": secret, "previousSecret": null, "previousExpiresAt": null});
    assert_eq!(api.secret_with_previous(&app).await, none(&first));

    let rotate = |body: &str| app.event("post-app-secrets").body(body);
    let before = Timestamp::now();
    let (status, rotated) = api.call("post-app-secrets", &rotate("")).await;
    let until: Timestamp = rotated["data"]["previousExpiresAt"].as_str().unwrap().parse().unwrap();
    assert!(before + DAY <= until && until <= Timestamp::now() + DAY, "the default overlap: {until}");
    let second = rotated["data"]["secret"].as_str().unwrap().to_owned();
    assert_eq!((status, api.secret(&app).await), (201, second.clone()));
    let both = api.secret_with_previous(&app).await;
    let ends = rotated["data"]["previousExpiresAt"].clone();
    assert_eq!(both, json!({"secret": second, "previousSecret": first, "previousExpiresAt": ends}));

    api.update(&app, "SET previousSecretExpiresAt = :then", &[(":then", "2026-01-01T00:00:00.000Z")]).await;
    assert_eq!(api.secret_with_previous(&app).await, none(&second), "the overlap has expired");

    let (_, rotated) = api.call("post-app-secrets", &rotate(r#"{"overlapSeconds":2592000}"#)).await;
    let third = rotated["data"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(api.secret_with_previous(&app).await["previousSecret"], second);
    let end = app.event("delete-previous-app-secret");
    for _ in 0..2 {
        assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
        assert_eq!(api.secret_with_previous(&app).await, none(&third), "the overlap was ended");
    }
    // JSON does not distinguish 0.0 from 0.
    for body in [r#"{"overlapSeconds":0}"#, r#"{"overlapSeconds":0.0}"#] {
        assert_eq!(api.call("post-app-secrets", &rotate(body)).await.0, 201, "{body}");
        assert_eq!(api.secret_with_previous(&app).await["previousSecret"], Value::Null, "no overlap");
    }

    // AWSCURRENT is on the pinned version. Only the pinned and the previous version keep a label.
    let name = format!("{SECRET_PREFIX}/apps/{}/secret", app.id());
    let secrets_manager = api.aws.secrets_manager();
    let current = secrets_manager.get_secret_value().secret_id(&name).send().await.unwrap();
    assert_eq!(current.secret_string().unwrap(), api.secret(&app).await);
    let versions = secrets_manager.list_secret_version_ids().secret_id(&name).send().await.unwrap();
    let own_labels = versions
        .versions()
        .iter()
        .filter(|version| version.version_stages().iter().any(|label| Some(label.as_str()) == version.version_id()));
    assert!(own_labels.count() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_between_read_and_write_refuses_write() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let before = api.secret(&app).await;
    // The record changes while PutSecretValue is in progress.
    let changed = api.aws.services().store.find_app(app.id()).await.unwrap().unwrap();
    let mut function = Function::start("post-app-secrets", &api.aws.environment()).await;
    api.aws.intercept_operation("PutSecretValue", Reply::Lose);
    let event = app.event("post-app-secrets");
    let (response, ()) = tokio::join!(function.invoke(&event), async {
        api.aws.response_lost().await;
        api.aws.forward();
        api.aws.services().store.update_app(&changed, changed.clone(), Timestamp::now()).await.unwrap();
    });
    let (response, _) = read_payload(&response);
    assert_eq!(response, contract::failure("post-app-secrets", "E4090"));
    assert_eq!(api.secret(&app).await, before, "nothing was changed");
    let labelled: Vec<_> = api.labels(&app).await.into_keys().collect();
    assert_eq!(labelled, [changed.secret_version_id.to_string()], "the refused version has no label");
}

/// The record may pin the new version, so the version keeps its label.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_outcome_of_rotation_keeps_new_version() {
    let api = Api::start().await;
    let app = api.create_app().await;
    api.aws.intercept_operation("TransactWriteItems", Reply::error(400, "AccessDeniedException"));
    assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 500);
    let labels = api.labels(&app).await;
    assert!(labels.len() == 2 && labels.iter().all(|(version, labels)| labels.contains(version)), "{labels:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_that_cannot_be_described_is_not_reported_as_missing() {
    let api = Api::start().await;
    let app = api.create_app().await.id().to_string();
    api.aws.intercept_operation("DescribeSecret", Reply::error(400, "AccessDeniedException"));
    let (status, found, errors) = api.aws.run_admin(&["doctor", "--app", &app]).await;
    assert!(status != 0 && found.is_null() && errors.contains("AccessDeniedException"), "{status} {found} {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_existing_secret_is_restored() {
    let api = Api::start().await;
    api.aws.intercept_operation("CreateSecret", Reply::error(400, "AccessDeniedException"));
    let (status, _, errors) = api.aws.run_admin(&["app", "create", "--name", "App"]).await;
    assert!(status == 1 && errors.contains("AccessDeniedException"), "{status} {errors}");
    assert!(!api.aws.take_operations().contains(&"RestoreSecret".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_succeeds_if_labels_cannot_be_cleaned_up() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let rotate = app.event("post-app-secrets");
    for operation in ["ListSecretVersionIds", "UpdateSecretVersionStage"] {
        for reply in [Reply::Never, Reply::Cut, Reply::error(400, "AccessDeniedException")] {
            // Before the new version is stored, the versions are listed to count them.
            let (reply, is_stored) = (reply.clone(), AtomicBool::new(false));
            api.aws.intercept(move |call| {
                is_stored.fetch_or(call.operation == "PutSecretValue", Relaxed);
                let fails = call.operation == operation && is_stored.load(Relaxed);
                if fails { reply.clone() } else { Reply::Forward }
            });
            let (status, body) = api.call("post-app-secrets", &rotate).await;
            assert_eq!((status, &body["data"]["secret"]), (201, &api.secret(&app).await.into()), "{operation}");
        }
    }
    api.aws.forward();
    assert_eq!(api.call("post-app-secrets", &rotate).await.0, 201);
    api.assert_nothing_is_lost(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_rotations_keep_pinned_version() {
    let api = Api::start().await;
    let app = api.create_app().await;
    assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 201);
    let before = api.secret(&app).await;
    for _ in 0..3 {
        let mut process = Function::start("post-app-secrets", &api.aws.environment()).await;
        api.aws.intercept_operation("PutSecretValue", Reply::Lose);
        let event = app.event("post-app-secrets");
        tokio::select! {
            response = process.invoke(&event) => panic!("{response}"),
            () = api.aws.response_lost() => process.stop().await,
        };
        api.aws.forward();
        assert_eq!(api.secret(&app).await, before);
        // Secrets Manager may delete unlabelled versions. Emulators keep them.
        let pinned = api.aws.services().store.find_app(app.id()).await.unwrap().unwrap().secret_version_id.to_string();
        assert!(api.labels(&app).await[&pinned].contains(&pinned), "the version keeps its own label");
    }
}

/// Secrets Manager allows 20 labels for all versions of a secret together.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_rotations_keep_labels_in_quota() {
    let api = Api::start().await;
    let app = api.create_app().await;
    for _ in 0..8 {
        assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 201);
        let end = app.event("delete-previous-app-secret");
        assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
        let labels = api.labels(&app).await;
        assert!(labels.values().flatten().count() <= 4, "of the pinned and the previous version: {labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_failed_rotations_are_reused() {
    let api = Api::start().await;
    let app = api.create_app().await;
    assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 201);
    let secrets = api.aws.services().secrets;
    let [old, young] = [SecretVersionId::random(), SecretVersionId::random()];
    for version in [old, young] {
        secrets.put_app_secret(app.id(), version, &"value".to_owned().into()).await.unwrap();
    }
    // All versions except the young one are two minutes old.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let created = |id: &String| if *id == young.to_string() { now } else { now - 120 };
    let versions: Vec<Value> = api
        .labels(&app)
        .await
        .iter()
        .map(|(id, labels)| json!({"VersionId": id, "VersionStages": labels, "CreatedDate": created(id)}))
        .collect();
    let versions = json!({"Versions": versions}).to_string();
    let (listed, has_room) = (AtomicUsize::new(0), AtomicBool::new(false));
    api.aws.intercept(move |call| match call.operation.as_str() {
        "PutSecretValue" if !has_room.load(Relaxed) => Reply::error(400, "LimitExceededException"),
        // The versions are listed to count the new ones, and to find removable labels.
        "ListSecretVersionIds" if listed.fetch_add(1, Relaxed) < 2 => Reply::Send(200, versions.clone()),
        "UpdateSecretVersionStage" => {
            has_room.store(true, Relaxed);
            Reply::Forward
        }
        _ => Reply::Forward,
    });
    let before = api.secret(&app).await;
    let _ = api.aws.take_operations();
    assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 201);
    let calls = api.aws.take_calls();
    let before_the_commit = calls.iter().take_while(|call| call.operation != "TransactWriteItems");
    let removed: Vec<_> = before_the_commit.filter(|call| call.operation == "UpdateSecretVersionStage").collect();
    assert!(
        removed.len() == 1 && removed[0].body.contains(&old.to_string()),
        "a running change may need the young version"
    );
    assert_eq!(api.secret_with_previous(&app).await["previousSecret"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_with_too_many_versions_is_not_rotated() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let before = api.secret(&app).await;
    api.aws.intercept(|call| match call.operation.as_str() {
        "PutSecretValue" => Reply::error(400, "LimitExceededException"),
        _ => Reply::Forward,
    });
    assert_eq!(api.call("post-app-secrets", &app.event("post-app-secrets")).await.0, 409);
    assert_eq!(api.secret(&app).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_not_visible_yet_is_read_again() {
    let api = Api::start().await;
    let app = api.create_app().await;
    let asked = AtomicUsize::new(0);
    api.aws.intercept(move |call| match call.operation.as_str() {
        "GetSecretValue" if asked.fetch_add(1, Relaxed) < 4 => Reply::error(400, "ResourceNotFoundException"),
        _ => Reply::Forward,
    });
    assert_eq!(api.secret(&app).await.len(), 64);
}
