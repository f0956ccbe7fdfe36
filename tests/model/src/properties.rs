//! The invariants, and examples that show that the scenarios are not trivial.

use stateright::{Expectation, Property};

use crate::{
    RotationModel, State,
    actor::{Actor, Outcome, Phase, Role},
    aws::Aws,
    steps::Step,
};

pub const RESPONSES: &str = "a response has only versions that GET returned during the request";
pub const LABELS: &str = "each version that GET returns keeps its own label";
pub const READS: &str = "a read fails only if later changes overtook it";
pub const REPLAYS: &str = "a repeated write returns the same version or is refused";
pub const ONCE: &str = "an Idempotency-Key changes the record once";
pub const REFUSED: &str = "a refused write changes nothing";
pub const CONFLICTS: &str = "one of the writers that read the same record wins";
pub const ENDED: &str = "a version whose overlap was ended is not returned again";
pub const DOCTOR: &str = "doctor repairs what stopped requests leave";
pub const ROTATION: &str = "the next rotation cleans up what stopped requests leave";

pub fn all() -> Vec<Property<RotationModel>> {
    vec![
        Property::always(RESPONSES, |_, state: &State| !state.any(|outcome| matches!(outcome, Outcome::Dropped(_)))),
        Property::always(LABELS, |_, State { aws, .. }: &State| {
            aws.table.app.returned(aws.hour).is_subset(aws.secret.kept)
        }),
        Property::always(READS, |_, state: &State| !state.any(|outcome| matches!(outcome, Outcome::Unreadable(_)))),
        Property::always(REPLAYS, |model: &RotationModel, state: &State| {
            let keyed = model.with_state(state).filter(|(role, _)| role.has_key());
            let mut created = keyed.filter_map(|(_, actor)| match actor.phase {
                Phase::Done(Outcome::Created(version)) => Some(version),
                _ => None,
            });
            created.next().is_none_or(|first| created.all(|version| version == first))
        }),
        Property::always(ONCE, |model: &RotationModel, state: &State| {
            let keyed = model.with_state(state).filter(|(role, _)| role.has_key());
            keyed.filter(|(_, actor)| actor.replaced.is_some()).count() <= 1
        }),
        Property::always(REFUSED, |_, state: &State| {
            let is_refused = |actor: &Actor| actor.phase == Phase::Done(Outcome::Refused);
            !state.actors.iter().any(|actor| is_refused(actor) && actor.replaced.is_some())
        }),
        Property::always(CONFLICTS, |_, state: &State| {
            let replaced = || state.actors.iter().filter_map(|actor| actor.replaced);
            replaced().all(|version| replaced().filter(|other| *other == version).count() == 1)
                && replaced().count() == usize::from(state.aws.table.app.version)
        }),
        Property::always(ENDED, |_, state: &State| {
            let returned = state.aws.table.app.returned(state.aws.hour);
            !state.any(|outcome| matches!(outcome, Outcome::Ended(Some(version)) if returned.contains(version)))
        }),
        Property::always(DOCTOR, |model: &RotationModel, state: &State| {
            !state.is_quiet() || repaired_by(Role::Doctor, model, state)
        }),
        Property::always(ROTATION, |model: &RotationModel, state: &State| {
            !state.is_quiet() || repaired_by(Role::Rotate { overlap: 1 }, model, state)
        }),
    ]
    .into_iter()
    .chain(examples())
    .collect()
}

/// States that at least one scenario reaches.
pub fn examples() -> [Property<RotationModel>; 5] {
    [
        Property::sometimes("a write conflicts", |_, state: &State| state.any(|outcome| outcome == Outcome::Refused)),
        Property::sometimes("two requests return the same new version", |_, state: &State| {
            let created = |actor: &Actor| match actor.phase {
                Phase::Done(Outcome::Created(version)) => Some(version),
                _ => None,
            };
            let mut versions = state.actors.iter().filter_map(created);
            versions.next().is_some_and(|first| versions.any(|version| version == first))
        }),
        Property::sometimes("AWSCURRENT is left on another version", |_, state: &State| {
            state.is_quiet() && state.aws.secret.current != state.aws.table.app.pinned
        }),
        Property::sometimes("a version is left that no record names", |_, state: &State| {
            let app = state.aws.table.app;
            let previous = app.previous.map(|previous| previous.version);
            let is_named = |version| version == app.pinned || Some(version) == previous;
            state.is_quiet() && state.aws.secret.kept.iter().any(|version| !is_named(version))
        }),
        Property::sometimes("a read is overtaken", |_, state: &State| {
            state.any(|outcome| outcome == Outcome::Overtaken)
        }),
    ]
}

/// The names of the invariants.
pub fn invariants() -> Vec<&'static str> {
    let is_invariant = |property: &Property<_>| property.expectation == Expectation::Always;
    all().into_iter().filter(is_invariant).map(|property| property.name).collect()
}

/// Whether `role` repairs the labels, if it runs without interruption and all versions are old.
fn repaired_by(role: Role, model: &RotationModel, state: &State) -> bool {
    let mut aws = Aws { hour: state.aws.hour + 1, ..state.aws };
    let mut actor = Actor::default();
    while !matches!(actor.phase, Phase::Done(_)) {
        Step { aws: &mut aws, actor: &mut actor, role, mutation: model.mutation }.call();
    }
    let app = aws.table.app;
    let previous = app.previous.map(|previous| previous.version);
    let is_named = |version| version == app.pinned || Some(version) == previous;
    aws.secret.current == app.pinned && aws.secret.kept.contains(app.pinned) && aws.secret.kept.iter().all(is_named)
}

impl State {
    fn any(&self, is_it: impl Fn(Outcome) -> bool) -> bool {
        self.actors.iter().any(|actor| matches!(actor.phase, Phase::Done(outcome) if is_it(outcome)))
    }
}
