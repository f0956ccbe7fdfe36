//! `userdocks-admin`: the operator's command line, for AWS and for the local stack.

mod arguments;
mod aws;
mod endpoints;
mod input;
mod output;
mod target;

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use clap_complete::Shell;
use serde_json::{Value, json};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
use userdocks::{
    api::Services,
    aws::{DynamoDb, SecretsManager},
    domain::{AllowList, NewApiKey, NewLifetime, Replacement, escape_unprintable},
    runtime::disable_core_dumps,
};
use userdocks_admin::{
    AdminError, CommandOutput,
    api_key::{self, AllowListChange},
    app, doctor, secret, signing_key, table, transfer,
};

use crate::{
    arguments::{
        ApiKeyCommand, AppCommand, Arguments, Command, ReplacementFlags, SecretCommand, SigningKeyCommand, TableCommand,
    },
    output::Output,
    target::Target,
};

/// The exit code that a shell reports for a process that SIGPIPE has ended.
const ENDED_BY_CLOSED_PIPE: u8 = 128 + 13;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Err(error) = disable_core_dumps() {
        report(&format!("userdocks-admin: cannot turn off core dumps: {error}; a crash may leave secrets on disk"));
    }
    let arguments = Arguments::parse();
    if let Command::Completions { shell } = arguments.command {
        return exit_code(print_completions(shell), true);
    }
    start_log();
    let target = Target::new(arguments.resources, |name| env::var(name).ok());
    let target = target.unwrap_or_else(|error| Arguments::command().error(ErrorKind::ValueValidation, error).exit());
    let command = arguments.command;
    let (only_reads, app) = (command.only_reads(), command.app_of_new_key());
    let mut output = Output::new(arguments.output);
    let outcome = run(command, target, &mut output).await;
    let finished = outcome.and_then(|printed| match output.finish(&printed.value) {
        Ok(()) => Ok(printed),
        Err(error) => {
            let app = app.map(|app| app.to_string());
            for key in new_keys(&printed.value) {
                let app = app.as_deref().or_else(|| printed.value.pointer("/app/uuid")?.as_str()).unwrap_or("APP");
                report(&format!(
                    "userdocks-admin: API key {key} was created, but its value is lost; \
                     revoke it with `userdocks-admin api-key revoke {app} {key}`"
                ));
            }
            Err(error)
        }
    });
    exit_code(finished, only_reads)
}

