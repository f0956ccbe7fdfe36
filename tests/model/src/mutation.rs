/// All mutations.
pub const ALL: [Mutation; 17] = {
    use Mutation::*;
    [PinBeforePut, PutWithoutLabel, UnconditionalCommit, ResultAfterCommit, TidyBeforeCommit, TidyPrevious, TidyYounger, CoarseClock, AgeAtTidying, AcceptMovedCurrent, OwnLabelsFirst, LostIsConflict, ReplayDroppedSecret, ReadExpiredPrevious, InterruptedRotation, DoctorAgesLate, DoctorReleasesCurrent]
};
/// A mistake that the code does not make. The tests show that a property notices each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The record pins the new version before the version is stored.
    PinBeforePut,
    /// A version is stored without its own label.
    PutWithoutLabel,
    /// The record is stored whatever it has become since it was read.
    UnconditionalCommit,
    /// The stored result is written after the transaction.
    ResultAfterCommit,
    /// The labels are cleaned up before the record is stored.
    TidyBeforeCommit,
    /// Cleaning up takes the previous version's label, too.
    TidyPrevious,
    /// Cleaning up takes the labels of versions that are younger than the pinned one.
    TidyYounger,
    /// Versions have one creation time if they were created in the same hour.
    CoarseClock,
    /// A version's age counts when the labels are listed, not when the record was read.
    AgeAtTidying,
    /// Cleaning up goes on if another change has moved `AWSCURRENT`, without listing the labels again.
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
    /// For `doctor`, a version's age counts when the versions are listed, not when the record was read.
    DoctorAgesLate,
    /// `doctor` releases a version even if `AWSCURRENT` could not be moved off it.
    DoctorReleasesCurrent,
}
