//! The permissions in the template are the ones that the functions use.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use serde_json::{Value, json};
use userdocks_test_support::{
    aws::{Call, FakeAws, Reply, SECRET_PREFIX, TABLE},
    binary, command,
    contract::{FUNCTIONS, Fixture},
    event::Event,
    function::Function,
    project,
};

/// Returns the permissions of each function in the template: actions on kinds of resources, with their conditions.
fn granted() -> BTreeMap<String, BTreeMap<String, Vec<Value>>> {
    let python = env::var("TRANSLATOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = command(python).arg(project().join("tests/template/permissions.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the permissions that a call needs, in the words of `permissions.py`. A transaction needs those of its
/// actions.
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
        operation @ ("Query" | "UpdateItem") => vec![on_the_table(operation, &body["TableName"])],
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
                _ => panic!("unknown secret {name}"),
            };
            vec![format!("secretsmanager:{operation} on {kind}")]
        }
    }
}

/// The attributes that a function writes, by permission and by whether it is in a transaction.
type Writes = BTreeMap<(String, bool), BTreeSet<String>>;

/// Returns the attributes of the table's items that calls write, or name in a condition.
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

/// Returns the attributes that the policies' conditions allow.
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

/// Returns a write that changes the app's record in every way that the function can.
async fn real_change(name: &str, aws: &FakeAws) -> Event {
    match name {
        "put-app-key" => {
            let put = Fixture::named(name, "409-E4090-published-too-recently").to_event();
            put.body(json!({"state": "in_use", "force": true}))
        }
        "delete-app-key" => Fixture::named(name, "409-E4090-in-use").to_event().query("force", "true"),
        "delete-previous-app-secret" => {
            let end = Fixture::success(name);
            aws.admin_json(&["secret", "rotate", end.json()["pathParameters"]["appId"].as_str().unwrap()]).await;
            let _ = aws.take_calls();
            end.to_event()
        }
        _ => Fixture::success(name).to_event(),
    }
}

/// Returns all calls of a function: for each fixture, and for a write with an `Idempotency-Key` and its replay in
/// another process. Includes the calls after a secret's creation whose response was lost.
async fn all_calls(name: &str) -> Vec<Call> {
    let aws = FakeAws::with_fixtures().await;
    let environment = aws.environment();
    let mut function = Function::start(name, &environment).await;
    for fixture in Fixture::of(name) {
        function.invoke(&fixture.event).await;
    }
    let mut calls = aws.take_calls();
    if !name.starts_with("get-") {
        let done = Fixture::success(name);
        let write = real_change(name, &aws).await.idempotency_key("again");
        for _ in 0..2 {
            let mut function = Function::start(name, &environment).await;
            let response = function.invoke(&write.to_string()).await;
            assert_eq!(response["statusCode"].to_string(), done.case[..3], "{name}: {response}");
        }
        calls.extend(aws.take_calls());

        let is_first = std::sync::atomic::AtomicBool::new(true);
        aws.intercept(move |call| {
            let is_creation = call.operation == "CreateSecret";
            if is_creation && is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                Reply::Lose
            } else {
                Reply::Forward
            }
        });
        let response = function.invoke(&done.event).await;
        assert_eq!(response["statusCode"].to_string(), done.case[..3], "{name}");
        calls.extend(aws.take_calls());
    }
    calls
}

/// Every granted action is seen in use; there is no list of exceptions.
#[tokio::test(flavor = "multi_thread")]
async fn function_has_permissions_that_it_uses_and_no_other() {
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
            assert!(body["VersionId"].is_string(), "{name}: a secret is read by its version");
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
async fn new_secrets_are_encrypted_with_key_of_environment() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/of-our-own";
    for (variable, expected) in [(None, Value::Null), (Some(""), Value::Null), (Some(key), json!(key))] {
        let aws = FakeAws::with_fixtures().await;
        let mut environment = aws.environment();
        if let Some(key) = variable {
            environment = environment.with("SECRETS_KMS_KEY_ID", key);
        }
        let mut function = Function::start("post-app-keys", &environment).await;
        let response = function.invoke(&Fixture::event("post-app-keys", "201-created")).await;
        assert_eq!(response["statusCode"], 201);
        assert_eq!(keys_of_created_secrets(&aws), vec![expected.clone()], "post-app-keys, {variable:?}");

        let mut admin = Command::new(binary("userdocks-admin"));
        admin.args(["app", "create", "--name", "Test"]).env_clear().envs(environment.variables());
        let created = tokio::task::spawn_blocking(move || admin.output().unwrap()).await.unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        assert_eq!(keys_of_created_secrets(&aws), vec![expected.clone(), expected], "userdocks-admin, {variable:?}");
    }
}

fn keys_of_created_secrets(aws: &FakeAws) -> Vec<Value> {
    let calls = aws.take_calls();
    let created = calls.iter().filter(|call| call.operation == "CreateSecret");
    created.map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["KmsKeyId"].take()).collect()
}
