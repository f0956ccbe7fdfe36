/// A private key whose public half is not published yet.
///
/// If it is dropped without [`UnpublishedKey::settled`], even by a panic or a missed deadline, the log names its
/// secret. Functions have no permission to delete the secret; `userdocks-admin doctor --repair` schedules its deletion.
#[derive(Debug)]
#[must_use]
pub struct UnpublishedKey {
    secret: Option<String>,
}

impl UnpublishedKey {
    pub(super) fn new(secret: String) -> Self {
        Self { secret: Some(secret) }
    }

    /// States that the public half is published, or that the private half was not stored.
    pub fn settled(mut self) {
        self.secret = None;
    }
}

impl Drop for UnpublishedKey {
    fn drop(&mut self) {
        if let Some(secret) = &self.secret {
            tracing::warn!(
                secret,
                "private key may have no published public key; `userdocks-admin doctor` reports it as orphaned-private-key"
            );
        }
    }
}
