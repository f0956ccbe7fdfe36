/// A private key whose public half is not published yet.
///
/// If it is dropped before [`UnpublishedKey::settled`], at whatever point of a request, the log names its secret. Functions
/// may not delete it; `userdocks-admin doctor` does.
#[derive(Debug)]
#[must_use]
pub struct UnpublishedKey {
    secret: Option<String>,
}

impl UnpublishedKey {
    pub(super) fn new(secret: String) -> Self {
        Self { secret: Some(secret) }
    }

    /// The public half is published, or the private half is gone.
    pub fn settled(mut self) {
        self.secret = None;
    }
}

impl Drop for UnpublishedKey {
    fn drop(&mut self) {
        if let Some(secret) = &self.secret {
            tracing::warn!(
                secret,
                "a private key may be left without its public half; doctor names it as orphaned-private-key"
            );
        }
    }
}
