//! The functions' handlers with the SDK's defaults. `ROUTE` is `get-app-keys` or `get-app-secrets`.

use std::{env, sync::Arc};

use aws_config::BehaviorVersion;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;
use userdocks::{
    api::{Context, Failure, Route, Services},
    aws::{DynamoDb, Resources, SecretsManager},
    http::Response,
    runtime::Function,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let (table, secret_prefix) = (env::var("TABLE_NAME")?, env::var("SECRET_PREFIX")?.parse()?);
    let resources = Resources { table, secret_prefix, secrets_kms_key: None };
    let dynamodb = DynamoDb::from_sdk(aws_sdk_dynamodb::Client::new(&sdk), None);
    let secrets_manager = SecretsManager::from_sdk(aws_sdk_secretsmanager::Client::new(&sdk), None);
    let services = Services::new(dynamodb, secrets_manager, resources);
    match env::var("ROUTE")?.as_str() {
        "get-app-keys" => serve(get_app_keys::ROUTE, get_app_keys::handle, services).await,
        _ => serve(get_app_secrets::ROUTE, get_app_secrets::handle, services).await,
    }
}

async fn serve<H, F>(route: Route, handler: H, services: Services) -> Result<(), Error>
where
    H: Fn(Arc<Context>) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    let function = Function::new(route, handler, services);
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        Ok::<_, Error>(function.respond(event.payload.get(), &event.context.request_id).await)
    }))
    .await
}
