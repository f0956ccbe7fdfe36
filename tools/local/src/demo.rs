//! The demo app: made on the first start, with keys that a restart prints again.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};
use shared::{
    domain::{ApiKeyType, ApiKeyValue, AppId},
    runtime::Services,
};
use userdocks_admin::{AdminError, app};

use crate::{LocalError, embedded::write_private};

/// The demo app as the `READY` line shows it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoApp {
    /// The app's id.
    pub uuid: String,
    /// A read key's value.
    pub read_key: String,
    /// A write key's value.
    pub write_key: String,
}

/// Makes the demo app where it is not there yet. Its keys are in the file before the app is in the table,
/// so that a crash between leaves nothing that the next start can't use.
///
/// # Errors
/// The file can't be read or written, or a service fails.
pub async fn provision(services: &Services, file: &Path) -> Result<DemoApp, LocalError> {
    let demo = read_or_make(file)?;
    let failed = |error: &dyn std::fmt::Display| LocalError::new("the demo app can't be made", error);
    let id: AppId = demo.uuid.parse().map_err(|error| failed(&error))?;
    let existing = services.store.find_app(id).await.map_err(|error| failed(&error))?;
    if existing.is_none() {
        let read = ApiKeyValue::import(&demo.read_key, ApiKeyType::Read).map_err(|error| failed(&error))?;
        let write = ApiKeyValue::import(&demo.write_key, ApiKeyType::Write).map_err(|error| failed(&error))?;
        match app::create_with_keys(services, id, "Demo".to_owned(), &[read, write]).await {
            Ok(_) | Err(AdminError::AppExists(_)) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(demo)
}

fn read_or_make(file: &Path) -> Result<DemoApp, LocalError> {
    let failed =
        |error: &dyn std::fmt::Display| LocalError::new(format_args!("{} can't be used", file.display()), error);
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let issue = |kind| ApiKeyValue::issue(kind).map_err(|error| failed(&error));
            let demo = DemoApp {
                uuid: AppId::random().to_string(),
                read_key: issue(ApiKeyType::Read)?.expose().to_owned(),
                write_key: issue(ApiKeyType::Write)?.expose().to_owned(),
            };
            write_private(file, &serde_json::to_vec(&demo).map_err(|error| failed(&error))?)?;
            Ok(demo)
        }
        Err(error) => Err(failed(&error)),
    }
}
