//! Explores all states of the scenarios, and checks that each property can fail.

use std::{collections::BTreeSet, time::Instant};

use rotation_model::{
    Mutation::{self, *},
    Role, RotationModel, properties,
};
use stateright::{Checker, HasDiscoveries, Model};

const THREADS: usize = 2;

const REPEATED: Role = Role::Post { has_key: true, overlap: 1 };
const POST: Role = Role::Post { has_key: false, overlap: 1 };
const ROTATE: Role = Role::Rotate { overlap: 2 };

fn scenario(roles: &[Role], hours: u8) -> RotationModel {
    RotationModel { roles: roles.to_vec(), hours, has_quota: false, mutation: None }
}

/// A rotation and its repetition, another rotation, and a reader.
fn requests() -> RotationModel {
    scenario(&[REPEATED, REPEATED, POST, Role::Get], 1)
}

/// The operator rotates and ends the overlap during a rotation over HTTP and its repetition.
fn commands() -> RotationModel {
    scenario(&[REPEATED, REPEATED, ROTATE, Role::EndOverlap], 1)
}

/// A reader during two rotations and the end of the overlap.
fn reader() -> RotationModel {
    scenario(&[POST, ROTATE, Role::EndOverlap, Role::Get], 1)
}

/// Secrets Manager may refuse each new version.
fn quota() -> RotationModel {
    RotationModel { has_quota: true, ..scenario(&[POST, ROTATE, ROTATE], 2) }
}

/// `doctor` and two rotations, each in another hour.
fn doctor() -> RotationModel {
    scenario(&[POST, ROTATE, Role::Doctor], 2)
}

/// `doctor` and three rotations.
fn many_versions() -> RotationModel {
    scenario(&[POST, POST, ROTATE, Role::Doctor], 1)
}

/// The number of states is a lower bound, so that the exploration cannot become empty unnoticed.
#[test]
fn invariants_hold_in_all_states() {
    let (mut examples, mut total) = (BTreeSet::new(), 0);
    for (name, model, min_states) in [
        ("requests", requests(), 340_000),
        ("commands", commands(), 620_000),
        ("reader", reader(), 39_000),
        ("quota", quota(), 480_000),
        ("doctor", doctor(), 47_000),
        ("many versions", many_versions(), 1_500_000),
    ] {
        let start = Instant::now();
        let checker = model.checker().threads(THREADS).spawn_bfs().join();
        let states = checker.unique_state_count();
        println!("{name}: {states} states, at most {} steps, {:?}", checker.max_depth(), start.elapsed());
        for property in properties::invariants() {
            checker.assert_no_discovery(property);
        }
        assert!(states >= min_states, "{name}: {states}");
        total += states;
        examples.extend(checker.discoveries().into_keys());
    }
    println!("{total} states");
    let expected: BTreeSet<_> = properties::examples().iter().map(|property| property.name).collect();
    assert_eq!(examples, expected, "the scenarios are not trivial");
}

#[test]
fn each_mutation_breaks_its_invariant() {
    let broken: [(Mutation, RotationModel, &str); 20] = [
        (PinBeforePut, reader(), properties::READS),
        (PutWithoutLabel, reader(), properties::LABELS),
        (UnconditionalCommit, requests(), properties::CONFLICTS),
        (UnconditionalCommit, reader(), properties::ENDED),
        (ResultAfterCommit, requests(), properties::ONCE),
        (ResultAfterCommit, requests(), properties::REPLAYS),
        (TidyBeforeCommit, requests(), properties::LABELS),
        (LeaveLabels, quota(), properties::ROTATION),
        (TidyPrevious, requests(), properties::LABELS),
        (TidyYounger, quota(), properties::LABELS),
        (CoarseClock, quota(), properties::LABELS),
        (AgeAtTidying, quota(), properties::LABELS),
        (AcceptMovedCurrent, many_versions(), properties::DOCTOR),
        (OwnLabelsFirst, doctor(), properties::DOCTOR),
        (LostIsConflict, requests(), properties::REFUSED),
        (ReplayDroppedSecret, requests(), properties::RESPONSES),
        (ReadExpiredPrevious, reader(), properties::RESPONSES),
        (InterruptedRotation, quota(), properties::LABELS),
        (DoctorAgesLate, doctor(), properties::LABELS),
        (DoctorReleasesCurrent, doctor(), properties::DOCTOR),
    ];
    for (mutation, model, property) in broken.clone() {
        let model = RotationModel { mutation: Some(mutation), ..model };
        let until_found = HasDiscoveries::AllOf(BTreeSet::from([property]));
        let checker = model.checker().threads(THREADS).finish_when(until_found).spawn_bfs().join();
        let trace = checker.assert_any_discovery(property).into_actions();
        println!("{mutation:?} breaks \"{property}\": {trace:?}");
    }
    let broken: BTreeSet<_> = broken.into_iter().map(|(.., property)| property).collect();
    assert_eq!(broken, properties::invariants().into_iter().collect());
}
