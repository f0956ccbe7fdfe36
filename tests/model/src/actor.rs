//! Requests, commands and their progress.

use crate::aws::{App, Hour, VersionId, Versions};

/// The kind of a request or command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `POST …/secrets`. All with an `Idempotency-Key` have the same one.
    Post { has_key: bool, overlap: Hour },
    /// `userdocks-admin secret rotate` or `secret set`.
    Rotate { overlap: Hour },
    /// `userdocks-admin secret end-overlap`, or `DELETE …/secrets/previous` without an `Idempotency-Key`.
    EndOverlap,
    /// `GET …/secrets?include=previous`, in a process without cached versions.
    Get,
    /// `userdocks-admin doctor --repair`.
    Doctor,
}

impl Role {
    pub fn has_key(self) -> bool {
        matches!(self, Self::Post { has_key: true, .. })
    }

    /// Whether hours may pass while it runs. A function has a deadline; a terminal may be suspended.
    pub fn is_command(self) -> bool {
        matches!(self, Self::Rotate { .. } | Self::EndOverlap | Self::Doctor)
    }
}

/// The step after a clean-up of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Another attempt to store the version.
    Put,
    Respond,
    /// Only in [`Mutation::TidyBeforeCommit`](crate::Mutation::TidyBeforeCommit).
    Commit,
}

/// The changes of labels that follow from a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// The version that loses `AWSCURRENT`.
    pub current_from: Option<VersionId>,
    /// The versions whose own label `doctor` adds again.
    pub keep: Versions,
    /// The versions that lose their own label.
    pub release: Versions,
}

/// The next call of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Not sent yet. The first call reads the record.
    #[default]
    Ready,
    /// `ListSecretVersionIds`, to count versions.
    Count,
    Put {
        is_second: bool,
    },
    List {
        next: Next,
    },
    Tidy {
        plan: Plan,
        next: Next,
    },
    Commit,
    /// Only in [`Mutation::ResultAfterCommit`](crate::Mutation::ResultAfterCommit).
    StoreResult,
    /// `BatchGetItem` of the stored result, after a conflict.
    FindResult,
    /// `UpdateSecretVersionStage`: removes the own label of the version that was not pinned.
    Abandon {
        result: Option<VersionId>,
    },
    /// `BatchGetItem` of the app, to decide about the stored result of a parallel request.
    FindApp {
        result: VersionId,
    },
    /// `GetSecretValue` of `version`, and then of `previous`.
    GetValue {
        version: VersionId,
        previous: Option<VersionId>,
    },
    /// `doctor`: `DescribeSecret`.
    Describe,
    /// `doctor`: `ListSecretVersionIds`. The fields are the labels in the AWS response of `DescribeSecret`.
    Examine {
        kept: Versions,
        current: VersionId,
    },
    /// `doctor`: the next repair. `is_settled` says that `AWSCURRENT` was seen where a release is safe.
    Repair {
        plan: Plan,
        is_settled: bool,
    },
    Done(Outcome),
}

/// The end of a request or command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 201 with this version.
    Created(VersionId),
    /// Success: this previous version is no longer returned.
    Ended(Option<VersionId>),
    /// 200 of a GET.
    Read,
    /// `doctor` has run.
    Repaired,
    /// E4090.
    Refused,
    /// 500, or the process was killed.
    Failed,
    /// 500 of a read: later changes dropped the version between the read of the record and the read of the value.
    Overtaken,
    /// 500 of a read although the app's record names the version. Breaks a property.
    Unreadable(VersionId),
    /// A response with a version that GET did not return at any time of the request. Breaks a property.
    Dropped(VersionId),
}

/// A request or command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actor {
    pub phase: Phase,
    /// The record that was read or stored last.
    pub app: App,
    /// The time before the record was read.
    pub read_at: Hour,
    /// The version that it stored. For a reader, the version that it read first.
    pub version: Option<VersionId>,
    /// The `version` of the record that its transaction replaced.
    pub replaced: Option<u8>,
    /// The versions that GET returned at any time of the request.
    pub returned: Versions,
}

impl Actor {
    pub fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Ready | Phase::Done(_))
    }

    /// Ends it. Clears fields that are no longer used, so that equal states are found to be equal.
    pub fn end(&mut self, outcome: Outcome) {
        *self = Self { phase: Phase::Done(outcome), replaced: self.replaced, ..Self::default() };
    }

    /// Ends it with a response that contains these versions.
    pub fn respond(&mut self, versions: Versions, outcome: Outcome) {
        let dropped = versions.iter().find(|version| !self.returned.contains(*version));
        self.end(dropped.map_or(outcome, Outcome::Dropped));
    }
}
