//! `userdocks-admin doctor`: whether the table and Secrets Manager are consistent.
//!
//! The examination reads page by page and never reads a secret's value. It leaves alone what is younger than `min_age`, which
//! may belong to a running change, and reads a finding again, strongly consistent, before it reports it. If the table and the
//! prefix are of different stages, all secrets look like orphans: an orphan is repaired only if the prefix has a version that
//! the table pins.

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

/// One examination.
struct Doctor<'a> {
    services: &'a Services,
    min_age: Duration,
    repairs: bool,
    show: Show<'a>,
    /// Whether the table and the prefix are of the same stage, once it is known.
    table_fits: Option<bool>,
    repaired: usize,
    remaining: usize,
}

/// Shows the inconsistencies of the whole table or of one app, and with `repair` repairs what is safe to repair.
///
/// # Errors
/// An AWS service fails, or the findings can't be shown. A repair that fails is part of its finding.
pub async fn examine(
    services: &Services,
    app: Option<AppId>,
    min_age: Duration,
    repair: bool,
    show: Show<'_>,
) -> Result<CommandOutput, AdminError> {
    let mut doctor = Doctor { services, min_age, repairs: repair, show, table_fits: None, repaired: 0, remaining: 0 };
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
        let age = moment.and_then(|moment| SystemTime::now().duration_since(moment).ok());
        age.is_some_and(|age| age >= self.min_age)
    }

    /// Shows findings, each with its repair's outcome.
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
