//! Limits on rotations, replays, and creating signing keys during concurrent changes.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use userdocks::{
    domain::{ApiKeyStatus, App, AppId, PublicKey, Secret, SecretVersionId, SigningKeyId, SigningKeyLimits, Timestamp},
    rotation::MAX_NEW_VERSIONS,
    secrets::Purpose,
};
use userdocks_test_support::{
    app::RSA_2048,
    aws::{Call, FakeAws, Reply, SECRET_PREFIX},
    contract::{self, Fixture, read_payload},
    function::Function,
    in_process::InProcess,
};

const DAY: u64 = 24 * 3600;

/// Returns the function's successful write with the given `Idempotency-Key`, or without one.
fn event(function: &str, idempotency_key: Option<&str>) -> String {
    let event = Fixture::success(function).to_event().without_header("idempotency-key");
    match idempotency_key {
        Some(key) => event.idempotency_key(key).to_string(),
        None => event.to_string(),
    }
}

/// Returns the app that the function's successful write changes.
fn app_of(function: &str) -> AppId {
    let parameters = &Fixture::success(function).json()["pathParameters"];
    parameters.get("appId").unwrap_or(&parameters["appUuid"]).as_str().unwrap().parse().unwrap()
}

async fn invoke(function: &mut Function, event: &str) -> (u16, Value) {
    let (response, _) = read_payload(&function.invoke(event).await);
    (response.status, serde_json::from_str(&response.body).unwrap())
}

/// Invokes the function and does `work` once the response to one of its calls is lost.
async fn invoke_around(
    aws: &FakeAws,
    function: &mut Function,
    event: &str,
    work: impl Future<Output = ()>,
) -> (u16, Value) {
    let mut invocation = pin!(invoke(function, event));
    tokio::select! {
        response = &mut invocation => panic!("no response was lost: {response:?}"),
        () = aws.response_lost() => {}
    }
    aws.forward();
    work.await;
    invocation.await
}

/// Stops the function. Returns its request lines and its warnings.
async fn stop(function: Function) -> (Vec<Value>, Vec<Value>) {
    let lines = function.stop().await;
    let lines = lines.into_iter().filter(|line| line["message"] == "request" || line["level"] == "WARN");
    lines.partition(|line| line["message"] == "request")
}

fn count(calls: &[String], operation: &str) -> usize {
    calls.iter().filter(|call| *call == operation).count()
}

async fn find_app(aws: &FakeAws, app: AppId) -> App {
    aws.services().store.find_app(app).await.unwrap().unwrap()
}

/// Returns the number of signing keys that are not revoked.
fn published(app: &App) -> usize {
    app.signing_keys.published().len()
}

/// Returns the names of the secrets that hold an app's private keys.
async fn private_keys(aws: &FakeAws, app: AppId) -> Vec<String> {
    let listed = aws.secrets_manager().list_secrets().send().await.unwrap().secret_list.unwrap();
    let prefix = format!("{SECRET_PREFIX}/apps/{app}/signing-keys/");
    listed.into_iter().filter_map(|secret| secret.name).filter(|name| name.starts_with(&prefix)).collect()
}

/// Adds standby keys without private halves until the app has `count` keys.
async fn fill(aws: &FakeAws, app: AppId, count: usize) {
    let (store, key) = (aws.services().store, PublicKey::import(RSA_2048).unwrap());
    let read = find_app(aws, app).await;
    let mut app = read.clone();
    while published(&app) < count {
        app.signing_keys
            .add_standby(SigningKeyLimits::API, SigningKeyId::random(), key.clone(), Timestamp::now())
            .unwrap();
    }
    store.update_app(&read, app, Timestamp::now()).await.unwrap();
}

