//! The demo app. The first start creates it, and each start prints its API keys.

use std::{io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyStatus, ApiKeyType, ApiKeyValue, AppId, Timestamp},
};
use userdocks_admin::{AdminError, app};

use crate::{LocalError, private_file};

/// The demo app as it is in the `READY` line.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoApp {
    pub uuid: String,
    pub read_key: String,
    pub write_key: String,
}

/// Creates the demo app if it does not exist, and replaces keys that are no longer accepted.
///
/// Keys are stored in the file before the table, so that the next start can use them after a crash.
///
/// # Errors
/// The file cannot be read or written, or a service fails.
pub async fn provision(services: &Services, file: &Path) -> Result<DemoApp, LocalError> {
    let mut demo = read_or_create(file)?;
    let id: AppId = demo.uuid.parse().map_err(failed)?;
    if services.store.find_app(id).await.map_err(failed)?.is_none() {
        let read = ApiKeyValue::import(&demo.read_key, ApiKeyType::Read).map_err(failed)?;
        let write = ApiKeyValue::import(&demo.write_key, ApiKeyType::Write).map_err(failed)?;
        match app::create_with_keys(services, id, "Demo".to_owned(), &[read, write]).await {
            Ok(_) | Err(AdminError::AppExists(_)) => return Ok(demo),
            Err(error) => return Err(failed(error)),
        }
    }
    let now = Timestamp::now();
    let mut renewed = Vec::new();
    let (keys, _) = services.store.list_api_keys(id).await.map_err(failed)?;
    for (kind, value) in [(ApiKeyType::Read, &mut demo.read_key), (ApiKeyType::Write, &mut demo.write_key)] {
        let hash = ApiKeyValue::import(value, kind).map_err(failed)?.hash();
        if keys.iter().any(|key| key.hash == hash && key.status(now) == ApiKeyStatus::Active) {
            continue;
        }
        let new = ApiKeyValue::issue(kind).map_err(failed)?;
        new.expose().clone_into(value);
        renewed.push(ApiKey::new(&new, kind, kind.name().to_owned(), now, None));
    }
    if !renewed.is_empty() {
        save(&demo, file)?;
    }
    for key in &renewed {
        services.store.add_api_key(id, key).await.map_err(failed)?;
    }
    Ok(demo)
}

fn failed(error: impl std::fmt::Display) -> LocalError {
    LocalError::new("cannot create the demo app", error)
}

fn save(demo: &DemoApp, file: &Path) -> Result<(), LocalError> {
    private_file::replace(file, &serde_json::to_vec(demo).map_err(failed)?)
}

fn read_or_create(file: &Path) -> Result<DemoApp, LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new(format_args!("cannot use {}", file.display()), error);
    match private_file::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let issue = |kind| ApiKeyValue::issue(kind).map_err(|error| failed(&error));
            let demo = DemoApp {
                uuid: AppId::random().to_string(),
                read_key: issue(ApiKeyType::Read)?.expose().to_owned(),
                write_key: issue(ApiKeyType::Write)?.expose().to_owned(),
            };
            save(&demo, file)?;
            Ok(demo)
        }
        Err(error) => Err(failed(&error)),
    }
}
