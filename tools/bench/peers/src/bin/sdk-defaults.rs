//! The same handlers on the SDK's defaults: `ROUTE=get-app-keys` or `ROUTE=get-app-secrets`.

use std::{env, sync::Arc};

use aws_config::BehaviorVersion;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;
use userdocks::{
    http::{Failure, Request, Response},
    runtime::{Function, Names, Route, Services},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let names = Names { table: env::var("TABLE_NAME")?, secret_prefix: env::var("SECRET_PREFIX")?.parse()? };
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
    let services = Services::new(dynamodb, aws_sdk_secretsmanager::Client::new(&sdk), names);
    match env::var("ROUTE")?.as_str() {
        "get-app-keys" => serve(get_app_keys::ROUTE, get_app_keys::handle, services).await,
        _ => serve(get_app_secrets::ROUTE, get_app_secrets::handle, services).await,
    }
}

async fn serve<H, F>(route: Route, handler: H, services: Services) -> Result<(), Error>
where
    H: Fn(Arc<Request>, Arc<Services>) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    let function = Function::new(route, handler, services);
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        Ok::<_, Error>(function.respond(event.payload.get(), &event.context.request_id).await)
    }))
    .await
}
