//! The calls of each role, in the order of the code.

use crate::{
    Mutation,
    actor::{Actor, Next, Outcome, Phase, Plan, Role},
    aws::{App, Aws, Hour, LabelError, VersionId, Versions},
};

/// One step of an actor.
pub struct Step<'a> {
    pub aws: &'a mut Aws,
    pub actor: &'a mut Actor,
    pub role: Role,
    pub mutation: Option<Mutation>,
}

impl Step<'_> {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Carries out the next call of AWS, and handles its response.
    pub fn call(&mut self) {
        match self.actor.phase {
            Phase::Ready => self.read(),
            Phase::Count => self.actor.phase = self.after_count(),
            Phase::Put { .. } => self.put(),
            Phase::List { next } => self.list(next),
            Phase::Tidy { plan, next } => self.tidy(plan, next),
            Phase::Commit => self.commit(),
            Phase::StoreResult => {
                self.aws.table.result = self.actor.version;
                self.actor.phase = Phase::List { next: Next::Respond };
            }
            Phase::FindResult => self.actor.phase = Phase::Abandon { result: self.aws.table.result },
            Phase::Abandon { result } => {
                if let Some(version) = self.actor.version {
                    // Best effort.
                    let _ = self.aws.secret.release(version);
                }
                self.after_abandon(result);
            }
            Phase::FindApp { result } => {
                self.actor.app = self.aws.table.app;
                self.replay(result);
            }
            Phase::GetValue { version, previous } => self.get_value(version, previous),
            Phase::Describe => {
                let (kept, current) = (self.aws.secret.kept, self.aws.secret.current);
                self.actor.phase = Phase::Examine { kept, current };
            }
            Phase::Examine { kept, current } => self.examine(kept, current),
            Phase::Repair { plan, is_settled } => self.repair(plan, is_settled),
            Phase::Done(_) => {}
        }
    }

    /// `Store::find_caller`, or `find_app` of a command.
    fn read(&mut self) {
        self.actor.app = self.aws.table.app;
        self.actor.read_at = self.aws.hour;
        self.actor.returned = self.actor.app.returned(self.aws.hour);
        match self.role {
            Role::Post { has_key, .. } => match self.aws.table.result.filter(|_| has_key) {
                Some(result) => self.replay(result),
                None => self.actor.phase = Phase::Count,
            },
            Role::Rotate { .. } => self.actor.phase = self.after_count(),
            Role::EndOverlap if self.actor.app.previous.is_none() => self.actor.end(Outcome::Ended(None)),
            Role::EndOverlap => self.actor.phase = Phase::Commit,
            Role::Get => {
                let previous = if self.is(Mutation::ReadExpiredPrevious) {
                    self.actor.app.previous.map(|previous| previous.version)
                } else {
                    self.actor.app.previous_at(self.aws.hour)
                };
                self.actor.phase = Phase::GetValue { version: self.actor.app.pinned, previous };
            }
            Role::Doctor => self.actor.phase = Phase::Describe,
        }
    }

    fn after_count(&self) -> Phase {
        if self.is(Mutation::PinBeforePut) { Phase::Commit } else { Phase::Put { is_second: false } }
    }

    /// `Secrets::put_app_secret`.
    fn put(&mut self) {
        let version = self.aws.secret.put(self.aws.hour);
        if self.is(Mutation::PutWithoutLabel) {
            self.aws.secret.kept.remove(version);
        }
        self.actor.version = Some(version);
        self.actor.phase = match self.mutation {
            Some(Mutation::PinBeforePut) => Phase::List { next: Next::Respond },
            Some(Mutation::TidyBeforeCommit) => {
                self.actor.app = self.changed_app();
                Phase::List { next: Next::Commit }
            }
            _ => Phase::Commit,
        };
    }

    /// Secrets Manager refuses the new version, because the secret has too many versions or labels.
    pub fn reach_quota(&mut self) {
        match self.actor.phase {
            Phase::Put { is_second: false } => self.actor.phase = Phase::List { next: Next::Put },
            _ => self.actor.end(Outcome::Refused),
        }
    }

    /// The record to store.
    fn changed_app(&self) -> App {
        let app = self.actor.app;
        match self.role {
            Role::Post { overlap, .. } | Role::Rotate { overlap } => {
                let version = self.actor.version.unwrap_or(self.aws.secret.next());
                app.rotated(version, self.actor.read_at + overlap)
            }
            _ => App { previous: None, ..app },
        }
    }

    /// `Store::update_app`, one transaction.
    fn commit(&mut self) {
        if self.transact() {
            match self.role {
                Role::EndOverlap => {
                    let ended = self.actor.app.previous.map(|previous| previous.version);
                    self.actor.end(Outcome::Ended(ended));
                }
                _ => self.actor.phase = self.after_commit(),
            }
        } else {
            self.lose();
        }
    }

    fn after_commit(&mut self) -> Phase {
        self.actor.app = self.aws.table.app;
        match self.mutation {
            Some(Mutation::PinBeforePut) => Phase::Put { is_second: false },
            Some(Mutation::ResultAfterCommit) if self.role.has_key() => Phase::StoreResult,
            _ => Phase::List { next: Next::Respond },
        }
    }

    /// Returns whether the transaction was committed.
    fn transact(&mut self) -> bool {
        let table = &mut self.aws.table;
        let (read, has_key) = (self.actor.app, self.role.has_key());
        let is_unchanged = table.app.version == read.version && !(has_key && table.result.is_some());
        if !is_unchanged && self.mutation != Some(Mutation::UnconditionalCommit) {
            return false;
        }
        let changed = if self.mutation == Some(Mutation::TidyBeforeCommit) && self.actor.version.is_some() {
            read
        } else {
            self.changed_app()
        };
        let table = &mut self.aws.table;
        table.app = App { version: read.version + 1, ..changed };
        if has_key && self.mutation != Some(Mutation::ResultAfterCommit) {
            table.result = Some(changed.pinned);
        }
        self.actor.replaced = Some(read.version);
        true
    }

    /// Commits, but the response is lost.
    pub fn lose_response(&mut self) {
        self.transact();
        if self.is(Mutation::LostIsConflict) {
            self.lose();
        } else {
            self.actor.end(Outcome::Failed);
        }
    }

    /// Another change won.
    fn lose(&mut self) {
        match self.role {
            Role::Post { has_key: true, .. } => self.actor.phase = Phase::FindResult,
            Role::Post { .. } | Role::Rotate { .. } => self.actor.phase = Phase::Abandon { result: None },
            _ => self.actor.end(Outcome::Refused),
        }
    }

    fn after_abandon(&mut self, result: Option<VersionId>) {
        match result {
            Some(result) => self.actor.phase = Phase::FindApp { result },
            None => self.actor.end(Outcome::Refused),
        }
    }

    /// `Rotation::repeated`, with the app that was just read.
    fn replay(&mut self, result: VersionId) {
        let is_returned = self.actor.app.returned(self.aws.hour).contains(result);
        if is_returned || self.is(Mutation::ReplayDroppedSecret) {
            self.actor.phase = Phase::GetValue { version: result, previous: None };
        } else {
            self.actor.end(Outcome::Refused);
        }
    }

    /// `Secrets::app_secret`.
    fn get_value(&mut self, version: VersionId, previous: Option<VersionId>) {
        if !self.aws.secret.existing.contains(version) {
            let is_named = self.aws.table.app.returned(self.aws.hour).contains(version);
            self.actor.end(if is_named { Outcome::Unreadable(version) } else { Outcome::Overtaken });
            return;
        }
        match (self.role, previous) {
            (Role::Get, Some(previous)) => {
                self.actor.version = Some(version);
                self.actor.phase = Phase::GetValue { version: previous, previous: None };
            }
            (Role::Get, None) => {
                let first = self.actor.version.map(Versions::one).unwrap_or_default();
                self.actor.respond(first.union(Versions::one(version)), Outcome::Read);
            }
            _ => self.actor.respond(Versions::one(version), Outcome::Created(version)),
        }
    }

    /// `Secrets::tidy_app_secret`: lists the labels.
    fn list(&mut self, next: Next) {
        self.tidy_next(self.plan(), next);
    }

    /// Decides which labels to change.
    fn plan(&self) -> Plan {
        let (secret, app) = (&self.aws.secret, self.actor.app);
        let (labelled, previous) = (secret.labelled(), app.previous.map(|previous| previous.version));
        let judged_at: Hour = if self.is(Mutation::AgeAtTidying) { self.aws.hour } else { self.actor.read_at };
        let mut plan = Plan::default();
        for version in labelled.iter().filter(|version| *version != app.pinned) {
            let is_older = labelled.contains(app.pinned)
                && match self.mutation {
                    Some(Mutation::CoarseClock) => secret.created(version) <= secret.created(app.pinned),
                    Some(Mutation::TidyYounger) => true,
                    _ => version < app.pinned,
                };
            if secret.current == version && is_older {
                plan.current_from = Some(version);
            }
            let is_left_over = secret.created(version) < judged_at;
            let is_kept = previous == Some(version) && !self.is(Mutation::TidyPrevious);
            let is_unneeded = !is_kept && (is_older || is_left_over) && !self.is(Mutation::LeaveLabels);
            if secret.kept.contains(version) && is_unneeded {
                plan.release.insert(version);
            }
        }
        plan
    }

    /// Makes the next change of a label.
    fn tidy(&mut self, mut plan: Plan, next: Next) {
        let own_first = self.is(Mutation::OwnLabelsFirst) && plan.release.first().is_some();
        let outcome = match (plan.current_from.filter(|_| !own_first), plan.release.first()) {
            (Some(from), _) => {
                let moved = self.aws.secret.move_current(from, self.actor.app.pinned);
                if moved == Err(LabelError::Moved) && !self.is(Mutation::AcceptMovedCurrent) {
                    self.actor.phase = Phase::List { next };
                    return;
                }
                plan.current_from = None;
                moved
            }
            (None, Some(version)) => {
                plan.release.remove(version);
                self.aws.secret.release(version)
            }
            (None, None) => Ok(()),
        };
        match outcome {
            Err(LabelError::Missing) => self.give_up(),
            Ok(()) | Err(LabelError::Moved) => self.tidy_next(plan, next),
        }
    }

    fn tidy_next(&mut self, plan: Plan, next: Next) {
        if plan == Plan::default() {
            self.tidied(next);
        } else {
            self.actor.phase = Phase::Tidy { plan, next };
        }
    }

    fn tidied(&mut self, next: Next) {
        match next {
            Next::Put => self.actor.phase = Phase::Put { is_second: true },
            Next::Commit => self.actor.phase = Phase::Commit,
            // The process has cached the value.
            Next::Respond => match self.actor.version {
                // A command prints no secret.
                Some(version) if self.role.is_command() => self.actor.end(Outcome::Created(version)),
                Some(version) => self.actor.respond(Versions::one(version), Outcome::Created(version)),
                None => self.actor.end(Outcome::Failed),
            },
        }
    }

    /// The call fails or the process stops.
    pub fn give_up(&mut self) {
        match self.actor.phase {
            // Clean-ups are best effort.
            Phase::List { next: Next::Respond } | Phase::Tidy { next: Next::Respond, .. } => self.tidied(Next::Respond),
            Phase::Abandon { result } => self.after_abandon(result),
            Phase::Repair { plan, .. } => self.skip_repair(plan),
            _ => self.actor.end(Outcome::Failed),
        }
    }

    /// `Doctor::examine_versions`, with the labels of `DescribeSecret`.
    fn examine(&mut self, kept: Versions, current: VersionId) {
        let (app, secret) = (self.actor.app, &self.aws.secret);
        let needed = app.returned(self.aws.hour);
        let judged_at = if self.is(Mutation::DoctorAgesLate) { self.aws.hour } else { self.actor.read_at };
        let is_old = |version| secret.created(version) < judged_at;
        let mut plan = Plan::default();
        let is_misplaced = current != app.pinned && kept.contains(current) && secret.existing.contains(app.pinned);
        if is_misplaced && is_old(current) && is_old(app.pinned) {
            plan.current_from = Some(current);
        }
        for version in secret.existing.iter() {
            let is_previous = app.previous.is_some_and(|previous| previous.version == version);
            if needed.contains(version) && !kept.contains(version) {
                plan.keep.insert(version);
            }
            let is_needed = needed.contains(version) || is_previous;
            if kept.contains(version) && !is_needed && is_old(version) && secret.existing.contains(app.pinned) {
                plan.release.insert(version);
            }
        }
        self.repair_next(plan);
    }

    /// `Repair::carry_out` of the next finding.
    fn repair(&mut self, mut plan: Plan, is_settled: bool) {
        let pinned = self.actor.app.pinned;
        let secret = &mut self.aws.secret;
        if let Some(from) = plan.current_from {
            // The code calls `DescribeSecret` before. That changes nothing, because the move names the version.
            let _ = secret.move_current(from, pinned);
            plan.current_from = None;
        } else if let Some(version) = plan.keep.first() {
            let _ = secret.keep(version);
            plan.keep.remove(version);
        } else if let Some(version) = plan.release.first() {
            if !is_settled && self.mutation != Some(Mutation::DoctorReleasesCurrent) {
                // `Secrets::release_orphan` checks where AWSCURRENT is.
                if secret.current == pinned || !secret.kept.contains(secret.current) {
                    self.actor.phase = Phase::Repair { plan, is_settled: true };
                    return;
                }
                plan.release.remove(version);
                self.repair_next(plan);
                return;
            }
            let _ = secret.release(version);
            plan.release.remove(version);
        }
        self.repair_next(plan);
    }

    /// The repair fails, and the next one follows.
    fn skip_repair(&mut self, mut plan: Plan) {
        if plan.current_from.is_some() {
            plan.current_from = None;
        } else if let Some(version) = plan.keep.first() {
            plan.keep.remove(version);
        } else if let Some(version) = plan.release.first() {
            plan.release.remove(version);
        }
        self.repair_next(plan);
    }

    fn repair_next(&mut self, plan: Plan) {
        if plan == Plan::default() {
            self.actor.end(Outcome::Repaired);
        } else {
            self.actor.phase = Phase::Repair { plan, is_settled: false };
        }
    }
}
