//! A handler that only makes the AWS calls of `get-app-keys` or, if `ROUTE` says so, of `get-app-secrets`, with the same
//! client.

use std::{env, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::OnceCell;
use userdocks::aws::{Clients, Configuration, SecretsManager, SignedCalls};

struct Calls {
    dynamodb: SignedCalls,
    batch_get_item: String,
    secret: Option<Secret>,
}

/// A version of a secret, which is read once.
struct Secret {
    secrets_manager: SecretsManager,
    name: String,
    version: String,
    value: OnceCell<()>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = Clients::new(&Configuration::from_environment()?)?;
    let dynamodb = clients
        .signed_dynamodb()
        .ok_or("cannot sign calls: AWS_ENDPOINT_URL_DYNAMODB or the credentials are missing")?;
    let (table, pk, api_key) = (env::var("TABLE_NAME")?, env::var("BENCH_PK")?, env::var("BENCH_API_KEY_SK")?);
    let keys = ["APP", &api_key].map(|sk| json!({"pk": {"S": pk}, "sk": {"S": sk}}));
    let batch_get_item = json!({"RequestItems": {table: {"Keys": keys, "ConsistentRead": true}}}).to_string();
    let secret = if env::var("ROUTE")? == "get-app-secrets" {
        let (name, version) = (env::var("BENCH_SECRET")?, env::var("BENCH_SECRET_VERSION")?);
        Some(Secret { secrets_manager: clients.secrets_manager(), name, version, value: OnceCell::new() })
    } else {
        None
    };
    let calls = Arc::new(Calls { dynamodb, batch_get_item, secret });
    run(service_fn(|_: LambdaEvent<Box<RawValue>>| respond(Arc::clone(&calls)))).await
}

async fn respond(calls: Arc<Calls>) -> Result<Value, Error> {
    let response = calls.dynamodb.call("BatchGetItem", &calls.batch_get_item).await?;
    let response: Value = serde_json::from_slice(&response)?;
    if let Some(Secret { secrets_manager, name, version, value }) = &calls.secret {
        let read = async || secrets_manager.get_secret_value(name, version).await.map(drop);
        value.get_or_try_init(read).await?;
    }
    let found = response["Responses"].as_object().map_or(0, |tables| tables.len());
    Ok(json!({"statusCode": 200, "body": found.to_string()}))
}
