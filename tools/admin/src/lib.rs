//! The commands of `userdocks-admin`, for its command line and for the local stack.
//!
//! A crash at any point leaves every app complete, and the command can be run again. Commands that create something are not
//! idempotent: a second run creates it twice.

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
    /// Problems for standard error. If there are any, the exit code is 1.
    pub problems: Vec<String>,
}

/// Prints rows of a listing as they are read, so that the listing need not fit into memory.
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
