//! `get-app-keys` with the SDK's calls in the place of the signed ones. All else is the same.

use std::{convert::Infallible, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::value::RawValue;
use userdocks::{
    api::Services,
    aws::{Clients, Configuration, DynamoDb, SecretsManager},
    runtime::{Function, start_logs},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logs("sdk_reads");
    let configuration = Configuration::from_environment()?;
    let clients = Clients::new(&configuration)?;
    let dynamodb = DynamoDb::from_sdk(clients.dynamodb().client().clone(), None);
    let secrets_manager = SecretsManager::from_sdk(clients.secrets_manager().client().clone(), None);
    let services = Services::new(dynamodb, secrets_manager, configuration.resources);
    let function = Arc::new(Function::new(get_app_keys::ROUTE, get_app_keys::handle, services));
    function.warm_up().await;
    run_concurrent(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move { Ok::<_, Infallible>(function.respond(event.payload.get(), &event.context.request_id).await) }
    }))
    .await
}
