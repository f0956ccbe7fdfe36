//! A model of the secret's rotation.

mod actor;
mod aws;
pub mod mutation;
pub mod properties;
mod steps;

use stateright::{Model, Property};

pub use self::{
    actor::{Actor, Outcome, Phase, Role},
    aws::{Aws, Hour, VersionId},
    mutation::Mutation,
};
use self::{actor::Next, steps::Step};

/// The most requests and commands of a scenario.
pub const MAX_ACTORS: usize = 5;

/// A scenario: requests and commands that run at the same time, in any order of their calls.
#[derive(Debug, Clone)]
pub struct RotationModel {
    pub roles: Vec<Role>,
    /// How many times an hour may pass.
    pub hours: Hour,
    /// Whether Secrets Manager may refuse new versions.
    pub has_quota: bool,
    pub mutation: Option<Mutation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub aws: Aws,
    pub actors: [Actor; MAX_ACTORS],
}

/// A step. The number is the actor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The next call is carried out, and its response arrives.
    Call(usize),
    /// The next call fails, or the process is killed before it.
    Fail(usize),
    /// The transaction is carried out, and its response is lost.
    LoseResponse(usize),
    /// Secrets Manager refuses the new version.
    ReachQuota(usize),
    /// Secrets Manager deletes a version without a label.
    Delete(VersionId),
    /// More than an hour passes.
    Wait,
}

impl State {
    /// Whether nothing is under way.
    fn is_quiet(&self) -> bool {
        !self.actors.iter().any(Actor::is_running)
    }
}

impl RotationModel {
    fn with_state<'a>(&self, state: &'a State) -> impl Iterator<Item = (Role, &'a Actor)> {
        self.roles.iter().copied().zip(&state.actors)
    }

    fn may_wait(&self, state: &State) -> bool {
        let holds_up = |(role, actor): (Role, &Actor)| {
            // The code's assumption: storing and pinning a version are less than an hour apart.
            let is_between = actor.phase == Phase::Commit && matches!(role, Role::Rotate { .. });
            let is_between = is_between && self.mutation != Some(Mutation::InterruptedRotation);
            actor.is_running() && (!role.is_command() || is_between)
        };
        state.aws.hour < self.hours && !self.with_state(state).any(holds_up)
    }

    /// Whether a failure before the next call leaves something that a request never sent would not leave.
    fn may_fail(role: Role, actor: &Actor) -> bool {
        match actor.phase {
            Phase::Commit => role != Role::EndOverlap,
            Phase::List { next } => next == Next::Respond,
            Phase::Put { .. } => actor.replaced.is_some(),
            Phase::Tidy { .. }
            | Phase::StoreResult
            | Phase::FindResult
            | Phase::Abandon { .. }
            | Phase::Repair { .. } => true,
            _ => false,
        }
    }
}

impl Model for RotationModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { aws: Aws::default(), actors: [Actor::default(); MAX_ACTORS] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, (role, actor)) in self.with_state(state).enumerate() {
            if matches!(actor.phase, Phase::Done(_)) {
                continue;
            }
            actions.push(Action::Call(number));
            if Self::may_fail(role, actor) {
                actions.push(Action::Fail(number));
            }
            if actor.phase == Phase::Commit {
                actions.push(Action::LoseResponse(number));
            }
            if self.has_quota && matches!(actor.phase, Phase::Put { .. }) {
                actions.push(Action::ReachQuota(number));
            }
        }
        actions.extend(state.aws.secret.deletable().map(Action::Delete));
        if self.may_wait(state) {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        match action {
            Action::Delete(version) => next.aws.secret.existing.remove(version),
            Action::Wait => next.aws.hour += 1,
            Action::Call(number)
            | Action::Fail(number)
            | Action::LoseResponse(number)
            | Action::ReachQuota(number) => {
                let role = *self.roles.get(number)?;
                let actor = next.actors.get_mut(number)?;
                let mut step = Step { aws: &mut next.aws, actor, role, mutation: self.mutation };
                match action {
                    Action::Call(_) => step.call(),
                    Action::Fail(_) => step.give_up(),
                    Action::LoseResponse(_) => step.lose_response(),
                    _ => step.reach_quota(),
                }
            }
        }
        let returned = next.aws.table.app.returned(next.aws.hour);
        for (role, actor) in self.roles.iter().zip(&mut next.actors) {
            if actor.is_running() && !role.is_command() {
                actor.returned = actor.returned.union(returned);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
