//! Clean-ups of staging labels, most of them overtaken by other changes. The model of the rotation (`tests/model`) found such
//! cases.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use userdocks::{
    domain::{App, AppId, Secret, SecretVersionId, Timestamp},
    rotation::PreparedRotation,
    secrets::{Purpose, SecretState, SecretsError},
};
use userdocks_test_support::aws::Reply;

use crate::api::Api;

const HOUR: Duration = Duration::from_secs(3600);

/// Rotates the secret, and stops before the labels are cleaned up.
async fn rotate_without_clean_up(api: &Api, id: AppId) -> App {
    let services = api.aws.services();
    let now = Timestamp::now();
    let read = pinned(api, id).await;
    let value = Secret::random().unwrap();
    let prepared = PreparedRotation::new(&services.secrets, read.clone(), &value, HOUR, now).await.unwrap();
    services.store.update_app(&read, prepared.app, now).await.unwrap()
}

/// Returns the app's first record, and the record after each of three rotations whose labels are not cleaned up.
async fn rotate_three_times(api: &Api, id: AppId) -> [App; 4] {
    let first = pinned(api, id).await;
    let second = rotate_without_clean_up(api, id).await;
    let third = rotate_without_clean_up(api, id).await;
    let fourth = rotate_without_clean_up(api, id).await;
    [first, second, third, fourth]
}

/// A response of `ListSecretVersionIds`: version, age at `now`, and labels beside its own.
fn listing(now: Timestamp, versions: &[(String, Duration, &[&str])]) -> Reply {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(id, age, labels)| {
            let labels: Vec<&str> = [&[id.as_str()], *labels].concat();
            json!({"VersionId": id, "VersionStages": labels, "CreatedDate": now.before(*age).seconds_since_epoch()})
        })
        .collect();
    Reply::Send(200, json!({"Versions": versions}).to_string())
}

async fn move_current(api: &Api, app: AppId, from: &str, to: &str) {
    let name = api.aws.services().secrets.app_secret_name(app);
    let moving = api.aws.secrets_manager().update_secret_version_stage().secret_id(name).version_stage("AWSCURRENT");
    moving.remove_from_version_id(from).move_to_version_id(to).send().await.unwrap();
}

/// Returns the bodies of the changes of labels since calls were last intercepted or taken.
fn take_label_changes(api: &Api) -> Vec<String> {
    let calls = api.aws.take_calls().into_iter().filter(|call| call.operation == "UpdateSecretVersionStage");
    calls.map(|call| call.body).collect()
}

/// Lets the first `failures` changes of labels fail with that code.
fn fail_label_changes(api: &Api, failures: usize, code: &'static str) {
    let changes = AtomicUsize::new(0);
    api.aws.intercept(move |call| match call.operation.as_str() {
        "UpdateSecretVersionStage" if changes.fetch_add(1, Relaxed) < failures => Reply::error(400, code),
        _ => Reply::Forward,
    });
}

/// Returns the app's record, which names the pinned version.
async fn pinned(api: &Api, app: AppId) -> App {
    api.aws.services().store.find_app(app).await.unwrap().unwrap()
}

async fn state(api: &Api, app: AppId) -> SecretState {
    api.aws.services().secrets.describe(Purpose::AppSecret(app)).await.unwrap().unwrap()
}

