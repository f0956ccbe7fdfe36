use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

use super::caller::Caller;
use crate::{
    domain::{SecretFetch, SecretVersionId, Timestamp},
    store::{Store, StoreError},
};

/// Notes on the caller's API key, stored in the background of the request. Failures are only logged.
#[derive(Default)]
pub struct Notes(Mutex<Vec<JoinHandle<()>>>);

impl Notes {
    /// Notes the key's use, at most once an hour for each key.
    pub fn note_use(&self, caller: &Caller, store: &Store, request_id: &str, now: Timestamp) {
        if caller.api_key.is_use_to_be_noted(now) {
            let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
            self.start(request_id, async move { store.note_use(app, &hash, now).await });
        }
    }

    /// Notes the secret's version that the key fetched, once for each key and version.
    pub fn note_fetch(
        &self,
        caller: &Caller,
        store: &Store,
        request_id: &str,
        version_id: SecretVersionId,
        now: Timestamp,
    ) {
        if caller.api_key.is_fetch_to_be_noted(version_id, now) {
            let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
            let fetch = SecretFetch { version_id, at: now };
            self.start(request_id, async move { store.note_fetch(app, &hash, fetch).await });
        }
    }

    fn start(&self, request_id: &str, noting: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        /// The longest time that a response may wait for a note.
        const NOTE_TIMEOUT: Duration = Duration::from_millis(250);
        let request_id = request_id.to_owned();
        let task = tokio::spawn(async move {
            let cause = match timeout(NOTE_TIMEOUT, noting).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::warn!(requestId = request_id, cause, "cannot note the use of the API key");
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Waits until all notes are stored or have failed.
    pub async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // The panic hook logs a panic of the task.
            let _ = task.await;
        }
    }
}
