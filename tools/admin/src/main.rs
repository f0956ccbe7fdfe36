//! `userdocks-admin`: the operator's command line, for AWS and for the local stack alike.

mod arguments;
mod endpoints;
mod output;

use std::{
    io::{IsTerminal, Read},
    process::ExitCode,
};

use aws_config::BehaviorVersion;
use clap::Parser;
use shared::{
    domain::Secret,
    runtime::{Names, Services},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};
use userdocks_admin::{AdminError, Answer, api_key, app, doctor, secret, signing_key, table, transfer};

use crate::{
    arguments::{ApiKeyCommand, AppCommand, Arguments, Command, SecretCommand, SigningKeyCommand, TableCommand},
    output::Output,
};

/// The module of the SDK that reads the configured endpoints.
const SDK_ENDPOINTS: &str = "aws_config::default_provider::endpoint_url";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish()
        // The SDK's warning shows a malformed endpoint, which may hold a password; ours names its setting only.
        .with(Targets::new().with_default(LevelFilter::WARN).with_target(SDK_ENDPOINTS, LevelFilter::OFF))
        .init();
    let mut output = Output::new(arguments.output);
    let outcome = run(arguments, &mut output).await;
    match outcome.and_then(|answer| output.finish(&answer.value).map(|()| answer)) {
        Ok(answer) => {
            for problem in &answer.problems {
                eprintln!("userdocks-admin: {problem}");
            }
            if answer.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("userdocks-admin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, output: &mut Output) -> Result<Answer, AdminError> {
    endpoints::check_variables()?;
    let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let dynamodb_endpoint = endpoints::check_sdk(&sdk)?;
    if sdk.region().is_none() {
        return Err(AdminError::NoRegion);
    }
    let names = Names { table: arguments.table, secret_prefix: arguments.secret_prefix };
    let (dynamodb, secrets_manager) = (aws_sdk_dynamodb::Client::new(&sdk), aws_sdk_secretsmanager::Client::new(&sdk));
    let mut services = Services::new(dynamodb, secrets_manager, names);
    services.store = services.store.with_endpoint(dynamodb_endpoint);
    let kms_key = Some(arguments.kms_key).filter(|key| !key.is_empty());
    services.secrets = services.secrets.with_kms_key(kms_key);
    // Boxed, because the compiler gives up on nesting the SDK's futures any deeper.
    match arguments.command {
        Command::Table(command) => Box::pin(run_table(command, &services)).await,
        Command::App(command) => Box::pin(run_app(command, &services, output)).await,
        Command::ApiKey(command) => Box::pin(run_api_key(command, &services)).await,
        Command::Secret(command) => Box::pin(run_secret(command, &services)).await,
        Command::SigningKey(command) => Box::pin(run_signing_key(command, &services)).await,
        Command::Doctor { app, repair, min_age } => {
            doctor::examine(&services, app, min_age, repair, &mut output.rows("findings")).await
        }
    }
}

async fn run_table(command: TableCommand, services: &Services) -> Result<Answer, AdminError> {
    match command {
        TableCommand::Create { if_not_exists } => table::create(services, if_not_exists).await,
    }
}

async fn run_app(command: AppCommand, services: &Services, output: &mut Output) -> Result<Answer, AdminError> {
    match command {
        AppCommand::Create { name, id, if_not_exists } => {
            say_that_it_takes_a_while();
            app::create(services, id, name, if_not_exists).await
        }
        AppCommand::List { limit, after } => app::list(services, limit, after, &mut output.rows("apps")).await,
        AppCommand::Show { id } => app::show(services, id).await,
        AppCommand::Disable { id } => app::set_disabled(services, id, true).await,
        AppCommand::Enable { id } => app::set_disabled(services, id, false).await,
        AppCommand::Delete { id, yes: _ } => app::delete(services, id).await,
        AppCommand::Export { app, all: _ } => transfer::export(services, app, &mut output.lines()).await,
        AppCommand::Import { file, if_not_exists } => {
            transfer::import(services, &file, if_not_exists, &mut output.rows("apps")).await
        }
    }
}

async fn run_api_key(command: ApiKeyCommand, services: &Services) -> Result<Answer, AdminError> {
    match command {
        ApiKeyCommand::Issue { app, kind, name, expires_in } => {
            api_key::issue(services, app, kind, name, expires_in).await
        }
        ApiKeyCommand::Import { app, kind, name } => {
            api_key::import(services, app, kind, name, standard_input()?.expose()).await
        }
        ApiKeyCommand::List { app } => api_key::list(services, app).await,
        ApiKeyCommand::Rotate { app, key, overlap, expires_in } => {
            api_key::rotate(services, app, key, overlap, expires_in).await
        }
        ApiKeyCommand::Revoke { app, key } => api_key::revoke(services, app, key).await,
    }
}

async fn run_secret(command: SecretCommand, services: &Services) -> Result<Answer, AdminError> {
    match command {
        SecretCommand::Set { app, overlap } => secret::set(services, app, &standard_input()?, overlap).await,
        SecretCommand::Rotate { app, overlap } => secret::rotate(services, app, overlap).await,
        SecretCommand::EndOverlap { app } => secret::end_overlap(services, app).await,
    }
}

async fn run_signing_key(command: SigningKeyCommand, services: &Services) -> Result<Answer, AdminError> {
    match command {
        SigningKeyCommand::List { app } => signing_key::list(services, app).await,
        SigningKeyCommand::Import { app } => signing_key::import(services, app, standard_input()?.expose()).await,
        SigningKeyCommand::Create { app } => {
            say_that_it_takes_a_while();
            signing_key::create(services, app).await
        }
        SigningKeyCommand::Activate { app, key, force } => signing_key::activate(services, app, key, force).await,
        SigningKeyCommand::Revoke { app, key, force } => signing_key::revoke(services, app, key, force).await,
    }
}

/// Making an RSA-4096 key takes over a second; whoever watches should know what it is.
fn say_that_it_takes_a_while() {
    if std::io::stderr().is_terminal() {
        eprintln!("Making an RSA-4096 key; this can take some seconds…");
    }
}

/// All of standard input, without the line end that shells and editors leave behind it.
fn standard_input() -> Result<Secret, AdminError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| AdminError::Input(format!("standard input: {error}")))?;
    let line_end = if text.ends_with("\r\n") { 2 } else { usize::from(text.ends_with('\n')) };
    text.truncate(text.len() - line_end);
    Ok(Secret::from(text))
}
