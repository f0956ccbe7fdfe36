use std::{
    fmt::Display,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::domain::ApiKeyId;

/// The audit record of a request: facts that are known only after its handling, for its log line.
#[derive(Debug, Default)]
pub struct Audit {
    api_key: OnceLock<ApiKeyId>,
    subject: OnceLock<String>,
    is_replay: AtomicBool,
}

impl Audit {
    /// Records the API key that was found, even if the request is rejected. Returns whether it is the first one
    /// recorded.
    pub(super) fn record_api_key(&self, api_key: ApiKeyId) -> bool {
        self.api_key.set(api_key).is_ok()
    }

    /// Records the id of the returned or changed object: a secret's version or a key.
    pub fn record_subject(&self, subject: impl Display) {
        // A handler that runs again after a conflict records the same subject.
        let _ = self.subject.set(subject.to_string());
    }

    /// Records that the request is a replay of a write.
    pub(super) fn record_replay(&self) {
        self.is_replay.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn api_key(&self) -> Option<ApiKeyId> {
        self.api_key.get().copied()
    }

    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.get().map(String::as_str)
    }

    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.is_replay.load(Ordering::Relaxed)
    }
}
