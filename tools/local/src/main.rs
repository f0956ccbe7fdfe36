//! `make run`: everything up on this machine, with data to try, until Ctrl-C.
//! With the argument `logs`, `make logs`: the log lines on standard input, for people.

mod api;
mod logs;
mod settings;

use std::{env, fs, net::SocketAddr, os::unix::fs::DirBuilderExt, process::ExitCode};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use serde_json::json;
use shared::runtime::{Names, Services};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use userdocks_local::{
    LocalError,
    demo::{self, DemoApp},
    embedded, fixtures,
};

use crate::{
    api::Api,
    settings::{Settings, url},
};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match env::args().nth(1).as_deref() {
        None => run().await,
        Some("logs") => logs::show_standard_input(),
        Some(other) => Err(LocalError::new("no such argument", other)),
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
    api::find_cargo_lambda().await?;
    api::check_port(&settings).await?;
    make_data_folder(&settings)?;
    start_backends(&settings).await?;
    // Boxed, because the compiler gives up on nesting the SDK's futures any deeper.
    let demo = Box::pin(provision(&settings)).await?;

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

fn make_data_folder(settings: &Settings) -> Result<(), LocalError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.data_dir);
    made.map_err(|error| LocalError::new(format_args!("{} can't be made", settings.data_dir.display()), error))
}

/// Starts the embedded service for each that no endpoint was named for.
async fn start_backends(settings: &Settings) -> Result<(), LocalError> {
    if let Some(address) = settings.dynamodb.embedded {
        let listener = bind(address, "DYNAMODB_PORT").await?;
        embedded::start_dynamodb(listener, Some(&settings.data_dir.join("dynamodb.sqlite")))?;
    }
    if let Some(address) = settings.secrets_manager.embedded {
        let listener = bind(address, "SECRETS_MANAGER_PORT").await?;
        embedded::start_secrets_manager(listener, Some(settings.data_dir.join("secrets-manager.json"))).await?;
    }
    Ok(())
}

async fn bind(address: SocketAddr, variable: &str) -> Result<TcpListener, LocalError> {
    TcpListener::bind(address).await.map_err(|error| settings::unusable(address, variable, &error))
}

async fn provision(settings: &Settings) -> Result<DemoApp, LocalError> {
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(settings::REGION))
        .credentials_provider(Credentials::new(settings::CREDENTIALS, settings::CREDENTIALS, None, None, "local"))
        .load()
        .await;
    let at = |endpoint: &str| -> SdkConfig { sdk.to_builder().endpoint_url(endpoint).build() };
    let dynamodb = aws_sdk_dynamodb::Client::new(&at(&settings.dynamodb.endpoint));
    let secrets_manager = aws_sdk_secretsmanager::Client::new(&at(&settings.secrets_manager.endpoint));
    let secret_prefix = settings.secret_prefix.parse().map_err(|error| LocalError::new("SECRET_PREFIX", error))?;
    let names = Names { table: settings.table.clone(), secret_prefix };
    let services = Services::new(dynamodb.clone(), secrets_manager, names);
    services.store.create_table().await.map_err(|error| LocalError::new("the table can't be made", error))?;
    fixtures::provision(&services, &dynamodb, &settings.table).await?;
    demo::provision(&services, &settings.data_dir.join("demo-app.json")).await
}

/// Waits until the API answers, says how to call it, and never ends by itself.
async fn serve(settings: &Settings, demo: &DemoApp) -> Result<(), LocalError> {
    let headers = [("x-api-key", demo.read_key.as_str()), ("x-api-key-type", "read"), ("x-client-id", &demo.uuid)];
    for resource in ["secrets", "keys"] {
        api::answers(settings, &format!("/api/v1/apps/{}/{resource}", demo.uuid), &headers).await?;
    }
    announce(settings, demo)?;
    std::future::pending().await
}

fn announce(settings: &Settings, demo: &DemoApp) -> Result<(), LocalError> {
    let environment = settings.data_dir.join("environment");
    let exports = settings.client_environment().map(|(name, value)| format!("export {name}='{value}'\n")).concat();
    embedded::write_private(&environment, exports.as_bytes())?;

    let api = url(settings.api);
    println!("\nThe demo app's secret and its public keys:\n");
    for resource in ["secrets", "keys"] {
        println!(
            "curl -i '{api}/api/v1/apps/{0}/{resource}' -H 'x-api-key: {1}' -H 'x-api-key-type: read' -H 'x-client-id: {0}'\n",
            demo.uuid, demo.read_key
        );
    }
    println!("The operator's commands, in another terminal:\n");
    println!(". '{}' && cargo run --quiet --package userdocks-admin -- app list\n", environment.display());
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

/// Returns at Ctrl-C or when asked to end.
async fn interrupted() -> Result<(), LocalError> {
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|error| LocalError::new("signals can't be handled", error))?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map_err(|error| LocalError::new("signals can't be handled", error)),
        _ = terminated.recv() => Ok(()),
    }
}
