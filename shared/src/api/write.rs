//! Writes: idempotency, optimistic locking, and the commit.

use tokio::time::sleep;

use super::{
    context::Context,
    failure::{Failure, FailureKind},
    response::uncacheable,
};
use crate::{
    auth::Caller,
    domain::{App, StoredResult, fingerprint},
    http::{Response, StatusCode},
    store::{ApiKeyChange, StoreError, waits_after_conflict},
};

/// A write by an authenticated caller.
pub enum Write<'a> {
    New(Box<NewWrite<'a>>),
    /// The same API key sent the same write before, with the same `Idempotency-Key`.
    Replay {
        /// The caller's app, as read for this request.
        app: Box<App>,
        /// The stored result, from which the response is built.
        result: String,
    },
}

/// A write that must still be done.
pub struct NewWrite<'a> {
    context: &'a Context,
    caller: Caller,
    fingerprint: String,
}

impl Context {
    /// Changes the app and returns the result of `change` with 200. Fails if the app was changed since it was read. A
    /// replay changes nothing and returns the stored result.
    pub async fn write(&self, change: impl FnOnce(&mut App) -> Result<String, Failure>) -> Result<Response, Failure> {
        let result = match self.begin_write().await? {
            Write::Replay { result, .. } => result,
            Write::New(write) => {
                let mut app = write.app().clone();
                let result = change(&mut app)?;
                write.commit(app, result).await?
            }
        };
        Ok(uncacheable(StatusCode::OK, result))
    }

    /// Authenticates the caller of a write and looks for a stored result. Fails with E4090 if the `Idempotency-Key` was
    /// used for another request.
    pub async fn begin_write(&self) -> Result<Write<'_>, Failure> {
        let caller = self.authenticate().await?;
        let fingerprint = self.fingerprint();
        match caller.stored_result() {
            Some(stored) => {
                let result = result_of_same_request(stored, &fingerprint)?;
                self.audit.record_replay();
                Ok(Write::Replay { app: Box::new(caller.app().clone()), result })
            }
            None => Ok(Write::New(Box::new(NewWrite { context: self, caller, fingerprint }))),
        }
    }

    /// Returns a fingerprint that differs for every other write by the same caller.
    fn fingerprint(&self) -> String {
        let keys = ["keyUuid", "apiKeyUuid"].map(|name| self.request.path_parameter(name));
        let key = keys.into_iter().flatten().next().unwrap_or_default();
        // A body that is not valid text must not share a fingerprint with an empty body.
        let body = self.request.body_text().unwrap_or("\0".into());
        fingerprint(&[&self.route().to_string(), key, &self.request.query(), &body])
    }
}

impl NewWrite<'_> {
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the caller's app, as it was read.
    #[must_use]
    pub fn app(&self) -> &App {
        self.caller.app()
    }

    /// Stores the changed app and, with an `Idempotency-Key`, the result, in one transaction. Stores nothing if nothing
    /// changed and there is no `Idempotency-Key`.
    ///
    /// Returns the stored result, which is another one if a parallel request did the same write first.
    pub async fn commit(self, changed: App, result: String) -> Result<String, Failure> {
        self.store(changed, Vec::new(), result).await
    }

    /// Stores changes of the app's API keys and the result, like [`NewWrite::commit`].
    pub async fn commit_api_keys(self, changes: Vec<ApiKeyChange>, result: String) -> Result<String, Failure> {
        let app = self.app().clone();
        self.store(app, changes, result).await
    }

    async fn store(self, changed: App, key_changes: Vec<ApiKeyChange>, result: String) -> Result<String, Failure> {
        if key_changes.is_empty() && changed == *self.app() && self.caller.write_id().is_none() {
            return Ok(result);
        }
        let Self { context, caller, fingerprint } = self;
        let (read, store) = (caller.app(), &context.services.store);
        let stored =
            caller.write_id().map(|id| StoredResult::new(id.clone(), fingerprint, result.clone(), context.now));
        match (store.update_app_and_api_keys(read, changed, context.now, &key_changes, stored.as_ref()).await, stored) {
            (Ok(_), _) => {
                for change in key_changes {
                    context.set_index_expiry(read.id, change);
                }
                Ok(result)
            }
            (Err(StoreError::Conflict), Some(mine)) => match store.find_stored_result(read.id, &mine.id).await? {
                Some(theirs) if theirs.is_kept(context.now) => {
                    let result = result_of_same_request(&theirs, &mine.request)?;
                    context.audit.record_replay();
                    Ok(result)
                }
                _ => Err(StoreError::Conflict.into()),
            },
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Commits a change that commutes with all others. If another change wins, authenticates the caller again and
    /// changes the app as it then is, a few times.
    pub async fn commit_commuting(
        self,
        change: impl Fn(&mut App) -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        let context = self.context;
        let mut waits = waits_after_conflict();
        let mut write = self;
        loop {
            let mut app = write.app().clone();
            let result = change(&mut app)?;
            match write.commit(app, result).await {
                Err(failure) if failure.kind == FailureKind::Conflict => {
                    sleep(waits.next().ok_or(failure)?).await;
                }
                committed => return committed,
            }
            write = match context.begin_write().await? {
                Write::Replay { result, .. } => return Ok(result),
                Write::New(write) => *write,
            };
        }
    }
}

fn result_of_same_request(stored: &StoredResult, fingerprint: &str) -> Result<String, Failure> {
    if stored.request == fingerprint {
        Ok(stored.result.clone())
    } else {
        Err(Failure::new(FailureKind::Conflict, "the Idempotency-Key was used for another request"))
    }
}
