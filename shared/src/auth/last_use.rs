use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

use super::caller::Caller;
use crate::{domain::Timestamp, store::Store};

/// The update of an API key's `lastUsedAt`, in the background of the request. At most once an hour for each key.
#[derive(Default)]
pub struct LastUse(Mutex<Option<JoinHandle<()>>>);

impl LastUse {
    /// Starts the update, if one is due.
    pub fn note(&self, caller: &Caller, store: &Store, request_id: &str, now: Timestamp) {
        /// The longest time that a response may wait for the update.
        const LIMIT: Duration = Duration::from_millis(250);
        if !caller.api_key.is_use_to_be_noted(now) {
            return;
        }
        let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
        let request_id = request_id.to_owned();
        let noting = tokio::spawn(async move {
            let cause = match timeout(LIMIT, store.note_use(app, &hash, now)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::warn!(requestId = request_id, cause, "cannot update lastUsedAt of the API key");
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(noting);
    }

    /// Waits until the update is done or has failed; failures are only logged.
    pub async fn noted(&self) {
        let noting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(noting) = noting {
            // The panic hook logs a panic of the task.
            let _ = noting.await;
        }
    }
}
