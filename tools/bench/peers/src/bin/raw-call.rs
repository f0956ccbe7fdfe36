//! A handler that makes the one call of `get-app-keys`, with the same client, and nothing else.

use std::{env, sync::Arc};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json, value::RawValue};
use shared::runtime::{Clients, Environment};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = Clients::new(&Environment::of_process()?)?;
    let call = Arc::new(Call {
        dynamodb: clients.dynamodb(),
        table: env::var("TABLE_NAME")?,
        pk: env::var("BENCH_PK")?,
        api_key: env::var("BENCH_API_KEY_SK")?,
    });
    run(service_fn(|_: LambdaEvent<Box<RawValue>>| Arc::clone(&call).respond())).await
}

struct Call {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
    pk: String,
    api_key: String,
}

impl Call {
    async fn respond(self: Arc<Self>) -> Result<Value, Error> {
        let key = |sk: &str| {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            [("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(sk))].into()
        };
        let wanted =
            KeysAndAttributes::builder().keys(key("APP")).keys(key(&self.api_key)).consistent_read(true).build()?;
        let answer = self.dynamodb.batch_get_item().request_items(&self.table, wanted).send().await?;
        let found = answer.responses.unwrap_or_default().into_values().flatten().count();
        Ok(json!({"statusCode": 200, "body": found.to_string()}))
    }
}
