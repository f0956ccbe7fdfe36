//! What the template gives the functions, against what they were seen to need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use serde_json::{Value, json};
use userdocks::domain::App;
use userdocks_test_support::{
    backend::{Backend, Call, Fate, SECRET_PREFIX, TABLE},
    binary, command,
    contract::{FUNCTIONS, Fixture},
    function::{Function, environment},
    project,
};

/// What each function may do, as the template says: an action on a kind of resource, and under which conditions.
fn granted() -> BTreeMap<String, BTreeMap<String, Vec<Value>>> {
    let python = env::var("TRANSLATOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = command(python).arg(project().join("tests/template/permissions.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The permissions that a call needs, in the words of `permissions.py`. A transaction needs those of what is in it.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
fn needed(call: &Call) -> Vec<String> {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let on_the_table = |operation: &str, table: &Value| {
        assert_eq!(table, TABLE);
        format!("dynamodb:{operation} on the table")
    };
    match call.operation.as_str() {
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables.map(|table| on_the_table("BatchGetItem", &json!(table))).collect()
        }
        "UpdateItem" => vec![on_the_table("UpdateItem", &body["TableName"])],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
            items.map(|(operation, item)| on_the_table(&format!("{operation}Item"), &item["TableName"])).collect()
        }
        operation => {
            let name = body.get("SecretId").unwrap_or(&body["Name"]).as_str().unwrap();
            let of_an_app = name.strip_prefix(&format!("{SECRET_PREFIX}/apps/")).unwrap();
            let kind = match of_an_app.split('/').collect::<Vec<_>>()[..] {
                [_, "secret"] => "an app's secret",
                [_, "signing-keys", _] => "a private key",
                _ => panic!("what is {name}?"),
            };
            vec![format!("secretsmanager:{operation} on {kind}")]
        }
    }
}

/// The attributes that a function writes, by permission and by whether it is in a transaction.
type Writes = BTreeMap<(String, bool), BTreeSet<String>>;

/// The attributes of the table's items that calls write, or name in a condition.
fn seen_writes(calls: &[Call]) -> Writes {
    let mut seen = Writes::new();
    for call in calls {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        let writes: Vec<(&str, &Value)> = match call.operation.as_str() {
            "UpdateItem" => vec![("UpdateItem", &body)],
            "TransactWriteItems" => {
                let items = body["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
                items.map(|(operation, item)| (operation.as_str(), item)).collect()
            }
            _ => continue,
        };
        for (operation, write) in writes {
            let fields = |name: &str| write[name].as_object().into_iter().flatten();
            let of_items = fields("Key").chain(fields("Item")).map(|(name, _)| name.clone());
            let in_expressions = fields("ExpressionAttributeNames").map(|(_, name)| name.as_str().unwrap().to_owned());
            let is_in_transaction = call.operation != operation;
            let permission = format!("dynamodb:{}Item on the table", operation.trim_end_matches("Item"));
            seen.entry((permission, is_in_transaction)).or_default().extend(of_items.chain(in_expressions));
        }
    }
    seen
}

/// The same as the policies' conditions have it.
fn granted_writes(granted: &BTreeMap<String, Vec<Value>>) -> Writes {
    let mut writes = Writes::new();
    for (permission, conditions) in
        granted.iter().filter(|(words, _)| words.contains("PutItem") || words.contains("UpdateItem"))
    {
        for condition in conditions {
            let attributes = condition["ForAllValues:StringEquals"]["dynamodb:Attributes"].as_array().unwrap();
            let attributes = attributes.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            let enclosing = &condition["ForAnyValue:StringEquals"]["dynamodb:EnclosingOperation"];
            let before = writes.insert((permission.clone(), enclosing == "TransactWriteItems"), attributes);
            assert_eq!(before, None, "{permission}: one condition of each kind");
        }
    }
    writes
}

/// A write that changes the app's record in every way that the function can.
async fn real_change(name: &str, backend: &Backend) -> Value {
    match name {
        "put-app-key" => {
            let mut put = Fixture::named(name, "409-E4090-published-too-recently").json();
            put["body"] = json!({"state": "in_use", "force": true}).to_string().into();
            put
        }
        "delete-app-key" => {
            let mut revocation = Fixture::named(name, "409-E4090-in-use").json();
            revocation["queryStringParameters"] = json!({"force": "true"});
            revocation["rawQueryString"] = "force=true".into();
            revocation
        }
        "delete-previous-app-secret" => {
            let end = Fixture::success(name).json();
            let app = end["pathParameters"]["appId"].as_str().unwrap().parse().unwrap();
            Box::pin(userdocks_admin::secret::rotate(&backend.services(), app, App::DEFAULT_OVERLAP)).await.unwrap();
            let _ = backend.take_calls();
            end
        }
        _ => Fixture::success(name).json(),
    }
}

/// Everything that a function does: each fixture; a write under an `Idempotency-Key`, and the same again in another
/// process; and a secret's creation that was carried out but not answered.
async fn all_calls(name: &str) -> Vec<Call> {
    let backend = Backend::with_fixtures().await;
    let environment = environment(&backend);
    let mut function = Function::start(name, &environment).await;
    for fixture in Fixture::of(name) {
        function.invoke(&fixture.event).await;
    }
    let mut calls = backend.take_whole_calls();
    if !name.starts_with("get-") {
        let done = Fixture::success(name);
        let mut write = real_change(name, &backend).await;
        write["headers"]["idempotency-key"] = "again".into();
        for _ in 0..2 {
            let mut function = Function::start(name, &environment).await;
            let answer = function.invoke(&write.to_string()).await;
            assert_eq!(answer["statusCode"].to_string(), done.case[..3], "{name}: {answer}");
        }
        calls.extend(backend.take_whole_calls());

        let is_first = std::sync::atomic::AtomicBool::new(true);
        backend.judge(move |call| {
            let is_creation = call.operation == "CreateSecret";
            if is_creation && is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                Fate::Unanswered
            } else {
                Fate::Forwarded
            }
        });
        let answer = function.invoke(&done.event).await;
        assert_eq!(answer["statusCode"].to_string(), done.case[..3], "{name}");
        calls.extend(backend.take_whole_calls());
    }
    calls
}

