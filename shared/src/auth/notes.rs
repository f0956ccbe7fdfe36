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

/// Background updates of the record of the caller's API key. Failures are only logged.
#[derive(Default)]
pub struct Notes(Mutex<Vec<JoinHandle<()>>>);

impl Notes {
    /// Starts storing the time of the key's use, at most once an hour for each key.
    pub fn note_use(&self, caller: &Caller, store: &Store, request_id: &str, now: Timestamp) {
        if caller.api_key.should_note_use(now) {
            let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
            self.start(caller, request_id, async move { store.note_use(app, &hash, now).await });
        }
    }

    /// Starts storing which version of the secret the key fetched, once for each key and version.
    pub fn note_fetch(
        &self,
        caller: &Caller,
        store: &Store,
        request_id: &str,
        version_id: SecretVersionId,
        now: Timestamp,
    ) {
        if caller.api_key.should_note_fetch(version_id, now) {
            let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
            let fetch = SecretFetch { version_id, at: now };
            self.start(caller, request_id, async move { store.note_fetch(app, &hash, fetch).await });
        }
    }

    fn start(
        &self,
        caller: &Caller,
        request_id: &str,
        update: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        /// The longest time that a response may wait for an update.
        const NOTE_TIMEOUT: Duration = Duration::from_millis(250);
        let (request_id, app_id, key_id) = (request_id.to_owned(), caller.app.id, caller.api_key.id);
        let task = tokio::spawn(async move {
            let cause = match timeout(NOTE_TIMEOUT, update).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no response after {NOTE_TIMEOUT:?}"),
            };
            tracing::warn!(
                requestId = request_id,
                appId = %app_id,
                keyId = %key_id,
                cause,
                "cannot note the last use or fetch on the API key's record"
            );
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Waits until all updates are stored or have failed.
    pub async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // The panic hook logs a panic of the task.
            let _ = task.await;
        }
    }
}
