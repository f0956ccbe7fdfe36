//! Mistakes that the code does not make.

/// A mistake. The tests show that each breaks a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The record pins the new version before the version is stored.
    PinBeforePut,
    /// A version is stored without its own label.
    PutWithoutLabel,
    /// The record is stored without its condition.
    UnconditionalCommit,
    /// The stored result is written after the transaction.
    ResultAfterCommit,
    /// The labels are cleaned up before the record is stored.
    TidyBeforeCommit,
    /// The clean-up removes no label of a version.
    LeaveLabels,
    /// The clean-up removes the previous version's label, too.
    TidyPrevious,
    /// The clean-up removes the labels of versions that are younger than the pinned one.
    TidyYounger,
    /// Versions that were created in the same hour have the same creation time.
    CoarseClock,
    /// The clean-up uses a version's age at the listing, not at the read of the record.
    AgeAtTidying,
    /// Labels are not listed again after another change has moved `AWSCURRENT`.
    AcceptMovedCurrent,
    /// Own labels are removed before `AWSCURRENT` is moved.
    OwnLabelsFirst,
    /// A commit without a response counts as a lost race.
    LostIsConflict,
    /// A repeated write returns its secret even if the secret was replaced.
    ReplayDroppedSecret,
    /// The reader returns the previous secret after its overlap.
    ReadExpiredPrevious,
    /// The operator's command is interrupted for more than an hour between storing a version and pinning it.
    InterruptedRotation,
    /// `doctor` uses a version's age at the listing, not at the read of the record.
    DoctorAgesLate,
    /// `doctor` releases versions even if `AWSCURRENT` could not be moved.
    DoctorReleasesCurrent,
}
