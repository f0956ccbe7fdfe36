//! `userdocks-admin app export` and `app import`: records as JSON Lines, one app per line, without secrets.

mod line;
mod seen_records;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{ApiKey, App, AppId},
};

use self::{line::AppLine, seen_records::SeenRecords};
use crate::{
    AdminError, CommandOutput, Show,
    api_key::check_other_apps,
    app::{create_secret, store_new_app},
    find_app,
};

/// Prints one app, or all, as lines for an import. Skips corrupt records and reports them.
///
/// # Errors
/// The app does not exist, DynamoDB fails, or the output cannot be written.
pub async fn export(services: &Services, app: Option<AppId>, show: Show<'_>) -> Result<CommandOutput, AdminError> {
    let mut problems = Vec::new();
    if let Some(app) = app {
        let app = find_app(services, app).await?;
        show(vec![line(services, app, &mut problems).await?])?;
        return Ok(CommandOutput { value: json!({}), problems });
    }
    let mut pages = services.store.apps();
    while let Some(apps) = pages.next().await? {
        for app in apps {
            match app {
                Ok(app) => show(vec![line(services, app, &mut problems).await?])?,
                Err(corrupt) => problems.push(corrupt.to_string()),
            }
        }
    }
    Ok(CommandOutput { value: json!({}), problems })
}

async fn line(services: &Services, app: App, problems: &mut Vec<String>) -> Result<Value, AdminError> {
    let (api_keys, corrupt) = services.store.list_api_keys(app.id).await?;
    problems.extend(corrupt.iter().map(ToString::to_string));
    serde_json::to_value(AppLine::new(app, api_keys)).map_err(|error| AdminError::Output(error.to_string()))
}

/// Creates the apps of an exported file (`-` is standard input), each with a random secret and without private keys. Checks
/// all lines before it creates the first app, and creates each app in one transaction.
///
/// # Errors
/// - Nothing is created: the file is unreadable, a line is malformed, an app exists (unless `if_not_exists`), or another app
///   has an API key.
/// - Only the printed apps are created: an AWS service fails. `if_not_exists` continues with the rest.
pub async fn import(
    services: &Services,
    file: &Path,
    if_not_exists: bool,
    show: Show<'_>,
) -> Result<CommandOutput, AdminError> {
    let failed = |error: std::io::Error| AdminError::Input(format!("cannot read {}: {error}", file.display()));
    // Read once, because a pipe cannot be read again.
    let input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(failed)?))
    };
    let (mut apps, mut seen) = (Vec::new(), SeenRecords::default());
    for (index, line) in input.split(b'\n').enumerate() {
        let wrong = |problem| AdminError::ImportLine(index + 1, problem);
        let line = line.map_err(failed)?;
        let line = str::from_utf8(&line).map_err(|_| wrong("it is not valid UTF-8".to_owned()))?;
        // Some editors write a byte order mark before the first line.
        let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            continue;
        }
        let (app, api_keys) = AppLine::read(line).map_err(wrong)?;
        seen.add(&app, &api_keys).map_err(wrong)?;
        if !if_not_exists && services.store.find_app(app.id).await?.is_some() {
            return Err(wrong(format!("app {} already exists; use --if-not-exists to skip it", app.id)));
        }
        check_other_apps(services, app.id, &api_keys).await.map_err(|error| match error {
            AdminError::ApiKeyOfOtherApp { .. } => wrong(error.to_string()),
            error => error,
        })?;
        apps.push((index + 1, app, api_keys));
    }
    for (line, app, api_keys) in apps {
        let imported = import_app(services, &app, &api_keys, if_not_exists).await;
        let is_imported =
            imported.map_err(|cause| AdminError::ImportApp { line, app: app.id, cause: Box::new(cause) })?;
        show(vec![json!({
            "uuid": app.id.to_string(),
            "name": app.name,
            "isImported": is_imported,
            "secretVersionId": is_imported.then(|| app.secret_version_id.to_string()),
        })])?;
    }
    let note = "Each imported app has a new random secret. Distribute it, or set the old one with `secret set`. The signing \
                keys have no private keys here; use `signing-key create` and `signing-key activate` to sign with a new one.";
    Ok(json!({ "note": note }).into())
}

/// Creates an app; stores its record last, as `app create` does. Returns `false` if the app exists.
async fn import_app(
    services: &Services,
    app: &App,
    api_keys: &[ApiKey],
    if_not_exists: bool,
) -> Result<bool, AdminError> {
    if if_not_exists && services.store.find_app(app.id).await?.is_some() {
        return Ok(false);
    }
    let created = match create_secret(services, app.id, app.secret_version_id).await {
        Ok(()) => store_new_app(services, app, api_keys).await,
        failed => failed,
    };
    match created {
        Err(AdminError::AppExists(_)) if if_not_exists => Ok(false),
        created => created.map(|()| true),
    }
}
