//! The two AWS services, as far as a rotation uses them.

/// Time in steps of more than an hour.
pub type Hour = u8;

/// A version of the secret, numbered in the order of creation.
pub type VersionId = u8;

/// The maximum number of versions in a scenario.
pub const MAX_VERSIONS: usize = 6;

/// A set of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Versions(u8);

impl Versions {
    pub fn one(version: VersionId) -> Self {
        Self(1 << version)
    }

    pub fn contains(self, version: VersionId) -> bool {
        self.0 & (1 << version) != 0
    }

    pub fn insert(&mut self, version: VersionId) {
        self.0 |= 1 << version;
    }

    pub fn remove(&mut self, version: VersionId) {
        self.0 &= !(1 << version);
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = VersionId> {
        (0..8).filter(move |version| self.contains(*version))
    }

    pub fn first(self) -> Option<VersionId> {
        self.iter().next()
    }
}

/// The secret's version before the last rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Previous {
    pub version: VersionId,
    /// The end of the overlap.
    pub ends: Hour,
}

/// The app's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct App {
    /// Counts the changes, for optimistic locking.
    pub version: u8,
    pub pinned: VersionId,
    pub previous: Option<Previous>,
}

impl App {
    /// `App::previous_secret()`.
    pub fn previous_at(&self, now: Hour) -> Option<VersionId> {
        self.previous.filter(|previous| now < previous.ends).map(|previous| previous.version)
    }

    /// The versions that GET returns.
    pub fn returned(&self, now: Hour) -> Versions {
        let previous = self.previous_at(now).map(Versions::one).unwrap_or_default();
        Versions::one(self.pinned).union(previous)
    }

    /// `App::rotate_secret()`.
    #[must_use]
    pub fn rotated(&self, version: VersionId, ends: Hour) -> Self {
        Self { pinned: version, previous: Some(Previous { version: self.pinned, ends }), ..*self }
    }
}

/// The items in DynamoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Table {
    pub app: App,
    /// The version in the stored result of the one `Idempotency-Key`.
    pub result: Option<VersionId>,
}

/// The error of a change of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelError {
    /// `InvalidParameterException`: the label is not on the version that the call names.
    Moved,
    /// `ResourceNotFoundException`: the version is gone.
    Missing,
}

/// The secret in Secrets Manager.
///
/// It has no `AWSPREVIOUS`, which Secrets Manager moves with `AWSCURRENT`: with fewer labels, more versions can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret {
    /// The number of versions that were ever created.
    count: u8,
    created: [Hour; MAX_VERSIONS],
    /// Versions that are not deleted.
    pub existing: Versions,
    /// Versions with their own id as a label.
    pub kept: Versions,
    /// The version with the label `AWSCURRENT`.
    pub current: VersionId,
}

impl Secret {
    /// A secret with its first version.
    pub fn new() -> Self {
        let first = Versions::one(0);
        Self { count: 1, created: [0; MAX_VERSIONS], existing: first, kept: first, current: 0 }
    }

    /// `PutSecretValue` with the version's own label.
    pub fn put(&mut self, now: Hour) -> VersionId {
        let version = self.count;
        self.count += 1;
        if let Some(created) = self.created.get_mut(usize::from(version)) {
            *created = now;
        }
        self.existing.insert(version);
        self.kept.insert(version);
        version
    }

    /// The number of the version that is created next.
    pub fn next(&self) -> VersionId {
        self.count
    }

    pub fn created(&self, version: VersionId) -> Hour {
        self.created.get(usize::from(version)).copied().unwrap_or_default()
    }

    /// Versions with a label. `ListSecretVersionIds` returns these.
    pub fn labelled(&self) -> Versions {
        self.kept.union(Versions::one(self.current))
    }

    /// Versions that Secrets Manager may delete.
    pub fn deletable(&self) -> impl Iterator<Item = VersionId> {
        let (existing, labelled) = (self.existing, self.labelled());
        existing.iter().filter(move |version| !labelled.contains(*version))
    }

    /// `UpdateSecretVersionStage` of `AWSCURRENT`.
    pub fn move_current(&mut self, from: VersionId, to: VersionId) -> Result<(), LabelError> {
        if !self.existing.contains(from) || !self.existing.contains(to) {
            return Err(LabelError::Missing);
        }
        if self.current != from {
            return Err(LabelError::Moved);
        }
        self.current = to;
        Ok(())
    }

    /// `UpdateSecretVersionStage`, removing a version's own label.
    pub fn release(&mut self, version: VersionId) -> Result<(), LabelError> {
        if !self.existing.contains(version) {
            return Err(LabelError::Missing);
        }
        if !self.kept.contains(version) {
            return Err(LabelError::Moved);
        }
        self.kept.remove(version);
        Ok(())
    }

    /// `UpdateSecretVersionStage`, adding a version's own label.
    pub fn keep(&mut self, version: VersionId) -> Result<(), LabelError> {
        if !self.existing.contains(version) {
            return Err(LabelError::Missing);
        }
        self.kept.insert(version);
        Ok(())
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

/// The AWS services and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Aws {
    pub hour: Hour,
    pub table: Table,
    pub secret: Secret,
}