/// Another clean-up moves `AWSCURRENT` to a version that is older than the pinned one, after this one has listed the labels.
#[tokio::test(flavor = "multi_thread")]
async fn current_label_moved_meanwhile_follows_pinned_version() {
    let api = Api::start().await;
    let app = api.create_app().await.id();
    let records = rotate_three_times(&api, app).await;
    let [first, second, third, pinned] = records.each_ref().map(|app| app.secret_version_id.to_string());
    let minutes = |number: u64| Duration::from_secs(60 * number);
    let before = listing(
        Timestamp::now(),
        &[
            (first.clone(), minutes(4), &["AWSCURRENT"]),
            (second.clone(), minutes(3), &[]),
            (third.clone(), minutes(2), &[]),
            (pinned.clone(), minutes(1), &[]),
        ],
    );
    // The clean-up of the second rotation.
    move_current(&api, app, &first, &second).await;

    let is_listed = AtomicBool::new(false);
    let from_first = format!(r#""RemoveFromVersionId":"{first}""#);
    api.aws.intercept(move |call| match call.operation.as_str() {
        "ListSecretVersionIds" if !is_listed.swap(true, Relaxed) => before.clone(),
        // Not all emulators refuse to move a label from a version that does not have it.
        "UpdateSecretVersionStage" if call.body.contains("AWSCURRENT") && call.body.contains(&from_first) => {
            Reply::error(400, "InvalidParameterException")
        }
        _ => Reply::Forward,
    });
    api.aws.services().secrets.tidy_app_secret(&records[3], Timestamp::now(), HOUR).await.unwrap();
    let state = state(&api, app).await;
    assert_eq!(state.current_version, Some(pinned.clone()));
    let mut kept: Vec<String> = state.kept_versions.iter().map(ToString::to_string).collect();
    kept.sort();
    let mut expected = [third, pinned];
    expected.sort();
    assert_eq!(kept, expected, "the pinned version and the previous one");
}

/// A command is suspended after it read or stored the record, and continues hours later.
#[tokio::test(flavor = "multi_thread")]
async fn clean_up_after_suspension_keeps_later_versions() {
    let api = Api::start().await;
    let app = api.create_app().await.id();
    let records = rotate_three_times(&api, app).await;
    let [first, second, third, fourth] = records.each_ref().map(|app| app.secret_version_id.to_string());
    let versions = listing(
        Timestamp::now(),
        &[
            (first, 9 * HOUR, &[]),
            (second, 5 * HOUR, &[]),
            (third.clone(), 3 * HOUR, &[]),
            (fourth.clone(), 2 * HOUR, &["AWSCURRENT"]),
        ],
    );
    api.aws.intercept(move |call| match call.operation.as_str() {
        "ListSecretVersionIds" => versions.clone(),
        _ => Reply::Forward,
    });
    // The second rotation read the record before it stored its version.
    let read_at = Timestamp::now().before(6 * HOUR);
    api.aws.services().secrets.tidy_app_secret(&records[1], read_at, HOUR).await.unwrap();
    let kept = state(&api, app).await.kept_versions;
    for version in [third, fourth] {
        assert!(kept.iter().any(|kept| kept.to_string() == version), "GET returns it: {kept:?}");
    }
}

/// The versions of later changes may still be pinned, unless they are older than any change takes.
#[tokio::test(flavor = "multi_thread")]
async fn only_left_over_version_loses_its_label() {
    let api = Api::start().await;
    let app = api.create_app().await.id();
    let app = pinned(&api, app).await;
    let read_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let [current, left_over, young] = [(); 3].map(|()| SecretVersionId::random().to_string());
    let versions = listing(
        read_at,
        &[
            (current, HOUR / 2, &["AWSCURRENT"]),
            (app.secret_version_id.to_string(), 2 * HOUR, &["AWSPREVIOUS"]),
            (left_over.clone(), HOUR + Duration::from_secs(1), &[]),
            (young, HOUR, &[]),
        ],
    );
    api.aws.intercept(move |call| match call.operation.as_str() {
        "ListSecretVersionIds" => versions.clone(),
        _ => Reply::Send(200, "{}".to_owned()),
    });
    api.aws.services().secrets.tidy_app_secret(&app, read_at, HOUR).await.unwrap();
    let changes = take_label_changes(&api);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].contains(&format!(r#""RemoveFromVersionId":"{left_over}""#)), "{changes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn current_label_is_moved_at_most_three_times() {
    let api = Api::start().await;
    let app = api.create_app().await.id();
    let records = rotate_three_times(&api, app).await;
    for (failures, succeeds) in [(3, false), (2, true)] {
        fail_label_changes(&api, failures, "InvalidParameterException");
        let outcome = api.aws.services().secrets.tidy_app_secret(&records[3], Timestamp::now(), HOUR).await;
        assert_eq!(outcome.is_ok(), succeeds, "{outcome:?}");
    }
}

/// A version that a lost change stored, with `AWSCURRENT` on it.
async fn lost_version(api: &Api, app: AppId) -> SecretVersionId {
    let version = SecretVersionId::random();
    api.aws.services().secrets.put_app_secret(app, version, &Secret::random().unwrap()).await.unwrap();
    let [from, to] = [pinned(api, app).await.secret_version_id, version].map(|version| version.to_string());
    move_current(api, app, &from, &to).await;
    version
}

/// Cleans up after a lost change, while the first `failures` moves of a label fail with that code. Returns the outcome and
/// the number of moves.
async fn discard(api: &Api, app: AppId, failures: usize, code: &'static str) -> (Result<(), SecretsError>, usize) {
    api.aws.forward();
    let lost = lost_version(api, app).await;
    fail_label_changes(api, failures, code);
    let outcome = api.aws.services().secrets.discard_app_secret(&pinned(api, app).await, lost).await;
    (outcome, take_label_changes(api).len())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_change_returns_current_label_in_three_attempts() {
    let api = Api::start().await;
    let [app, other, denied] = [api.create_app().await.id(), api.create_app().await.id(), api.create_app().await.id()];
    let (outcome, moves) = discard(&api, app, 2, "InvalidParameterException").await;
    assert!(outcome.is_ok(), "{outcome:?}");
    // The last one removes the version's own label.
    assert_eq!(moves, 4);
    let (state, pinned) = (state(&api, app).await, pinned(&api, app).await.secret_version_id);
    assert_eq!((state.current_version, state.kept_versions), (Some(pinned.to_string()), vec![pinned]));

    let (outcome, moves) = discard(&api, other, usize::MAX, "InvalidParameterException").await;
    assert!(matches!(outcome, Err(SecretsError::LabelMoved { .. })), "{outcome:?}");
    assert_eq!(moves, 3);
    let (outcome, moves) = discard(&api, denied, usize::MAX, "AccessDeniedException").await;
    assert!(matches!(outcome, Err(SecretsError::Failed { .. })), "{outcome:?}");
    assert_eq!(moves, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_change_without_current_label_moves_none() {
    let api = Api::start().await;
    let app = api.create_app().await.id();
    let (secrets, lost) = (api.aws.services().secrets, SecretVersionId::random());
    secrets.put_app_secret(app, lost, &Secret::random().unwrap()).await.unwrap();
    let _ = take_label_changes(&api);
    secrets.discard_app_secret(&pinned(&api, app).await, lost).await.unwrap();
    let changes = take_label_changes(&api);
    assert_eq!(changes.len(), 1);
    assert!(!changes[0].contains("MoveToVersionId"), "{changes:?}");
}
