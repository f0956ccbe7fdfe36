use std::time::Duration;

use super::{AppId, SecretVersionId, SigningKeys, Timestamp};

/// The version of an app's secret before the last rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    pub version_id: SecretVersionId,
    /// The end of the overlap, during which both versions are returned.
    pub expires_at: Timestamp,
}

/// The record of an app. It names the app's secret and private keys, but does not hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub id: AppId,
    pub name: String,
    /// If set, requests with its API keys fail with E4030.
    pub is_disabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes of the record, for optimistic locking.
    pub version: u64,
    pub secret_version_id: SecretVersionId,
    /// The version before the last rotation, unless its overlap was ended by hand. [`App::previous_secret()`] returns
    /// it only during the overlap.
    pub previous_secret: Option<PreviousSecret>,
    pub signing_keys: SigningKeys,
}

impl App {
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

    /// The overlap of a rotation that does not state one.
    pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(86_400);
    pub const MAX_OVERLAP: Duration = Duration::from_secs(2_592_000);

    /// Makes another version of the secret the current one. The old current version becomes the previous one for
    /// `overlap`; the old previous version is dropped.
    pub fn rotate_secret(&mut self, version_id: SecretVersionId, overlap: Duration, now: Timestamp) {
        let expires_at = now + overlap.min(Self::MAX_OVERLAP);
        self.previous_secret = Some(PreviousSecret { version_id: self.secret_version_id, expires_at });
        self.secret_version_id = version_id;
    }

    /// Ends the overlap at once and returns the dropped version.
    pub fn end_overlap(&mut self) -> Option<SecretVersionId> {
        self.previous_secret.take().map(|previous| previous.version_id)
    }

    /// Returns the previous secret if its overlap is not over at `now`.
    #[must_use]
    pub fn previous_secret(&self, now: Timestamp) -> Option<PreviousSecret> {
        self.previous_secret.filter(|previous| now < previous.expires_at)
    }

    /// Returns whether callers get a version of the secret at `now`, as the current or the previous one.
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
    fn previous_secret_ends_with_overlap() {
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
        fn any_rotations_keep_overlap_rules(steps in proptest::collection::vec((any::<bool>(), 0_u64..4_000_000, 0_u64..4_000_000), 0..40)) {
            let mut now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
            let mut app = app(now);
            for (rotates, overlap, wait) in steps {
                let before = (app.secret_version_id, app.previous_secret);
                if rotates {
                    app.rotate_secret(SecretVersionId::random(), Duration::from_secs(overlap), now);
                    let previous = app.previous_secret.unwrap();
                    prop_assert_eq!(previous.version_id, before.0, "the version that was current");
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
