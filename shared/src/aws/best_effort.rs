//! Work that cannot change a request's outcome.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

/// A request's work that is not part of its deadline. The response waits for it, because Lambda may freeze the process
/// after the response.
#[derive(Default)]
pub struct Background(Mutex<Vec<JoinHandle<()>>>);

impl Background {
    /// Starts work, which must limit its own time and log its own failures.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tokio::spawn(work));
    }

    /// Waits until all work has ended.
    pub async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // The panic hook logs a panic of the task.
            let _ = task.await;
        }
    }
}

/// Waits at most `limit` for work. Returns the cause if it fails or takes longer.
pub async fn failure_within<E: Display>(limit: Duration, work: impl Future<Output = Result<(), E>>) -> Option<String> {
    match timeout(limit, work).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no response after {limit:?}")),
    }
}
