//! A model of the secret's rotation, for the model checker [`stateright`].
//!
//! Requests and commands run at the same time. The checker tries every order of their AWS calls. It stops each of them at
//! every call, loses responses to commits, and lets hours pass. It deletes versions at any time after they lost their last
//! label. `tests/explore.rs` has the scenarios. They have 3,109,712 states, and none breaks one of the [`properties`].
//!
//! | Model | Code |
//! |---|---|
//! | `Step::read` | `Store::find_caller`, `Store::find_app` |
//! | `Phase::Count` | `rotation::check_rate` |
//! | `Step::put`, `Step::reach_quota` | `PreparedRotation::new` |
//! | `Step::commit` | `NewWrite::store`, `Store::update_app` |
//! | `Step::lose`, `Phase::FindResult`, `Phase::Abandon` | `NewWrite::store`, `PreparedRotation::abandon` |
//! | `Step::replay` | `Rotation::repeated` in `post-app-secrets` |
//! | `Step::list`, `Step::tidy` | `PreparedRotation::finish`, `Secrets::tidy_app_secret` |
//! | `Step::get_value` | `Secrets::app_secret`, in `get-app-secrets` and in replays |
//! | `Step::examine`, `Step::repair` | `doctor/secrets.rs`, `doctor/finding.rs` |
//!
//! Assumptions:
//!
//! - A function ends within an hour, because it has a deadline. A command may be suspended at any call.
//! - A command pins its version within an hour after it stored it. [`Mutation::InterruptedRotation`] shows the need for that.
//! - Secrets Manager's clock distinguishes versions that one rotation stored after another. [`Mutation::CoarseClock`] shows
//!   the need for that.
//!
//! Simplifications:
//!
//! - A lost response is a call that is carried out, and a failure before the next call. Only the commit has a step of its own
//!   for it, because a failed transaction and an unknown outcome are handled differently.
//! - A request that fails before it has changed anything is like one that was never sent.
//! - The SDK's retries are idempotent, so that a repeated call is not another step.
//! - One hour stands for both ages of left-over versions, and for `doctor`'s minimum age.

mod actor;
mod aws;
mod mutation;
pub mod properties;
mod steps;

use stateright::{Model, Property};

use self::{actor::Next, steps::Step};
pub use self::{
    actor::{Actor, Outcome, Phase, Role},
    aws::{Aws, Hour, VersionId},
    mutation::Mutation,
};

/// The maximum number of requests and commands of a scenario.
pub const MAX_ACTORS: usize = 4;

/// A scenario of requests and commands that run at the same time.
#[derive(Debug, Clone)]
pub struct RotationModel {
    pub roles: Vec<Role>,
    /// The number of hours that may pass.
    pub hours: Hour,
    /// Whether Secrets Manager may refuse new versions.
    pub has_quota: bool,
    pub mutation: Option<Mutation>,
}

/// The AWS services, and the progress of each request and command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub aws: Aws,
    pub actors: [Actor; MAX_ACTORS],
}

/// A step, with the index of the actor.
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
    /// Whether no request or command is in progress.
    fn is_quiet(&self) -> bool {
        !self.actors.iter().any(Actor::is_running)
    }
}

impl RotationModel {
    fn with_state<'a>(&self, state: &'a State) -> impl Iterator<Item = (Role, &'a Actor)> {
        self.roles.iter().copied().zip(&state.actors)
    }

    /// Whether an hour may pass now; see the assumptions.
    fn may_wait(&self, state: &State) -> bool {
        let holds_up = |(role, actor): (Role, &Actor)| {
            let is_bounded = match (role, actor.phase) {
                (Role::Rotate { .. }, Phase::Commit) => self.mutation != Some(Mutation::InterruptedRotation),
                _ => !role.is_command(),
            };
            actor.is_running() && is_bounded
        };
        state.aws.hour < self.hours && !self.with_state(state).any(holds_up)
    }

    /// Whether a failure before the next call differs from a request that was never sent.
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
            Action::Call(number) | Action::Fail(number) | Action::LoseResponse(number) | Action::ReachQuota(number) => {
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
