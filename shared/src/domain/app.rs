use std::time::Duration;

use super::{AppId, SecretVersionId, SigningKeys, Timestamp};

/// The version of an app's secret that was handed out before the present one, and until when it is still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The version.
    pub version_id: SecretVersionId,
    /// The end of the overlap.
    pub expires_at: Timestamp,
}

/// An app of the platform and everything that is public or merely named about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its id, in every path.
    pub id: AppId,
    /// What people call it.
    pub name: String,
    /// Whether its API keys are refused with E4030.
    pub is_disabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// Counts the changes of the record; each change is conditional on the count it read.
    pub version: u64,
    /// Which version of its secret is handed out.
    pub secret_version_id: SecretVersionId,
    /// The version before the last rotation, unless its overlap was ended by hand; it may be over:
    /// [`App::previous_secret()`] says.
    pub previous_secret: Option<PreviousSecret>,
    /// The keys that its tokens are signed with.
    pub signing_keys: SigningKeys,
}

impl App {
    /// A new, enabled app.
    #[must_use]
    pub fn new(
        id: AppId,
        name: String,
        secret_version_id: SecretVersionId,
        signing_keys: SigningKeys,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            name,
            is_disabled: false,
            created_at: now,
            updated_at: now,
            version: 1,
            secret_version_id,
            previous_secret: None,
            signing_keys,
        }
    }

    /// How long both secrets are handed out after a rotation that does not say so.
    pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(86_400);
    /// The longest overlap.
    pub const MAX_OVERLAP: Duration = Duration::from_secs(2_592_000);

    /// Hands out another version of the secret from `now` on, and the present one as the previous for `overlap` more.
    /// A version that is the previous one already is dropped.
    pub fn rotate_secret(&mut self, version_id: SecretVersionId, overlap: Duration, now: Timestamp) {
        let expires_at = now + overlap.min(Self::MAX_OVERLAP);
        self.previous_secret = Some(PreviousSecret { version_id: self.secret_version_id, expires_at });
        self.secret_version_id = version_id;
    }

    /// Ends the overlap at once. The version that was dropped is returned.
    pub fn end_overlap(&mut self) -> Option<SecretVersionId> {
        self.previous_secret.take().map(|previous| previous.version_id)
    }

    /// The previous secret, while it is handed out at `now`.
    #[must_use]
    pub fn previous_secret(&self, now: Timestamp) -> Option<PreviousSecret> {
        self.previous_secret.filter(|previous| now < previous.expires_at)
    }

    /// Whether a version of the secret is returned at `now`, as the present or the previous one.
    #[must_use]
    pub fn returns(&self, version_id: SecretVersionId, now: Timestamp) -> bool {
        let is_previous = self.previous_secret(now).is_some_and(|previous| previous.version_id == version_id);
        is_previous || self.secret_version_id == version_id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn app(now: Timestamp) -> App {
        App::new(AppId::random(), String::new(), SecretVersionId::random(), SigningKeys::default(), now)
    }

    #[test]
    fn the_overlap_ends_by_itself() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut app = app(now);
        let (first, second) = (app.secret_version_id, SecretVersionId::random());
        app.rotate_secret(second, Duration::from_secs(1), now);
        assert_eq!(app.secret_version_id, second);
        assert_eq!(app.previous_secret(now).unwrap().version_id, first);
        let end = now + Duration::from_secs(1);
        assert_eq!([first, second].map(|version| app.returns(version, now)), [true, true]);
        assert_eq!([first, second].map(|version| app.returns(version, end)), [false, true]);
        assert_eq!(app.previous_secret(now + Duration::from_secs(1)), None);
        assert_eq!(app.end_overlap(), Some(first));
        assert_eq!((app.previous_secret(now), app.end_overlap()), (None, None));
        app.rotate_secret(first, Duration::ZERO, now);
        assert_eq!(app.previous_secret(now), None, "no overlap at all");
    }

    proptest! {
        #[test]
        fn from_any_sequence_of_rotations(steps in proptest::collection::vec((any::<bool>(), 0_u64..4_000_000, 0_u64..4_000_000), 0..40)) {
            let mut now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
            let mut app = app(now);
            for (rotates, overlap, wait) in steps {
                let before = (app.secret_version_id, app.previous_secret);
                if rotates {
                    app.rotate_secret(SecretVersionId::random(), Duration::from_secs(overlap), now);
                    let previous = app.previous_secret.unwrap();
                    prop_assert_eq!(previous.version_id, before.0, "the one handed out until now, never extended");
                    prop_assert!(previous.expires_at <= now + App::MAX_OVERLAP);
                } else {
                    app.end_overlap();
                    prop_assert_eq!((app.secret_version_id, app.previous_secret(now)), (before.0, None));
                }
                now = now + Duration::from_secs(wait);
            }
        }
    }
}
