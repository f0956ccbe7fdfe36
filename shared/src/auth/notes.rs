//! Updates of the record of the caller's API key, in the background.

use std::time::Duration;

use super::caller::Caller;
use crate::{
    aws::{Background, failure_within},
    domain::{SecretFetch, SecretVersionId, Timestamp},
    store::{Store, StoreError},
};

/// Starts storing the time of the key's use, at most once an hour for each key.
pub fn note_use(background: &Background, caller: &Caller, store: &Store, request_id: &str, now: Timestamp) {
    if caller.api_key.should_note_use(now) {
        let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
        start(background, caller, request_id, async move { store.note_use(app, &hash, now).await });
    }
}

/// Starts storing which version of the secret the key fetched, once for each key and version.
pub fn note_fetch(
    background: &Background,
    caller: &Caller,
    store: &Store,
    request_id: &str,
    version_id: SecretVersionId,
    now: Timestamp,
) {
    if caller.api_key.should_note_fetch(version_id, now) {
        let (store, app, hash) = (store.clone(), caller.app.id, caller.api_key.hash.clone());
        let fetch = SecretFetch { version_id, at: now };
        start(background, caller, request_id, async move { store.note_fetch(app, &hash, fetch).await });
    }
}

fn start(
    background: &Background,
    caller: &Caller,
    request_id: &str,
    update: impl Future<Output = Result<(), StoreError>> + Send + 'static,
) {
    /// The longest time that a response may wait for an update.
    const NOTE_TIMEOUT: Duration = Duration::from_millis(250);
    let (request_id, app_id, key_id) = (request_id.to_owned(), caller.app.id, caller.api_key.id);
    background.start(async move {
        if let Some(cause) = failure_within(NOTE_TIMEOUT, update).await {
            tracing::warn!(
                requestId = request_id,
                appId = %app_id,
                keyId = %key_id,
                cause,
                "cannot note the last use or fetch on the API key's record"
            );
        }
    });
}