/// Returns a listing of versions with these ages in seconds.
fn versions(ages: impl IntoIterator<Item = u64>) -> Vec<Value> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let version = |age| json!({"VersionId": SecretVersionId::random().to_string(), "CreatedDate": now - age});
    ages.into_iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_over_50_new_versions_is_refused() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-secrets");
    let mut function = Function::start("post-app-secrets", &aws.environment()).await;
    // The app's first version counts, too.
    for _ in 1..MAX_NEW_VERSIONS - 1 {
        let value = Secret::from("value".to_owned());
        aws.services().secrets.put_app_secret(app, SecretVersionId::random(), &value).await.unwrap();
    }
    assert_eq!(
        invoke(&mut function, &event("post-app-secrets", None)).await.0,
        201,
        "the last rotation below the limit"
    );
    let before = find_app(&aws, app).await;
    let _ = aws.take_operations();
    let (response, _) = read_payload(&function.invoke(&event("post-app-secrets", None)).await);
    assert_eq!(response, contract::failure("post-app-secrets", "E4090"));
    assert_eq!(count(&aws.take_operations(), "PutSecretValue"), 0, "no version is stored");
    assert_eq!(find_app(&aws, app).await, before);
    let (requests, _) = stop(function).await;
    assert!(requests[1]["cause"].as_str().unwrap().contains("50 of its versions are younger than a day"));

    let (code, _, errors) = aws.run_admin(&["secret", "rotate", &app.to_string()]).await;
    assert_eq!(code, 0, "{errors}");
    assert_ne!(find_app(&aws, app).await.secret_version_id, before.secret_version_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_versions_are_counted_on_all_pages() {
    for (oldest, status) in [(DAY - 60, 409), (DAY + 60, 201)] {
        let aws = FakeAws::with_fixtures().await;
        let mut function = Function::start("post-app-secrets", &aws.environment()).await;
        let first = json!({"Versions": versions((0..30).chain([oldest])), "NextToken": "next"}).to_string();
        let second = json!({"Versions": versions((31..50).chain([3 * DAY]))}).to_string();
        aws.intercept(move |call: &Call| {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            match call.operation.as_str() {
                "ListSecretVersionIds" if body["NextToken"] == "next" => Reply::Send(200, second.clone()),
                "ListSecretVersionIds" if body["IncludeDeprecated"] == true => Reply::Send(200, first.clone()),
                _ => Reply::Forward,
            }
        });
        assert_eq!(invoke(&mut function, &event("post-app-secrets", None)).await.0, status, "{oldest}");
    }
}

/// A parallel rotation that loses removes its own label after this one lists the labels.
#[tokio::test(flavor = "multi_thread")]
async fn label_removed_by_another_change_does_not_stop_cleanup() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-secrets");
    let mut function = Function::start("post-app-secrets", &aws.environment()).await;
    assert_eq!(invoke(&mut function, &event("post-app-secrets", None)).await.0, 201);
    aws.intercept(|call| match call.operation.as_str() {
        "UpdateSecretVersionStage" if !call.body.contains("MoveToVersionId") => {
            let body = json!({"__type": "InvalidParameterException", "Message": "The staging label is not attached."});
            Reply::Send(400, body.to_string())
        }
        _ => Reply::Forward,
    });
    let _ = aws.take_operations();
    assert_eq!(invoke(&mut function, &event("post-app-secrets", None)).await.0, 201);
    let removals = aws.take_operations();
    assert!(count(&removals, "UpdateSecretVersionStage") > 1, "{removals:?}");
    let pinned = find_app(&aws, app).await.secret_version_id;
    let state = aws.services().secrets.describe(Purpose::AppSecret(app)).await.unwrap().unwrap();
    assert_eq!(state.current_version, Some(pinned.to_string()));
    assert!(stop(function).await.1.is_empty(), "no label is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn exceeded_quota_is_not_retried() {
    let aws = FakeAws::with_fixtures().await;
    let mut rotation = Function::start("post-app-secrets", &aws.environment()).await;
    aws.intercept(|call| match call.operation.as_str() {
        "PutSecretValue" | "CreateSecret" => Reply::error(400, "LimitExceededException"),
        _ => Reply::Forward,
    });
    assert_eq!(invoke(&mut rotation, &event("post-app-secrets", None)).await.0, 409);
    let calls = aws.take_operations();
    assert_eq!(count(&calls, "PutSecretValue"), 2, "before and after labels are removed: {calls:?}");
    let (requests, _) = stop(rotation).await;
    assert!(requests[0]["cause"].as_str().unwrap().contains("LimitExceededException"), "{requests:?}");

    let mut creation = Function::start("post-app-keys", &aws.environment()).await;
    let _ = aws.take_operations();
    let (response, _) = read_payload(&creation.invoke(&event("post-app-keys", None)).await);
    assert_eq!(response, contract::failure("post-app-keys", "E0000"), "the caller did not cause the region's quota");
    assert_eq!(count(&aws.take_operations(), "CreateSecret"), 1);
    assert!(stop(creation).await.1.is_empty(), "no private key is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_is_marked_and_ends_with_its_secret() {
    let aws = FakeAws::with_fixtures().await;
    let mut function = Function::start("post-app-secrets", &aws.environment()).await;
    let [first, second, third] = ["first", "second", "third"].map(|key| event("post-app-secrets", Some(key)));
    let created = invoke(&mut function, &first).await;
    assert_eq!(created.0, 201);
    assert_eq!(invoke(&mut function, &first).await, created, "while the secret is current");
    assert_eq!(invoke(&mut function, &second).await.0, 201);
    assert_eq!(invoke(&mut function, &first).await, created, "while the secret is the previous one");
    assert_eq!(invoke(&mut function, &third).await.0, 201);
    let before = find_app(&aws, app_of("post-app-secrets")).await;
    let (response, _) = read_payload(&function.invoke(&first).await);
    assert_eq!(response, contract::failure("post-app-secrets", "E4090"), "a replaced secret is no longer returned");
    assert_eq!(find_app(&aws, before.id).await, before);

    let (requests, _) = stop(function).await;
    let marks: Vec<&Value> = requests.iter().map(|line| &line["replayed"]).collect();
    let [new, again] = [&Value::Null, &Value::Bool(true)];
    assert_eq!(marks, [new, again, new, again, new, again]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_after_overlap_ended_is_refused() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-secrets");
    let mut function = Function::start("post-app-secrets", &aws.environment()).await;
    let first = event("post-app-secrets", Some("first"));
    assert_eq!(invoke(&mut function, &first).await.0, 201);
    assert_eq!(invoke(&mut function, &event("post-app-secrets", None)).await.0, 201);
    let store = aws.services().store;
    let read = find_app(&aws, app).await;
    let mut ended = read.clone();
    ended.end_overlap();
    store.update_app(&read, ended, Timestamp::now()).await.unwrap();
    assert_eq!(invoke(&mut function, &first).await.0, 409);
}

/// After this request's read, a parallel request does the same write, and its secret is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_replay_of_replaced_secret_is_refused() {
    let aws = FakeAws::with_fixtures().await;
    let mut function = Function::start("post-app-secrets", &aws.environment()).await;
    let first = event("post-app-secrets", Some("first"));
    assert_eq!(invoke(&mut function, &first).await.0, 201);
    for _ in 0..2 {
        assert_eq!(invoke(&mut function, &event("post-app-secrets", None)).await.0, 201);
    }
    let before = find_app(&aws, app_of("post-app-secrets")).await;
    let read = AtomicBool::new(false);
    aws.intercept(move |call| match call.operation.as_str() {
        "BatchGetItem" if !read.swap(true, Relaxed) => Reply::Edit("IDEMPOTENCY#", "OTHER#"),
        _ => Reply::Forward,
    });
    assert_eq!(invoke(&mut function, &first).await.0, 409);
    assert_eq!(count(&aws.take_operations(), "TransactWriteItems"), 1, "the function tries to commit");
    assert_eq!(find_app(&aws, before.id).await, before);
    assert_eq!(stop(function).await.0[3]["replayed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_loses_races_is_added_again() {
    const LOST: usize = 3;
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-keys");
    let mut function = Function::start("post-app-keys", &aws.environment()).await;
    let before = published(&find_app(&aws, app).await);
    let tried = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "TransactWriteItems" if tried.fetch_add(1, Relaxed) < LOST => {
            Reply::cancelled_transaction(&["ConditionalCheckFailed"])
        }
        _ => Reply::Forward,
    });
    let (status, body) = invoke(&mut function, &event("post-app-keys", None)).await;
    assert_eq!(status, 201, "{body}");
    let calls = aws.take_operations();
    assert_eq!((count(&calls, "CreateSecret"), count(&calls, "PutSecretValue")), (1, 0), "{calls:?}");
    assert_eq!(count(&calls, "BatchGetItem"), 2 + LOST, "authenticated again before each attempt: {calls:?}");
    assert_eq!(published(&find_app(&aws, app).await), before + 1);
    assert_eq!(private_keys(&aws, app).await.len(), 1);
    assert!(stop(function).await.1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn key_whose_api_key_is_ended_meanwhile_is_not_added() {
    for is_rotated in [false, true] {
        let aws = FakeAws::with_fixtures().await;
        let app = app_of("post-app-keys");
        let before = published(&find_app(&aws, app).await);
        // The function authenticates the request, generates the key, and reads the app and its API key again.
        let reads = AtomicUsize::new(0);
        aws.intercept(move |call| match call.operation.as_str() {
            "BatchGetItem" if reads.fetch_add(1, Relaxed) == 1 => Reply::Hold,
            _ => Reply::Forward,
        });
        let end_keys = async {
            let (keys, _) = aws.services().store.list_api_keys(app).await.unwrap();
            let now = Timestamp::now();
            for key in keys.iter().filter(|key| key.status(now) == ApiKeyStatus::Active) {
                let (app, key) = (app.to_string(), key.id.to_string());
                let rotate = ["api-key", "rotate", &app, &key, "--overlap", "0s"];
                let revoke = ["api-key", "revoke", &app, &key];
                aws.admin_json(if is_rotated { &rotate } else { &revoke }).await;
            }
        };
        // A function whose calls have no timeout waits for the commands, however long they take.
        let function = InProcess::new("post-app-keys", aws.services());
        let event = event("post-app-keys", None);
        let (payload, ()) = tokio::join!(function.respond(&event), aws.while_held(end_keys));
        let (response, _) = read_payload(&payload);
        assert_eq!(response, contract::failure("post-app-keys", "E4010"), "rotated: {is_rotated}");
        assert_eq!(published(&find_app(&aws, app).await), before);
        assert!(private_keys(&aws, app).await.is_empty());
    }
}

/// The app reaches its cap while the key is generated, or after the key's secret is created.
#[tokio::test(flavor = "multi_thread")]
async fn key_over_cap_leaves_no_unnamed_secret() {
    for created in [false, true] {
        let aws = FakeAws::with_fixtures().await;
        let app = app_of("post-app-keys");
        let mut function = Function::start("post-app-keys", &aws.environment()).await;
        // The first read authenticates the request. The second read follows the generation of the key.
        let read = AtomicUsize::new(0);
        aws.intercept(move |call| match call.operation.as_str() {
            "BatchGetItem" if !created && read.fetch_add(1, Relaxed) == 1 => Reply::Lose,
            "CreateSecret" if created => Reply::Lose,
            _ => Reply::Forward,
        });
        let full = fill(&aws, app, 50);
        let (status, _) = invoke_around(&aws, &mut function, &event("post-app-keys", None), full).await;
        assert_eq!(status, 409, "{created}");
        assert_eq!(published(&find_app(&aws, app).await), 50);
        let (_, warnings) = stop(function).await;
        let named: Vec<&str> = warnings.iter().filter_map(|line| line["secret"].as_str()).collect();
        assert_eq!(private_keys(&aws, app).await, named, "each secret that is left is logged");
        assert_eq!(named.len(), usize::from(created));
        let (_, found, _) = aws.run_admin(&["doctor", "--app", &app.to_string(), "--min-age", "0s"]).await;
        assert_eq!(found.to_string().contains("orphaned-private-key"), created, "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_key_creation_is_named_in_log() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-keys");
    let mut function = Function::start("post-app-keys", &aws.environment()).await;
    aws.intercept_operation("TransactWriteItems", Reply::error(400, "AccessDeniedException"));
    assert_eq!(invoke(&mut function, &event("post-app-keys", None)).await.0, 500);
    assert_eq!(count(&aws.take_operations(), "TransactWriteItems"), 1, "only conflicts are tried again");
    let (_, warnings) = stop(function).await;
    assert_eq!(vec![warnings[0]["secret"].as_str().unwrap()], private_keys(&aws, app).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_not_published_unless_aws_names_its_secret() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-keys");
    let before = published(&find_app(&aws, app).await);
    let mut function = Function::start("post-app-keys", &aws.environment()).await;
    let other = json!({"ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:other", "Name": "other"});
    aws.intercept_operation("CreateSecret", Reply::Send(200, other.to_string()));
    assert_eq!(invoke(&mut function, &event("post-app-keys", None)).await.0, 500);
    assert_eq!(published(&find_app(&aws, app).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_keys_against_toggled_key_all_succeed() {
    const KEYS: usize = 12;
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-keys");
    fill(&aws, app, 4).await;
    let toggled: Vec<SigningKeyId> = find_app(&aws, app).await.signing_keys.iter().map(|key| key.id).collect();
    // Each new private key triggers a change between the request's read and its write.
    let created = Arc::new(Semaphore::new(0));
    let store = aws.services().store;
    let changes = tokio::spawn({
        let created = Arc::clone(&created);
        async move {
            for number in 0..KEYS {
                created.acquire().await.unwrap().forget();
                loop {
                    let read = store.find_app(app).await.unwrap().unwrap();
                    let mut app = read.clone();
                    app.signing_keys.activate(toggled[number % toggled.len()], true, Timestamp::now()).unwrap();
                    if store.update_app(&read, app, Timestamp::now()).await.is_ok() {
                        break;
                    }
                }
            }
        }
    });
    aws.intercept(move |call| {
        created.add_permits(usize::from(call.operation == "CreateSecret"));
        Reply::Forward
    });
    // Generating 12 keys on a busy machine takes longer than the deadline of a function's binary.
    let function = InProcess::new("post-app-keys", aws.services());
    let event = event("post-app-keys", None);
    let responses = join_all((0..KEYS).map(|_| function.respond(&event))).await;
    changes.await.unwrap();

    let mut names = Vec::new();
    for response in responses {
        let (response, _) = read_payload(&response);
        assert_eq!(response.status, 201, "{}", response.body);
        let body: Value = serde_json::from_str(&response.body).unwrap();
        names.push(format!("{SECRET_PREFIX}/apps/{app}/signing-keys/{}", body["items"][0]["uuid"].as_str().unwrap()));
    }
    let mut found = private_keys(&aws, app).await;
    names.sort();
    found.sort();
    assert_eq!(found, names, "one private key for each public key");
    assert_eq!(published(&find_app(&aws, app).await), 4 + KEYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_key_that_loses_races_is_added_or_removed() {
    let aws = FakeAws::with_fixtures().await;
    let app = app_of("post-app-keys");
    let before = published(&find_app(&aws, app).await);
    let tried = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "TransactWriteItems" if tried.fetch_add(1, Relaxed) < 3 => {
            Reply::cancelled_transaction(&["ConditionalCheckFailed"])
        }
        _ => Reply::Forward,
    });
    let (code, _, errors) = aws.run_admin(&["signing-key", "create", &app.to_string()]).await;
    assert_eq!(code, 0, "{errors}");
    assert_eq!(published(&find_app(&aws, app).await), before + 1);
    assert_eq!(private_keys(&aws, app).await.len(), 1);

    aws.intercept(|call| {
        if call.operation == "TransactWriteItems" {
            Reply::cancelled_transaction(&["ConditionalCheckFailed"])
        } else {
            Reply::Forward
        }
    });
    let (code, _, errors) = aws.run_admin(&["signing-key", "create", &app.to_string()]).await;
    assert_eq!(code, 1, "{errors}");
    assert_eq!(private_keys(&aws, app).await.len(), 1, "the second key's secret is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_created_twice_at_once_keeps_one_secret_and_key() {
    let aws = FakeAws::with_fixtures().await;
    let (code, app, errors) = aws.run_admin(&["app", "create", "--name", "First"]).await;
    assert_eq!(code, 0, "{errors}");
    let id = app["app"]["uuid"].as_str().unwrap();
    let pinned = app["secret"]["versionId"].as_str().unwrap();
    // The second command's first read does not find the app.
    aws.intercept(|call| match call.operation.as_str() {
        "BatchGetItem" if call.index == 0 => Reply::Send(200, r#"{"Responses":{},"UnprocessedKeys":{}}"#.to_owned()),
        _ => Reply::Forward,
    });
    let (code, _, errors) = aws.run_admin(&["app", "create", "--name", "Second", "--id", id]).await;
    assert_eq!(code, 1, "{errors}");
    assert_eq!(private_keys(&aws, id.parse().unwrap()).await.len(), 1);
    let name = format!("{SECRET_PREFIX}/apps/{id}/secret");
    let current = aws.secrets_manager().get_secret_value().secret_id(name).send().await.unwrap();
    assert_eq!(current.version_id().unwrap(), pinned, "AWSCURRENT is on the version that the app pins");
    let (_, found, _) = aws.run_admin(&["doctor", "--app", id, "--min-age", "0s"]).await;
    assert_eq!(found["findings"], json!([]), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_version_waits_until_its_secret_is_visible() {
    let aws = FakeAws::with_fixtures().await;
    let tried = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "PutSecretValue" if tried.fetch_add(1, Relaxed) < 4 => Reply::error(400, "ResourceNotFoundException"),
        _ => Reply::Forward,
    });
    let (code, _, errors) = aws.run_admin(&["app", "create", "--name", "Test"]).await;
    assert_eq!(code, 0, "{errors}");
}
