use std::time::Duration;

use super::{ApiKey, ApiKeyStatus, ApiKeyType, App, SecretVersionId, Timestamp};

/// The version of the app's secret that a read key fetched last, compared with the app's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldSecret {
    Current,
    /// The previous version, which is still returned.
    Previous,
    /// A version that is no longer returned.
    Older,
    /// The table has no fetch by the key.
    Never,
}

impl HeldSecret {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Older => "older",
            Self::Never => "never",
        }
    }

    fn new(app: &App, key: &ApiKey, now: Timestamp) -> Self {
        match key.last_fetch.map(|fetch| fetch.version_id) {
            None => Self::Never,
            Some(version_id) if version_id == app.secret_version_id => Self::Current,
            Some(version_id) if app.returns(version_id, now) => Self::Previous,
            Some(_) => Self::Older,
        }
    }
}

/// Returns the app's active read keys, each with the version of the secret that it fetched last.
#[must_use]
pub fn secret_status<'a>(
    app: &App,
    keys: impl IntoIterator<Item = &'a ApiKey>,
    now: Timestamp,
) -> Vec<(&'a ApiKey, HeldSecret)> {
    active_read_keys(keys, now).map(|key| (key, HeldSecret::new(app, key, now))).collect()
}

/// Returns the active read keys that would lose their secret at once if the record `read` became `changed`. Their last
/// fetched version is no longer returned after the change, and they were used within the last 7 days.
///
/// A fetch is stored once for each version, so only `last_used_at` shows whether the key is still used.
#[must_use]
pub fn keys_losing_secret<'a>(
    read: &App,
    changed: &App,
    keys: impl IntoIterator<Item = &'a ApiKey>,
    now: Timestamp,
) -> Vec<&'a ApiKey> {
    const RECENT: Duration = Duration::from_secs(7 * 24 * 3600);
    let is_lost = |version: SecretVersionId| read.returns(version, now) && !changed.returns(version, now);
    let is_losing = |key: &&ApiKey| {
        key.last_fetch.is_some_and(|fetch| {
            let last_seen = key.last_used_at.map_or(fetch.at, |used| used.max(fetch.at));
            is_lost(fetch.version_id) && now.since(last_seen) <= RECENT
        })
    };
    active_read_keys(keys, now).filter(is_losing).collect()
}

fn active_read_keys<'a>(
    keys: impl IntoIterator<Item = &'a ApiKey>,
    now: Timestamp,
) -> impl Iterator<Item = &'a ApiKey> {
    let is_active_read_key =
        move |key: &&ApiKey| key.kind == ApiKeyType::Read && key.status(now) == ApiKeyStatus::Active;
    keys.into_iter().filter(is_active_read_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyValue, AppId, SecretFetch, SigningKeys};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn start() -> Timestamp {
        "2026-01-01T00:00:00.000Z".parse().unwrap()
    }

    fn key(kind: ApiKeyType, fetched: Option<SecretVersionId>) -> ApiKey {
        let value = ApiKeyValue::issue(kind).unwrap();
        let last_fetch = fetched.map(|version_id| SecretFetch { version_id, at: start() });
        ApiKey { last_fetch, ..ApiKey::new(&value, kind, String::new(), start(), None) }
    }

    /// Returns an app after two rotations, and its versions: older, previous, current.
    fn app() -> (App, [SecretVersionId; 3]) {
        let versions = [(); 3].map(|()| SecretVersionId::random());
        let mut app = App::new(AppId::random(), String::new(), versions[0], SigningKeys::default(), start());
        app.rotate_secret(versions[1], DAY, start());
        app.rotate_secret(versions[2], DAY, start());
        (app, versions)
    }

    #[test]
    fn status_compares_last_fetch_with_app() {
        let (app, [older, previous, current]) = app();
        let keys = [None, Some(older), Some(previous), Some(current)].map(|version| key(ApiKeyType::Read, version));
        let status = |now| secret_status(&app, &keys, now).into_iter().map(|(_, has)| has.name()).collect::<Vec<_>>();
        assert_eq!(status(start()), ["never", "older", "previous", "current"]);
        assert_eq!(status(start() + DAY), ["never", "older", "older", "current"]);
    }

    #[test]
    fn status_shows_only_active_read_keys() {
        let (app, [.., current]) = app();
        let revoked = ApiKey { revoked_at: Some(start()), ..key(ApiKeyType::Read, Some(current)) };
        let keys = [key(ApiKeyType::Write, None), revoked, key(ApiKeyType::Read, None)];
        let shown: Vec<_> = secret_status(&app, &keys, start()).into_iter().map(|(key, _)| key.id).collect();
        assert_eq!(shown, [keys[2].id]);
    }

    #[test]
    fn rotation_cuts_off_keys_with_dropped_version() {
        let (app, [older, previous, current]) = app();
        let keys = [None, Some(older), Some(previous), Some(current)].map(|version| key(ApiKeyType::Read, version));
        let losing = |change: &dyn Fn(&mut App), now| {
            let mut changed = app.clone();
            change(&mut changed);
            keys_losing_secret(&app, &changed, &keys, now).into_iter().map(|key| key.id).collect::<Vec<_>>()
        };
        let rotated = |overlap| move |app: &mut App| app.rotate_secret(SecretVersionId::random(), overlap, start());
        assert_eq!(losing(&rotated(DAY), start()), [keys[2].id]);
        assert_eq!(losing(&rotated(Duration::ZERO), start()), [keys[2].id, keys[3].id]);
        assert_eq!(losing(&|app| app.previous_secret = None, start()), [keys[2].id]);
        assert_eq!(losing(&|app| app.previous_secret = None, start() + DAY), []);
        assert_eq!(losing(&|_| {}, start()), []);
    }

    #[test]
    fn key_unused_for_7_days_does_not_block_rotation() {
        let (app, [.., current]) = app();
        let unused = key(ApiKeyType::Read, Some(current));
        let used = ApiKey { last_used_at: Some(start() + DAY), ..key(ApiKeyType::Read, Some(current)) };
        let keys = [unused, used, key(ApiKeyType::Write, Some(current))];
        let losing = |now| {
            let mut changed = app.clone();
            changed.rotate_secret(SecretVersionId::random(), Duration::ZERO, now);
            keys_losing_secret(&app, &changed, &keys, now).into_iter().map(|key| key.id).collect::<Vec<_>>()
        };
        assert_eq!(losing(start() + DAY * 7), [keys[0].id, keys[1].id]);
        assert_eq!(losing(start() + DAY * 8), [keys[1].id]);
        assert_eq!(losing(start() + DAY * 9), []);
    }
}
