//! `make run`: runs the API on this machine with demo data, until Ctrl-C.
//! `make logs`: with the argument `logs`, prints log lines from standard input as readable text.

mod api;
mod logs;
mod settings;

use std::{env, net::SocketAddr, process::ExitCode};

use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use userdocks::{
    api::Services,
    aws::{DynamoDb, Resources, SecretsManager},
    runtime::disable_core_dumps,
};
use userdocks_local::{
    LocalError,
    demo::{self, DemoApp},
    embedded, fixtures, private_file, sdk_config,
};

use crate::{
    api::Api,
    settings::{Settings, quoted, url},
};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match env::args().nth(1).as_deref() {
        None => run().await,
        Some("logs") => logs::show_standard_input(),
        Some(other) => Err(LocalError(format!("cannot use argument {other:?}: only `logs` is known"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("userdocks-local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), LocalError> {
    let settings = Settings::from_environment()?;
    disable_core_dumps().map_err(|error| LocalError::new("cannot turn off core dumps", error))?;
    api::find_cargo_lambda().await?;
    api::check_port(&settings).await?;
    private_file::create_folder(&settings.data_dir)?;
    start_services(&settings).await?;
    let demo = provision(&settings).await?;

    tokio::select! {
        result = api::build_functions() => result?,
        result = interrupted() => return result,
    }
    let mut api = Api::start(&settings)?;
    let ended = tokio::select! {
        result = serve(&settings, &demo) => result,
        error = api.ended() => Err(error),
        result = interrupted() => result,
    };
    api.stop().await;
    ended
}

/// Starts the embedded services, except those whose endpoint is set.
async fn start_services(settings: &Settings) -> Result<(), LocalError> {
    if let Some(address) = settings.dynamodb.embedded {
        let listener = bind(address, "DYNAMODB_PORT").await?;
        embedded::start_dynamodb(listener, &settings.data_dir.join("dynamodb.sqlite"))?;
    }
    if let Some(address) = settings.secrets_manager.embedded {
        let listener = bind(address, "SECRETS_MANAGER_PORT").await?;
        embedded::start_secrets_manager(listener, Some(settings.data_dir.join("secrets-manager.json"))).await?;
    }
    Ok(())
}

async fn bind(address: SocketAddr, variable: &str) -> Result<TcpListener, LocalError> {
    TcpListener::bind(address).await.map_err(|error| settings::cannot_listen(address, variable, &error))
}

async fn provision(settings: &Settings) -> Result<DemoApp, LocalError> {
    let sdk = |endpoint: &str| sdk_config(endpoint).map_err(|error| LocalError::new("cannot call AWS services", error));
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk(&settings.dynamodb.endpoint)?);
    let secrets_manager = aws_sdk_secretsmanager::Client::new(&sdk(&settings.secrets_manager.endpoint)?);
    let secret_prefix =
        settings.secret_prefix.parse().map_err(|error| LocalError::new("cannot use SECRET_PREFIX", error))?;
    let resources = Resources { table: settings.table.clone(), secret_prefix, secrets_kms_key: None };
    let secrets_manager = SecretsManager::from_sdk(secrets_manager, None);
    let services = Services::new(DynamoDb::from_sdk(dynamodb.clone(), None), secrets_manager, resources);
    services.store.create_table().await.map_err(|error| LocalError::new("cannot create the table", error))?;
    fixtures::provision(&services, &dynamodb, &settings.table).await?;
    demo::provision(&services, &settings.data_dir.join("demo-app.json")).await
}

/// Checks that the API responds, prints how to call it, and then waits forever.
async fn serve(settings: &Settings, demo: &DemoApp) -> Result<(), LocalError> {
    let headers = [("x-api-key", demo.read_key.as_str()), ("x-api-key-type", "read"), ("x-client-id", &demo.uuid)];
    for resource in ["secrets", "keys"] {
        api::check_response(settings, &format!("/api/v1/apps/{}/{resource}", demo.uuid), &headers).await?;
    }
    announce(settings, demo)?;
    std::future::pending().await
}

fn announce(settings: &Settings, demo: &DemoApp) -> Result<(), LocalError> {
    let environment = settings.data_dir.join("environment");
    private_file::replace(&environment, settings.script().as_bytes())?;

    let api = url(settings.api);
    println!("\nFetch the demo app's secret and public keys:\n");
    for resource in ["secrets", "keys"] {
        println!(
            "curl --noproxy '*' -i '{api}/api/v1/apps/{0}/{resource}' -H 'x-api-key: {1}' -H 'x-api-key-type: read' -H 'x-client-id: {0}'\n",
            demo.uuid, demo.read_key
        );
    }
    println!("Run an operator's command in another terminal:\n");
    let environment = quoted(&environment.to_string_lossy());
    println!(". {environment} && cargo run --quiet --package userdocks-admin -- app list\n");
    let ready = json!({
        "api": api,
        "dynamodb": settings.dynamodb.endpoint,
        "secretsManager": settings.secrets_manager.endpoint,
        "table": settings.table,
        "secretPrefix": settings.secret_prefix,
        "demoApp": demo,
    });
    println!("READY {ready}");
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> Result<(), LocalError> {
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|error| LocalError::new("cannot handle signals", error))?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map_err(|error| LocalError::new("cannot handle signals", error)),
        _ = terminated.recv() => Ok(()),
    }
}
