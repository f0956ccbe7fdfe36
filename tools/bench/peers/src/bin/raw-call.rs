//! A handler that only makes the DynamoDB call of `get-app-keys`, with the same client.

use std::{env, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json, value::RawValue};
use userdocks::aws::{Clients, Configuration, SignedCalls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = Clients::new(&Configuration::from_environment()?)?;
    let dynamodb = clients
        .signed_dynamodb()
        .ok_or("cannot sign calls: AWS_ENDPOINT_URL_DYNAMODB or the credentials are missing")?;
    let (table, pk, api_key) = (env::var("TABLE_NAME")?, env::var("BENCH_PK")?, env::var("BENCH_API_KEY_SK")?);
    let keys = ["APP", &api_key].map(|sk| json!({"pk": {"S": pk}, "sk": {"S": sk}}));
    let request = json!({"RequestItems": {table: {"Keys": keys, "ConsistentRead": true}}}).to_string();
    let call = Arc::new((dynamodb, request));
    run(service_fn(|_: LambdaEvent<Box<RawValue>>| respond(Arc::clone(&call)))).await
}

async fn respond(call: Arc<(SignedCalls, String)>) -> Result<Value, Error> {
    let (dynamodb, request) = &*call;
    let response: Value = serde_json::from_slice(&dynamodb.call("BatchGetItem", request).await?)?;
    let found = response["Responses"].as_object().map_or(0, |tables| tables.len());
    Ok(json!({"statusCode": 200, "body": found.to_string()}))
}
