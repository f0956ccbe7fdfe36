//! `userdocks-admin` leaves the data whole: after races, after an app was deleted, and with ids that are not unique.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use userdocks::domain::AppId;
use userdocks_test_support::{
    backend::{Backend, Fate, SECRET_PREFIX, TABLE},
    contract::read_payload,
    function::{Function, environment},
};

/// A write with the app's write key, under an `Idempotency-Key` that each function has one of.
async fn post(backend: &Backend, function: &str, app: &str, key: &str) -> (u16, Value) {
    let event = json!({
        "headers": {"x-api-key": key, "x-api-key-type": "write", "x-client-id": app, "idempotency-key": function},
        "pathParameters": {"appId": app},
    });
    let mut function = Function::start(function, &environment(backend)).await;
    let (answer, _) = read_payload(&function.invoke(&event.to_string()).await);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The sort keys of an app's items.
async fn items(backend: &Backend, app: &str) -> Vec<String> {
    let query = backend.dynamodb().query().table_name(TABLE).key_condition_expression("pk = :app");
    let query = query.expression_attribute_values(":app", AttributeValue::S(format!("APP#{app}")));
    let found = query.send().await.unwrap();
    found.items().iter().map(|item| item["sk"].as_s().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn remembered_writes_end_with_app() {
    let backend = Backend::start().await;
    let (_, created, _) = backend.run_admin(&["app", "create", "--name", "App"]).await;
    let app = created["app"]["uuid"].as_str().unwrap();
    let key = created["apiKeys"][1]["value"].as_str().unwrap();
    let mut written = Vec::new();
    for function in ["post-app-secrets", "post-app-keys"] {
        let (status, body) = post(&backend, function, app, key).await;
        assert_eq!(status, 201);
        assert_eq!(post(&backend, function, app, key).await.1, body, "remembered");
        written.push(body);
    }
    let remembered = items(&backend, app).await.into_iter().filter(|sk| sk.starts_with("IDEMPOTENCY#"));
    let remembered: Vec<_> = remembered.collect();
    assert_eq!(remembered.len(), 2);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = backend.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    let _ = backend.take_calls();
    assert_eq!(backend.run_admin(&["app", "delete", app, "--yes"]).await.0, 0);
    let deletions: Vec<_> =
        backend.take_whole_calls().into_iter().filter(|call| call.operation == "DeleteItem").collect();
    assert!(deletions.last().unwrap().body.contains(r#""APP""#), "the record goes last");
    assert_eq!(items(&backend, app).await, [] as [String; 0]);

    // A crash left them, and an API key that nobody has a record of any more.
    for sk in remembered.iter().map(String::as_str).chain([format!("APIKEY#{}", "0".repeat(64)).as_str()]) {
        let update = backend.update_item(app, sk).update_expression("SET #name = :name");
        let update = update.expression_attribute_names("#name", "name");
        update.expression_attribute_values(":name", AttributeValue::S("left".to_owned())).send().await.unwrap();
    }
    let (code, _, errors) = backend.run_admin(&["app", "import", file.to_str().unwrap()]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(items(&backend, app).await.len(), 3, "the app and its two API keys");
    for (function, before) in ["post-app-secrets", "post-app-keys"].into_iter().zip(&written) {
        let (status, body) = post(&backend, function, app, key).await;
        assert_eq!(status, 201);
        assert_ne!(body, *before, "{function}: another app's result");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn create_with_id_deletes_what_crash_left() {
    let backend = Backend::start().await;
    let app = AppId::random().to_string();
    for sk in ["IDEMPOTENCY#x".to_owned(), format!("APIKEY#{}", "0".repeat(64))] {
        let update = backend.update_item(&app, &sk).update_expression("SET #name = :name");
        let update = update.expression_attribute_names("#name", "name");
        update.expression_attribute_values(":name", AttributeValue::S("left".to_owned())).send().await.unwrap();
    }
    assert_eq!(backend.run_admin(&["app", "create", "--name", "App", "--id", &app]).await.0, 0);
    assert_eq!(items(&backend, &app).await.len(), 3, "the app and its two API keys");
}

async fn assert_nothing_left_behind(backend: &Backend) {
    let (code, findings, _) = backend.run_admin(&["doctor", "--min-age", "0s"]).await;
    assert_eq!(code, 0, "{findings}");
}

/// The labels of the app's secret that name a version, with the version.
async fn current_version(backend: &Backend, app: &str) -> String {
    let name = format!("{SECRET_PREFIX}/apps/{app}/secret");
    let described = backend.secrets_manager().describe_secret().secret_id(name).send().await.unwrap();
    let versions = described.version_ids_to_stages.unwrap();
    let current = versions.into_iter().find(|(_, labels)| labels.iter().any(|label| label == "AWSCURRENT"));
    current.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_creates_make_one_app_and_no_orphan() {
    const PARALLEL: usize = 16;
    let backend = Backend::start().await;
    let app = AppId::random().to_string();
    let create = ["app", "create", "--name", "App", "--id", &app, "--if-not-exists"];
    let outcomes = join_all((0..PARALLEL).map(|_| backend.run_admin(&create))).await;
    let (first, mut issued) = (&outcomes[0].1, 0);
    for (code, created, errors) in &outcomes {
        assert_eq!((*code, errors.as_str()), (0, ""));
        for field in ["app", "secret", "signingKey"] {
            assert_eq!(created[field], first[field]);
        }
        issued += usize::from(created["apiKeys"][0]["value"].is_string());
    }
    assert_eq!(issued, 1, "one of them issued the API keys");
    assert_eq!(current_version(&backend, &app).await, first["secret"]["versionId"].as_str().unwrap());
    assert_nothing_left_behind(&backend).await;
}

/// The command does not see the app at first, and is then the slower one.
#[tokio::test(flavor = "multi_thread")]
async fn create_that_loses_shows_winner_and_cleans_up() {
    let backend = Backend::start().await;
    let app = AppId::random().to_string();
    let create = ["app", "create", "--name", "App", "--id", &app];
    let (_, won, _) = backend.run_admin(&create).await;
    for if_not_exists in [true, false] {
        hide_app_once(&backend);
        let arguments = [&create[..], if if_not_exists { &["--if-not-exists"] } else { &[] }].concat();
        let (code, shown, errors) = backend.run_admin(&arguments).await;
        if if_not_exists {
            assert_eq!((code, errors.as_str(), &shown["secret"]), (0, "", &won["secret"]));
        } else {
            assert!(code == 1 && errors.contains("there is an app"), "{errors}");
        }
        assert_eq!(current_version(&backend, &app).await, won["secret"]["versionId"].as_str().unwrap());
        assert_nothing_left_behind(&backend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_that_loses_passes_over_and_cleans_up() {
    let backend = Backend::start().await;
    let (_, won, _) = backend.run_admin(&["app", "create", "--name", "App"]).await;
    let app = won["app"]["uuid"].as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = backend.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    hide_app_once(&backend);
    let (code, imported, errors) =
        backend.run_admin(&["app", "import", file.to_str().unwrap(), "--if-not-exists"]).await;
    assert_eq!((code, errors.as_str(), &imported["apps"][0]["isImported"]), (0, "", &json!(false)));
    assert_eq!(current_version(&backend, app).await, won["secret"]["versionId"].as_str().unwrap());
    assert_nothing_left_behind(&backend).await;
}

fn hide_app_once(backend: &Backend) {
    let reads = AtomicUsize::new(0);
    backend.judge(move |call| match call.operation.as_str() {
        "BatchGetItem" if reads.fetch_add(1, Relaxed) == 0 => Fate::Answered(200, r#"{"Responses":{}}"#.to_owned()),
        _ => Fate::Forwarded,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_repeated_id_revokes_all_keys() {
    let backend = Backend::start().await;
    let (_, created, _) = backend.run_admin(&["app", "create", "--name", "App"]).await;
    let (app, id) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["uuid"].as_str().unwrap());
    let (keys, _) = backend.services().store.list_api_keys(app.parse().unwrap()).await.unwrap();
    for key in &keys {
        let update = backend.update_item(app, &format!("APIKEY#{}", key.hash.as_str()));
        let update = update.update_expression("SET #id = :id").expression_attribute_names("#id", "uuid");
        update.expression_attribute_values(":id", AttributeValue::S(id.to_owned())).send().await.unwrap();
    }
    let (code, found, _) = backend.run_admin(&["doctor"]).await;
    assert_eq!(
        (code, &found["findings"][0]["kind"], found["remaining"].as_u64()),
        (1, &json!("repeated-api-key-id"), Some(1))
    );
    let (code, _, errors) = backend.run_admin(&["api-key", "rotate", app, id]).await;
    assert!(code == 1 && errors.contains("several API keys"), "{errors}");
    assert_eq!(backend.run_admin(&["api-key", "revoke", app, id]).await.0, 0);
    let (keys, _) = backend.services().store.list_api_keys(app.parse().unwrap()).await.unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.revoked_at.is_some()), "{keys:?}");
    assert_nothing_left_behind(&backend).await;

    // The same in a file is refused.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    let exported = backend.admin(&["app", "export", "--app", app]).output().await.unwrap();
    std::fs::write(&file, &exported.stdout).unwrap();
    let (code, _, errors) = Backend::start().await.run_admin(&["app", "import", file.to_str().unwrap()]).await;
    assert!(code == 1 && errors.contains(&format!("API key {id} is there twice")), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_value_in_two_apps_is_found() {
    let backend = Backend::start().await;
    for _ in 0..2 {
        let (_, created, _) = backend.run_admin(&["app", "create", "--name", "App"]).await;
        let app = created["app"]["uuid"].as_str().unwrap().parse().unwrap();
        let services = backend.services();
        let kind = userdocks::domain::ApiKeyType::Read;
        let import = userdocks_admin::api_key::import(&services, app, kind, String::new(), "a-value-of-two-apps");
        Box::pin(import).await.unwrap();
    }
    let (code, found, _) = backend.run_admin(&["doctor"]).await;
    assert_eq!(
        (code, &found["findings"][0]["kind"], found["remaining"].as_u64()),
        (1, &json!("repeated-api-key"), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signing_key_id_twice_is_found() {
    let backend = Backend::start().await;
    let (_, created, _) = backend.run_admin(&["app", "create", "--name", "App"]).await;
    let app = created["app"]["uuid"].as_str().unwrap();
    let pem = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");
    let services = backend.services();
    userdocks_admin::signing_key::import(&services, app.parse().unwrap(), pem).await.unwrap();
    let update = backend.update_item(app, "APP").update_expression("SET signingKeys[0].#id = signingKeys[1].#id");
    update.expression_attribute_names("#id", "uuid").send().await.unwrap();
    let (code, found, _) = backend.run_admin(&["doctor"]).await;
    let kinds: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert!(code == 1 && kinds.contains(&&json!("repeated-signing-key-id")), "{found}");
}
