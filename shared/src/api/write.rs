use super::{Failure, FailureKind, Request, request::Replayed};
use crate::{
    auth::Caller,
    domain::{App, StoredResult, Timestamp},
    store::{Store, StoreError},
};

/// A write by an authenticated caller.
pub enum Write {
    /// To be done now.
    New(Box<NewWrite>),
    /// Done before, by the same API key under the same `Idempotency-Key`: what its answer is made from again.
    Done {
        /// The caller's app, as it is now.
        app: Box<App>,
        /// What was remembered.
        answer: String,
    },
}

/// A write that is to be done now.
pub struct NewWrite {
    caller: Caller,
    request: String,
    now: Timestamp,
    replayed: Replayed,
}

impl Write {
    /// Finds out whether the caller's write was done before.
    ///
    /// # Errors
    /// E4090 where the `Idempotency-Key` named another request.
    pub(super) fn begin(caller: Caller, route: &str, request: &Request) -> Result<Self, Failure> {
        let fingerprint = request.fingerprint(route);
        match caller.done_write() {
            Some(done) => {
                let answer = same_request(done, &fingerprint)?;
                request.replayed().mark();
                Ok(Self::Done { app: Box::new(caller.app().clone()), answer })
            }
            None => {
                let (now, replayed) = (request.received_at(), request.replayed());
                Ok(Self::New(Box::new(NewWrite { caller, request: fingerprint, now, replayed })))
            }
        }
    }
}

impl NewWrite {
    /// The caller's app, as it was read.
    #[must_use]
    pub fn app(&self) -> &App {
        self.caller.app()
    }

    /// When the request arrived.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Stores the changed app and, for an `Idempotency-Key`, what its `answer` is made from again: both or nothing.
    /// Where nothing changes and nothing is to be remembered, nothing is stored.
    /// Returns the answer that counts: where the same write was done meanwhile, by a parallel request, it is that one's.
    ///
    /// # Errors
    /// E4090 where another change won; E0000 where the table fails.
    pub async fn commit(self, store: &Store, changed: App, answer: String) -> Result<String, Failure> {
        let app = changed.id;
        if changed == *self.app() && self.caller.write_id().is_none() {
            return Ok(answer);
        }
        let done = self
            .caller
            .write_id()
            .map(|id| StoredResult::new(id.clone(), self.request.clone(), answer.clone(), self.now));
        match (store.update_app(self.app(), changed, self.now, done.as_ref()).await, done) {
            (Ok(_), _) => Ok(answer),
            (Err(StoreError::Conflict), Some(mine)) => match store.find_done_write(app, &mine.id).await? {
                Some(theirs) if theirs.is_kept(self.now) => {
                    let answer = same_request(&theirs, &mine.request)?;
                    self.replayed.mark();
                    Ok(answer)
                }
                _ => Err(StoreError::Conflict.into()),
            },
            (Err(error), _) => Err(error.into()),
        }
    }
}

fn same_request(done: &StoredResult, request: &str) -> Result<String, Failure> {
    if done.request == request {
        Ok(done.result.clone())
    } else {
        Err(Failure::new(FailureKind::Conflict, "the Idempotency-Key was used for another request"))
    }
}