/// Every action that the template grants was seen here: none is listed as an exception.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_do_what_it_was_seen_to_do_and_nothing_else() {
    let granted = granted();
    assert_eq!(granted.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(FUNCTIONS));
    let mut seen = BTreeMap::new();
    for name in FUNCTIONS {
        let calls = all_calls(name).await;
        for call in calls.iter().filter(|call| call.operation == "UpdateItem") {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            assert!(body.get("ReturnValues").is_none_or(|values| values == "NONE"));
        }
        for call in calls.iter().filter(|call| call.operation == "GetSecretValue") {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            assert!(body["VersionId"].is_string(), "{name}: what is read is named by its version");
        }
        seen.insert(name, (seen_writes(&calls), calls.iter().flat_map(needed).collect::<BTreeSet<_>>()));
    }
    for (name, (writes, _)) in &seen {
        assert_eq!(*writes, granted_writes(&granted[*name]), "{name}: attributes written, granted");
    }
    for (name, (_, permissions)) in &seen {
        assert_eq!(*permissions, granted[*name].keys().cloned().collect(), "{name}: seen, granted");
        println!("{name}: {} seen, {} granted", permissions.len(), granted[*name].len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_secrets_are_encrypted_with_the_key_that_the_environment_names() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/of-our-own";
    for (variable, expected) in [(None, Value::Null), (Some(""), Value::Null), (Some(key), json!(key))] {
        let backend = Backend::with_fixtures().await;
        let mut environment = environment(&backend);
        environment.extend(variable.map(|key| ("SECRETS_KMS_KEY_ID", key.to_owned())));
        let mut function = Function::start("post-app-keys", &environment).await;
        let answer = function.invoke(&Fixture::event("post-app-keys", "201-created")).await;
        assert_eq!(answer["statusCode"], 201);
        assert_eq!(keys_of_created_secrets(&backend), vec![expected.clone()], "post-app-keys, {variable:?}");

        let mut admin = Command::new(binary("userdocks-admin"));
        admin.args(["app", "create", "--name", "Test"]).env_clear().envs(environment);
        let created = tokio::task::spawn_blocking(move || admin.output().unwrap()).await.unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        assert_eq!(
            keys_of_created_secrets(&backend),
            vec![expected.clone(), expected],
            "userdocks-admin, {variable:?}"
        );
    }
}

fn keys_of_created_secrets(backend: &Backend) -> Vec<Value> {
    let calls = backend.take_whole_calls();
    let created = calls.iter().filter(|call| call.operation == "CreateSecret");
    created.map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["KmsKeyId"].take()).collect()
}