/// Reports problems or the error, and returns the exit code.
fn exit_code(finished: Result<CommandOutput, AdminError>, only_reads: bool) -> ExitCode {
    match finished {
        Ok(printed) => {
            for problem in &printed.problems {
                report(&format!("userdocks-admin: {problem}"));
            }
            if printed.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        // The reader has closed the output, as in `app list | head -1`.
        Err(AdminError::OutputClosed) if only_reads => ExitCode::from(ENDED_BY_CLOSED_PIPE),
        Err(error) => {
            report(&format!("userdocks-admin: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn print_completions(shell: Shell) -> Result<CommandOutput, AdminError> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(json!({}).into())
}

/// Prints warnings on standard error. Best effort.
fn start_log() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .log_internal_errors(false);
    // The SDK's warning about a malformed endpoint shows the endpoint, which may hold a password. `endpoints` reports it
    // instead.
    let targets = Targets::new()
        .with_default(tracing::Level::WARN)
        .with_target("aws_config::default_provider::endpoint_url", tracing::level_filters::LevelFilter::OFF);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

/// Prints a line on standard error. Best effort.
fn report(line: &str) {
    let _ = io::stderr().write_all(format!("{}\n", escape_unprintable(line)).as_bytes());
}

/// Returns the ids of the API keys whose values are in the output.
fn new_keys(output: &Value) -> Vec<&str> {
    let lists = [output.get("apiKey"), output.get("apiKeys")].into_iter().flatten();
    let keys = lists.flat_map(|list| list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice));
    keys.filter(|key| key.get("value").is_some_and(Value::is_string))
        .filter_map(|key| key.get("uuid")?.as_str())
        .collect()
}

async fn run(command: Command, target: Target, output: &mut Output) -> Result<CommandOutput, AdminError> {
    if command.shows_new_keys() {
        output::check()?;
    }
    endpoints::check_variables()?;
    let sdk = aws::load().await?;
    let dynamodb_endpoint = endpoints::check_sdk(&sdk).await?;
    let resources = target.resolve(&sdk).await?;
    let dynamodb = DynamoDb::from_sdk(aws_sdk_dynamodb::Client::new(&sdk), dynamodb_endpoint);
    let secrets_manager = SecretsManager::from_sdk(aws_sdk_secretsmanager::Client::new(&sdk), None);
    let services = Services::new(dynamodb, secrets_manager, resources);
    match command {
        Command::Table(command) => run_table(command, &services).await,
        Command::App(command) => run_app(command, &services, output).await,
        Command::ApiKey(command) => run_api_key(command, &services).await,
        Command::Secret(command) => run_secret(command, &services).await,
        Command::SigningKey(command) => run_signing_key(command, &services).await,
        Command::Doctor { app, repair, min_age } => {
            doctor::examine(&services, app, min_age, repair, &mut output.rows("findings")).await
        }
        Command::Completions { shell } => print_completions(shell),
    }
}

async fn run_table(command: TableCommand, services: &Services) -> Result<CommandOutput, AdminError> {
    match command {
        TableCommand::Create { if_not_exists } => table::create(services, if_not_exists).await,
    }
}

async fn run_app(command: AppCommand, services: &Services, output: &mut Output) -> Result<CommandOutput, AdminError> {
    match command {
        AppCommand::Create { name, id, if_not_exists } => {
            report_slow_generation();
            app::create(services, id, name.into(), if_not_exists).await
        }
        AppCommand::List { limit, after } => app::list(services, limit, after, &mut output.rows("apps")).await,
        AppCommand::Show { id } => app::show(services, id).await,
        AppCommand::Disable { id } => app::set_disabled(services, id, true).await,
        AppCommand::Enable { id } => app::set_disabled(services, id, false).await,
        AppCommand::Delete { id, yes: _ } => app::delete(services, id).await,
        AppCommand::Export { app, all: _ } => transfer::export(services, app, &mut output.lines()).await,
        AppCommand::Import { file, if_not_exists } => {
            if file == Path::new("-") && io::stdin().is_terminal() {
                report("Paste the exported lines, then press Ctrl-D");
            }
            transfer::import(services, &file, if_not_exists, &mut output.rows("apps")).await
        }
    }
}

async fn run_api_key(command: ApiKeyCommand, services: &Services) -> Result<CommandOutput, AdminError> {
    match command {
        ApiKeyCommand::Issue { app, kind, name, expires_in: lifetime, allow_cidr } => {
            let name = name.unwrap_or_else(|| kind.into());
            let request = NewApiKey { kind, name, lifetime, allow_list: AllowList::parse(&allow_cidr)? };
            api_key::issue(services, app, request).await
        }
        ApiKeyCommand::Import { app, kind, name, sha256, hint } => {
            let name = name.unwrap_or_else(|| kind.into());
            match sha256 {
                Some(hash) => api_key::import_hash(services, app, kind, name, hash, hint.unwrap_or_default()).await,
                None => api_key::import(services, app, kind, name, input::api_key()?.expose()).await,
            }
        }
        ApiKeyCommand::List { app } => api_key::list(services, app).await,
        ApiKeyCommand::Find => api_key::find(services, input::api_key()?.expose()).await,
        ApiKeyCommand::Rotate { app, key, overlap, expires_in, never_expires, allow_cidr } => {
            let lifetime = match expires_in {
                _ if never_expires => NewLifetime::Endless,
                Some(time) => NewLifetime::Limited(time),
                None => NewLifetime::Same,
            };
            let allow_list = (!allow_cidr.is_empty()).then(|| AllowList::parse(&allow_cidr)).transpose()?;
            let request = Replacement { replaced: key, kind: None, name: None, lifetime, allow_list, overlap };
            api_key::rotate(services, app, request).await
        }
        ApiKeyCommand::Allow { app, key, add, remove, clear } => {
            let change = if clear {
                AllowListChange::Clear
            } else {
                AllowListChange::Edit { add: AllowList::parse(&add)?, remove: AllowList::parse(&remove)? }
            };
            api_key::change_allow_list(services, app, key, change).await
        }
        ApiKeyCommand::Revoke { app, key, issued: false, .. } => api_key::revoke(services, app, key).await,
        ApiKeyCommand::Revoke { app, key, issued: true, since, yes } => {
            api_key::revoke_issued(services, app, key, since, yes).await
        }
    }
}

async fn run_secret(command: SecretCommand, services: &Services) -> Result<CommandOutput, AdminError> {
    match command {
        SecretCommand::Status { app } => secret::status(services, app).await,
        SecretCommand::Set { app, replacement: ReplacementFlags { overlap, force } } => {
            let value = input::secret()?;
            secret::oddities(&value).for_each(|oddity| report(&format!("userdocks-admin: warning: {oddity}")));
            secret::set(services, app, &value, overlap, force).await
        }
        SecretCommand::Rotate { app, replacement: ReplacementFlags { overlap, force } } => {
            secret::rotate(services, app, overlap, force).await
        }
        SecretCommand::EndOverlap { app, force } => secret::end_overlap(services, app, force).await,
    }
}

async fn run_signing_key(command: SigningKeyCommand, services: &Services) -> Result<CommandOutput, AdminError> {
    match command {
        SigningKeyCommand::List { app } => signing_key::list(services, app).await,
        SigningKeyCommand::Import { app, standby } => {
            signing_key::import(services, app, input::public_key()?.expose(), standby).await
        }
        SigningKeyCommand::Create { app } => {
            report_slow_generation();
            signing_key::create(services, app).await
        }
        SigningKeyCommand::Activate { app, key, force } => signing_key::activate(services, app, key, force).await,
        SigningKeyCommand::Revoke { app, key, force } => signing_key::revoke(services, app, key, force).await,
    }
}

/// Explains the delay at a terminal.
fn report_slow_generation() {
    if io::stderr().is_terminal() {
        report("Generating an RSA-4096 key. This can take some seconds…");
    }
}
