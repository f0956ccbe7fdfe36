//! Index items map an API key to its app. `doctor` examines them; exports and imports keep what they need.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{ApiKeyId, ApiKeyType, AppId};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{FakeAws, TABLE},
    function::Function,
};

use crate::commands::{assert_refused, id, run_with_input, text};

fn key_of_index(key: &TestKey) -> HashMap<String, AttributeValue> {
    let pk = format!("APIKEY#{}", key.record.hash.as_str());
    [("pk", pk), ("sk", "APIKEY".to_owned())].map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into()
}

async fn delete_index(aws: &FakeAws, key: &TestKey) {
    let delete = aws.dynamodb().delete_item().table_name(TABLE).set_key(Some(key_of_index(key)));
    delete.send().await.unwrap();
}

async fn put_index(aws: &FakeAws, key: &TestKey, attributes: &[(&str, AttributeValue)]) {
    let mut item = key_of_index(key);
    item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    aws.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

fn text_attribute(text: &impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

/// Runs `doctor`. Returns each finding's kind and app, and whether it is repaired.
async fn doctor(aws: &FakeAws, arguments: &[&str]) -> Vec<(String, String, bool)> {
    let (_, printed, _) = aws.run_admin(&[&["doctor", "--min-age", "0s"], arguments].concat()).await;
    let field = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let mut findings: Vec<_> = printed["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (field(finding, "kind"), field(finding, "app"), finding["isRepaired"] == true))
        .collect();
    findings.sort();
    findings
}

fn finding(kind: &str, app: &impl ToString, is_repaired: bool) -> (String, String, bool) {
    (kind.to_owned(), app.to_string(), is_repaired)
}

async fn find(aws: &FakeAws, key: &TestKey) -> Option<Value> {
    let output = run_with_input(aws, &["api-key", "find"], key.value.expose().as_bytes()).await;
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_index_items_are_written() {
    let aws = FakeAws::start().await;
    let ended = [TestKey::new(ApiKeyType::Write).revoked(), TestKey::new(ApiKeyType::Read).revoked()];
    let app = TestApp::builder().keys(ended.clone()).create(&aws.services()).await;
    for key in [&app.read, &app.write].into_iter().chain(&ended) {
        delete_index(&aws, key).await;
    }
    let app_id = app.id().to_string();
    for arguments in [&[][..], &["--app", &app_id]] {
        assert_eq!(doctor(&aws, arguments).await, vec![finding("index-item-missing", &app.id(), false); 2]);
    }
    assert!(find(&aws, &app.read).await.is_none());
    assert_eq!(doctor(&aws, &["--repair"]).await, vec![finding("index-item-missing", &app.id(), true); 2]);
    assert_eq!(doctor(&aws, &[]).await, []);
    for key in [&app.read, &app.write] {
        assert_eq!(id(&find(&aws, key).await.unwrap()["app"]), app_id);
    }
}

/// Earlier versions let two apps have the same key.
#[tokio::test(flavor = "multi_thread")]
async fn key_of_two_apps_is_reported() {
    let aws = FakeAws::start().await;
    let key = TestKey::imported("a key of two apps", ApiKeyType::Read);
    let mut apps = Vec::new();
    for _ in 0..2 {
        let key = TestKey::imported(key.value.expose(), ApiKeyType::Read);
        let app = TestApp::builder().keys([key.clone()]).create(&aws.services()).await;
        apps.push((app.id().to_string(), key.record.id.to_string()));
        delete_index(&aws, &key).await;
    }
    let kinds = |findings: &[(String, String, bool)]| {
        findings.iter().map(|(kind, _, is_repaired)| (kind.clone(), *is_repaired)).collect::<Vec<_>>()
    };
    let repeated = ("repeated-api-key".to_owned(), false);
    assert_eq!(kinds(&doctor(&aws, &[]).await), [("index-item-missing".to_owned(), false), repeated.clone()]);
    assert_eq!(kinds(&doctor(&aws, &["--repair"]).await), [("index-item-missing".to_owned(), true), repeated]);
    let found = find(&aws, &key).await.unwrap();
    let (other, other_key) = apps.iter().find(|(app, _)| app != id(&found["app"])).unwrap();
    for arguments in [&[][..], &["--app", other], &["--repair"]] {
        assert_eq!(doctor(&aws, arguments).await, [finding("repeated-api-key", &other, false)]);
    }
    let (_, printed, _) = aws.run_admin(&["doctor"]).await;
    assert!(printed["findings"][0]["detail"].as_str().unwrap().contains(id(&found["app"])), "{printed}");
    aws.admin_json(&["api-key", "revoke", other, other_key]).await;
    assert_eq!(doctor(&aws, &[]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn index_item_of_other_app_is_replaced() {
    let aws = FakeAws::start().await;
    let (app, other) = (TestApp::create(&aws.services()).await, TestApp::create(&aws.services()).await);
    put_index(&aws, &app.read, &[("app", text_attribute(&other.id()))]).await;
    assert!(find(&aws, &app.read).await.is_none());
    let app_id = app.id().to_string();
    assert_eq!(doctor(&aws, &["--app", &app_id]).await, [finding("index-item-of-other-app", &app.id(), false)]);
    let repaired = doctor(&aws, &["--app", &app_id, "--repair"]).await;
    assert_eq!(repaired, [finding("index-item-of-other-app", &app.id(), true)]);
    assert_eq!(id(&find(&aws, &app.read).await.unwrap()["app"]), app_id);
    assert_eq!(doctor(&aws, &[]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn index_item_without_key_is_deleted() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let app_id = app.id().to_string();
    let deleted = AppId::random();
    let key = TestKey::imported("a key that is gone", ApiKeyType::Read);
    let past = AttributeValue::N("1".to_owned());
    put_index(&aws, &key, &[("app", text_attribute(&deleted)), ("ttl", past)]).await;
    assert_eq!(doctor(&aws, &[]).await, [], "DynamoDB deletes the expired item");
    put_index(&aws, &key, &[("app", text_attribute(&deleted))]).await;
    assert_eq!(doctor(&aws, &[]).await, [finding("index-item-without-api-key", &deleted, false)]);
    let import = ["api-key", "import", &app_id, "--type", "read"];
    assert_refused(&run_with_input(&aws, &import, key.value.expose().as_bytes()).await, "`doctor --repair`");
    assert_eq!(doctor(&aws, &["--repair"]).await, [finding("index-item-without-api-key", &deleted, true)]);
    assert!(run_with_input(&aws, &import, key.value.expose().as_bytes()).await.status.success());
    assert_eq!(doctor(&aws, &[]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_index_item_is_reported_once() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    put_index(&aws, &app.read, &[("app", AttributeValue::Bool(true))]).await;
    let app_id = app.id().to_string();
    for arguments in [&[][..], &["--app", &app_id], &["--repair"]] {
        assert_eq!(doctor(&aws, arguments).await, [finding("corrupt-item", &"", false)]);
    }
    let output = run_with_input(&aws, &["api-key", "find"], app.read.value.expose().as_bytes()).await;
    assert_refused(&output, "attribute app is not a string");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_and_its_index_item_expire_together() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let other = TestKey::new(ApiKeyType::Read);
    aws.services().store.add_api_key(app.id(), &other.record).await.unwrap();
    let mut function = Function::start("delete-app-api-key", &aws.environment()).await;
    let response = function.invoke(&app.event("delete-app-api-key").api_key(app.read.record.id)).await;
    assert_eq!(response["statusCode"], 200);
    let (status, ..) = aws.run_admin(&["api-key", "revoke", &app.id().to_string(), &other.record.id.to_string()]).await;
    assert_eq!(status, 0);
    let (revoked, _) = aws.services().store.list_api_keys(app.id()).await.unwrap();
    for key in [&app.read, &other] {
        let record = revoked.iter().find(|record| record.id == key.record.id).unwrap();
        let expiry = record.deletable_at().unwrap().seconds_since_epoch().to_string();
        let index = aws.dynamodb().get_item().table_name(TABLE).set_key(Some(key_of_index(key)));
        assert_eq!(index.send().await.unwrap().item.unwrap()["ttl"], AttributeValue::N(expiry));
    }
}

/// Returns the line of an exported app.
async fn exported(aws: &FakeAws, app: &TestApp) -> Value {
    let output = aws.admin(&["app", "export", "--app", &app.id().to_string()]).output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn import(aws: &FakeAws, line: &Value) -> std::process::Output {
    run_with_input(aws, &["app", "import", "-"], line.to_string().as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn export_keeps_allow_list_lineage_and_lifetime() {
    let (source, target) = (FakeAws::start().await, FakeAws::start().await);
    let app = TestApp::create(&source.services()).await;
    let app_id = app.id().to_string();
    let issue = ["api-key", "issue", &app_id, "--type", "read", "--expires-in", "1h", "--allow-cidr", "10.0.0.0/8"];
    source.admin_json(&issue).await;
    let creator = ApiKeyId::random().to_string();
    let update = source.update_item(app.id(), &format!("APIKEY#{}", app.read.record.hash.as_str()));
    let update =
        update.update_expression("SET issuedBy = :id").expression_attribute_values(":id", text_attribute(&creator));
    update.send().await.unwrap();

    let line = exported(&source, &app).await;
    assert_eq!(line["format"], 2);
    let has = |field: &str, value: Value| line["apiKeys"].as_array().unwrap().iter().any(|key| key[field] == value);
    assert!(has("allowedCidrs", json!(["10.0.0.0/8"])) && has("lifetimeSeconds", json!(3600)), "{line}");
    assert!(has("issuedBy", json!(creator)) && has("lifetimeSeconds", Value::Null), "{line}");
    let imported = import(&target, &line).await;
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert_eq!(exported(&target, &app).await, line);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_of_earlier_version_is_imported() {
    let (source, target) = (FakeAws::start().await, FakeAws::start().await);
    let app = TestApp::create(&source.services()).await;
    let app_id = app.id().to_string();
    let issue = ["api-key", "issue", &app_id, "--type", "read", "--expires-in", "1h"];
    let limited = source.admin_json(&issue).await["apiKey"]["uuid"].clone();
    let mut line = exported(&source, &app).await;
    line["format"] = json!(1);
    for key in line["apiKeys"].as_array_mut().unwrap() {
        let key = key.as_object_mut().unwrap();
        for field in ["lifetimeSeconds", "issuedBy", "allowedCidrs"] {
            assert!(key.remove(field).is_some());
        }
    }
    assert!(import(&target, &line).await.status.success());
    let imported = exported(&target, &app).await;
    for key in imported["apiKeys"].as_array().unwrap() {
        let lifetime = if key["uuid"] == limited { json!(3600) } else { Value::Null };
        assert_eq!((&key["lifetimeSeconds"], &key["allowedCidrs"]), (&lifetime, &json!([])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_of_other_apps_key_is_refused() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await;
    let mut line = exported(&aws, &app).await;
    line["uuid"] = json!(AppId::random().to_string());
    let refused = import(&aws, &line).await;
    assert_refused(&refused, &format!("app {} has an API key of this value", app.id()));
    assert_refused(&refused, "nothing was imported");
    let (_, listed, _) = aws.run_admin(&["app", "list"]).await;
    assert_eq!(listed["apps"].as_array().unwrap().len(), 1);
    assert_eq!(doctor(&aws, &[]).await, []);
}
