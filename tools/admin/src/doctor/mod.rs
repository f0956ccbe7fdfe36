//! `userdocks-admin doctor`: checks that the table and Secrets Manager are consistent.
//!
//! The check reads page by page, and never reads a secret's value. It ignores anything younger than `min_age`, which may
//! belong to a running change. Before it reports a finding, it reads the records again, strongly consistent.
//!
//! If the table and the prefix belong to different stages, all secrets look like orphans. Therefore orphans are repaired only
//! if the table pins a version under the prefix.

mod api_keys;
mod finding;
mod orphans;
mod secrets;
mod table;

use std::time::{Duration, SystemTime};

use serde_json::json;
use userdocks::{api::Services, domain::AppId};

use self::finding::Finding;
use crate::{AdminError, CommandOutput, Show};

/// A running check.
struct Doctor<'a> {
    services: &'a Services,
    /// Ages count from the start: what is old only now may be in use since its record was read.
    started_at: SystemTime,
    min_age: Duration,
    repairs: bool,
    show: Show<'a>,
    /// True if the table and the prefix belong to the same stage; `None` until that is known.
    table_fits: Option<bool>,
    repaired: usize,
    remaining: usize,
}

/// Prints the inconsistencies of one app or of all. With `repair`, repairs those that can be repaired safely.
///
/// # Errors
/// An AWS service fails, or the output cannot be written. A failed repair is not an error, but part of its finding.
pub async fn examine(
    services: &Services,
    app: Option<AppId>,
    min_age: Duration,
    repair: bool,
    show: Show<'_>,
) -> Result<CommandOutput, AdminError> {
    let started_at = SystemTime::now();
    let mut doctor =
        Doctor { services, started_at, min_age, repairs: repair, show, table_fits: None, repaired: 0, remaining: 0 };
    doctor.examine_table(app).await?;
    doctor.examine_secrets(app).await?;
    let Doctor { repaired, remaining, .. } = doctor;
    let problems = match remaining {
        0 => vec![],
        1 => vec!["1 finding remains".to_owned()],
        more => vec![format!("{more} findings remain")],
    };
    Ok(CommandOutput { value: json!({ "repaired": repaired, "remaining": remaining }), problems })
}

impl Doctor<'_> {
    fn is_old(&self, moment: Option<SystemTime>) -> bool {
        let age = moment.and_then(|moment| self.started_at.duration_since(moment).ok());
        age.is_some_and(|age| age >= self.min_age)
    }

    /// Repairs findings if asked to, and prints them with the outcome.
    async fn report(&mut self, findings: Vec<Finding>) -> Result<(), AdminError> {
        let mut rows = Vec::with_capacity(findings.len());
        for finding in findings {
            let outcome = match &finding.repair {
                Some(repair) if self.repairs => Some(repair.carry_out(self.services).await),
                _ => None,
            };
            let is_repaired = matches!(outcome, Some(Ok(())));
            let failed = outcome.and_then(Result::err);
            *(if is_repaired { &mut self.repaired } else { &mut self.remaining }) += 1;
            rows.push(finding.row(is_repaired, failed.as_ref()));
        }
        if rows.is_empty() { Ok(()) } else { (self.show)(rows) }
    }
}
