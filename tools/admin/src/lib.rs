//! The commands of `userdocks-admin`, for its command line and for the local stack.
//!
//! A command of several steps leaves a complete app after a crash at any point, and can be run again. A command that creates
//! something may then have created it twice.

pub mod api_key;
pub mod app;
pub mod doctor;
mod error;
mod json;
pub mod secret;
pub mod signing_key;
pub mod table;
pub mod transfer;

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{App, AppId},
    store::CorruptItem,
};

pub use crate::error::AdminError;

/// The output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// One JSON object.
    pub value: Value,
    /// What is incomplete, for standard error; exit code 1 if there is any.
    pub problems: Vec<String>,
}

/// Shows rows of a listing as they are found, so that it need not fit into memory.
pub type Show<'a> = &'a mut dyn FnMut(Vec<Value>) -> Result<(), AdminError>;

impl CommandOutput {
    fn new(value: Value, corrupt: &[CorruptItem]) -> Self {
        Self { value, problems: corrupt.iter().map(ToString::to_string).collect() }
    }

    /// Adds a sentence for the operator.
    fn with_note(mut self, note: Option<&str>) -> Self {
        if let (Some(fields), Some(note)) = (self.value.as_object_mut(), note) {
            fields.insert("note".to_owned(), json!(note));
        }
        self
    }
}

impl From<Value> for CommandOutput {
    fn from(value: Value) -> Self {
        Self::new(value, &[])
    }
}

async fn find_app(services: &Services, id: AppId) -> Result<App, AdminError> {
    services.store.find_app(id).await?.ok_or(AdminError::NoSuchApp(id))
}
