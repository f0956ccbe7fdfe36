//! `userdocks-admin` keeps data consistent after races, after deletions, and if ids are not unique.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use userdocks::domain::AppId;
use userdocks_test_support::{
    app::RSA_2048,
    aws::{FakeAws, Reply, SECRET_PREFIX, TABLE},
    contract::read_payload,
    event::Event,
    function::Function,
};

use crate::commands::run_with_input;

/// Sends a write with the function's name as its `Idempotency-Key`. Returns the status and body.
async fn post(aws: &FakeAws, function: &str, app: &str, key: &str) -> (u16, Value) {
    let event = Event::new(function).caller(app, key).idempotency_key(function);
    let mut function = Function::start(function, &aws.environment()).await;
    let (response, _) = read_payload(&function.invoke(&event).await);
    (response.status, serde_json::from_str(&response.body).unwrap())
}

/// Returns the sort keys of an app's items.
async fn items(aws: &FakeAws, app: &str) -> Vec<String> {
    let query = aws.dynamodb().query().table_name(TABLE).key_condition_expression("pk = :app");
    let query = query.expression_attribute_values(":app", AttributeValue::S(format!("APP#{app}")));
    let found = query.send().await.unwrap();
    found.items().iter().map(|item| item["sk"].as_s().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_results_are_deleted_with_app() {
    let aws = FakeAws::start().await;
    let (_, created, _) = aws.run_admin(&["app", "create", "--name", "App"]).await;
    let app = created["app"]["uuid"].as_str().unwrap();
    let key = created["apiKeys"][1]["value"].as_str().unwrap();
    let mut written = Vec::new();
    for function in ["post-app-secrets", "post-app-keys"] {
        let (status, body) = post(&aws, function, app, key).await;
        assert_eq!(status, 201);
        assert_eq!(post(&aws, function, app, key).await.1, body, "a stored result");
        written.push(body);
    }
    let stored = items(&aws, app).await.into_iter().filter(|sk| sk.starts_with("IDEMPOTENCY#"));
    let stored: Vec<_> = stored.collect();
    assert_eq!(stored.len(), 2);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = aws.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    let _ = aws.take_operations();
    assert_eq!(aws.run_admin(&["app", "delete", app, "--yes"]).await.0, 0);
    let deletions: Vec<_> = aws.take_calls().into_iter().filter(|call| call.operation == "DeleteItem").collect();
    assert!(deletions.last().unwrap().body.contains(r#""APP""#), "the app's record is deleted last");
    assert_eq!(items(&aws, app).await, [] as [String; 0]);

    // Restores the stored results and adds an API key, as if a crash had left them behind.
    for sk in stored.iter().map(String::as_str).chain([format!("APIKEY#{}", "0".repeat(64)).as_str()]) {
        let update = aws.update_item(app, sk).update_expression("SET #name = :name");
        let update = update.expression_attribute_names("#name", "name");
        update.expression_attribute_values(":name", AttributeValue::S("left".to_owned())).send().await.unwrap();
    }
    let (code, _, errors) = aws.run_admin(&["app", "import", file.to_str().unwrap()]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(items(&aws, app).await.len(), 3, "the app and its two API keys");
    for (function, before) in ["post-app-secrets", "post-app-keys"].into_iter().zip(&written) {
        let (status, body) = post(&aws, function, app, key).await;
        assert_eq!(status, 201);
        assert_ne!(body, *before, "{function}: another app's result");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn app_created_with_id_replaces_items_of_crash() {
    let aws = FakeAws::start().await;
    let app = AppId::random().to_string();
    for sk in ["IDEMPOTENCY#x".to_owned(), format!("APIKEY#{}", "0".repeat(64))] {
        let update = aws.update_item(&app, &sk).update_expression("SET #name = :name");
        let update = update.expression_attribute_names("#name", "name");
        update.expression_attribute_values(":name", AttributeValue::S("left".to_owned())).send().await.unwrap();
    }
    assert_eq!(aws.run_admin(&["app", "create", "--name", "App", "--id", &app]).await.0, 0);
    assert_eq!(items(&aws, &app).await.len(), 3, "the app and its two API keys");
}

async fn assert_nothing_left_behind(aws: &FakeAws) {
    let (code, findings, _) = aws.run_admin(&["doctor", "--min-age", "0s"]).await;
    assert_eq!(code, 0, "{findings}");
}

/// Returns the version of the app's secret with the label AWSCURRENT.
async fn current_version(aws: &FakeAws, app: &str) -> String {
    let name = format!("{SECRET_PREFIX}/apps/{app}/secret");
    let described = aws.secrets_manager().describe_secret().secret_id(name).send().await.unwrap();
    let versions = described.version_ids_to_stages.unwrap();
    let current = versions.into_iter().find(|(_, labels)| labels.iter().any(|label| label == "AWSCURRENT"));
    current.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_creates_create_one_app_and_no_orphan() {
    const PARALLEL: usize = 16;
    let aws = FakeAws::start().await;
    let app = AppId::random().to_string();
    let create = ["app", "create", "--name", "App", "--id", &app, "--if-not-exists"];
    let outcomes = join_all((0..PARALLEL).map(|_| aws.run_admin(&create))).await;
    let (first, mut issued) = (&outcomes[0].1, 0);
    for (code, created, errors) in &outcomes {
        assert_eq!((*code, errors.as_str()), (0, ""));
        for field in ["app", "secret", "signingKey"] {
            assert_eq!(created[field], first[field]);
        }
        issued += usize::from(created["apiKeys"][0]["value"].is_string());
    }
    assert_eq!(issued, 1, "only one command issued the API keys");
    assert_eq!(current_version(&aws, &app).await, first["secret"]["versionId"].as_str().unwrap());
    assert_nothing_left_behind(&aws).await;
}

/// The command's first read does not find the app, so that it loses the race.
#[tokio::test(flavor = "multi_thread")]
async fn create_that_loses_shows_winner_and_cleans_up() {
    let aws = FakeAws::start().await;
    let app = AppId::random().to_string();
    let create = ["app", "create", "--name", "App", "--id", &app];
    let (_, won, _) = aws.run_admin(&create).await;
    for if_not_exists in [true, false] {
        hide_app_once(&aws);
        let arguments = [&create[..], if if_not_exists { &["--if-not-exists"] } else { &[] }].concat();
        let (code, shown, errors) = aws.run_admin(&arguments).await;
        if if_not_exists {
            assert_eq!((code, errors.as_str(), &shown["secret"]), (0, "", &won["secret"]));
        } else {
            assert!(code == 1 && errors.contains("already exists"), "{errors}");
        }
        assert_eq!(current_version(&aws, &app).await, won["secret"]["versionId"].as_str().unwrap());
        assert_nothing_left_behind(&aws).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_that_loses_skips_app_and_cleans_up() {
    let aws = FakeAws::start().await;
    let (_, won, _) = aws.run_admin(&["app", "create", "--name", "App"]).await;
    let app = won["app"]["uuid"].as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = aws.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    hide_app_once(&aws);
    let (code, imported, errors) = aws.run_admin(&["app", "import", file.to_str().unwrap(), "--if-not-exists"]).await;
    assert_eq!((code, errors.as_str(), &imported["apps"][0]["isImported"]), (0, "", &json!(false)));
    assert_eq!(current_version(&aws, app).await, won["secret"]["versionId"].as_str().unwrap());
    assert_nothing_left_behind(&aws).await;
}

fn hide_app_once(aws: &FakeAws) {
    let reads = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "BatchGetItem" if reads.fetch_add(1, Relaxed) == 0 => Reply::Send(200, r#"{"Responses":{}}"#.to_owned()),
        _ => Reply::Forward,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_repeated_id_revokes_all_keys() {
    let aws = FakeAws::start().await;
    let (_, created, _) = aws.run_admin(&["app", "create", "--name", "App"]).await;
    let (app, id) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["uuid"].as_str().unwrap());
    let (keys, _) = aws.services().store.list_api_keys(app.parse().unwrap()).await.unwrap();
    for key in &keys {
        let update = aws.update_item(app, &format!("APIKEY#{}", key.hash.as_str()));
        let update = update.update_expression("SET #id = :id").expression_attribute_names("#id", "uuid");
        update.expression_attribute_values(":id", AttributeValue::S(id.to_owned())).send().await.unwrap();
    }
    let (code, found, _) = aws.run_admin(&["doctor"]).await;
    assert_eq!(
        (code, &found["findings"][0]["kind"], found["remaining"].as_u64()),
        (1, &json!("repeated-api-key-id"), Some(1))
    );
    let (code, _, errors) = aws.run_admin(&["api-key", "rotate", app, id]).await;
    assert!(code == 1 && errors.contains("several API keys"), "{errors}");
    assert_eq!(aws.run_admin(&["api-key", "revoke", app, id]).await.0, 0);
    let (keys, _) = aws.services().store.list_api_keys(app.parse().unwrap()).await.unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.revoked_at.is_some()), "{keys:?}");
    assert_nothing_left_behind(&aws).await;

    // A file with the repeated id is refused.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = aws.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    let (code, _, errors) = FakeAws::start().await.run_admin(&["app", "import", file.to_str().unwrap()]).await;
    assert!(code == 1 && errors.contains(&format!("API key {id} is repeated")), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_signing_key_id_is_found() {
    let aws = FakeAws::start().await;
    let (_, created, _) = aws.run_admin(&["app", "create", "--name", "App"]).await;
    let app = created["app"]["uuid"].as_str().unwrap();
    assert!(run_with_input(&aws, &["signing-key", "import", app], RSA_2048.as_bytes()).await.status.success());
    let update = aws.update_item(app, "APP").update_expression("SET signingKeys[0].#id = signingKeys[1].#id");
    update.expression_attribute_names("#id", "uuid").send().await.unwrap();
    let (code, found, _) = aws.run_admin(&["doctor"]).await;
    let kinds: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert!(code == 1 && kinds.contains(&&json!("repeated-signing-key-id")), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_creation_of_table_is_not_taken_for_existing_table() {
    let aws = FakeAws::start().await;
    let create = ["table", "create", "--if-not-exists"];
    let (code, created, _) = aws.run_admin(&create).await;
    assert_eq!((code, &created["table"]["created"]), (0, &Value::Bool(false)));
    aws.intercept_operation("CreateTable", Reply::error(400, "AccessDeniedException"));
    let (code, _, errors) = aws.run_admin(&create).await;
    assert!(code == 1 && errors.contains("AccessDeniedException"), "{code} {errors}");
}
