//! `userdocks-admin doctor`: what does not fit together between the table and Secrets Manager.
//!
//! It reads page by page and never reads a secret's value. What is younger than `min_age` may belong to a change under way
//! and is left alone; what it finds is read again, strongly consistent, before it is reported. A table and a prefix that do
//! not belong together, such as those of two stages with the same apps, look like orphans all over: nothing is taken for
//! one to be repaired unless a version that the table pins is found under the prefix.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use userdocks::{
    api::Services,
    domain::{ApiKey, ApiKeyHash, ApiKeyId, App, AppId, SecretVersionId, SigningKeyState, Timestamp},
    secrets::{Purpose, SecretState, SecretVersion},
    store::{CorruptItem, Record, StoreError},
};

use crate::{AdminError, Answer, Show};

/// Something that does not fit together.
struct Finding {
    kind: &'static str,
    app: Option<AppId>,
    /// What it is about: the id of a version or key, the name of a secret, the keys of an item.
    id: String,
    /// What it means, and what the operator can do where `repair` does nothing.
    detail: String,
    repair: Option<Repair>,
}

/// What is safe to do about a finding: nothing that can't be undone for a month.
enum Repair {
    Keep(AppId, SecretVersionId),
    LetGo(AppId, SecretVersionId),
    ReturnCurrent(Box<App>, String),
    Restore(Purpose),
    ScheduleDeletion(Purpose),
    DeleteApiKey(AppId, ApiKeyHash),
}

impl Repair {
    fn description(&self) -> &'static str {
        match self {
            Self::Keep(..) => "give the version its label again",
            Self::LetGo(..) => "take the label away, so that Secrets Manager deletes the version",
            Self::ReturnCurrent(..) => "move AWSCURRENT to the version that the app returns",
            Self::Restore(..) => "restore the secret",
            Self::ScheduleDeletion(..) => "schedule the secret's deletion, in 30 days",
            Self::DeleteApiKey(..) => "delete the record; the table's point-in-time recovery keeps it",
        }
    }

    async fn carry_out(&self, services: &Services) -> Result<(), AdminError> {
        match self {
            Self::Keep(app, version) => services.secrets.keep_app_secret(*app, *version).await?,
            Self::LetGo(app, version) => services.secrets.release_app_secret(*app, *version).await?,
            Self::ReturnCurrent(app, version) => services.secrets.return_current(app, version).await?,
            Self::Restore(purpose) => services.secrets.restore(*purpose).await?,
            Self::ScheduleDeletion(purpose) => services.secrets.schedule_deletion(*purpose).await?,
            Self::DeleteApiKey(app, hash) => services.store.delete_api_key_without_app(*app, hash).await?,
        }
        Ok(())
    }
}

/// One examination: what it goes by, whom it tells, and what it counts.
struct Doctor<'a> {
    services: &'a Services,
    min_age: Duration,
    repairs: bool,
    show: Show<'a>,
    /// Once it is known.
    table_fits: Option<bool>,
    repaired: usize,
    remaining: usize,
}

/// How many secrets are looked at at a time; Secrets Manager allows some thousands of such calls a second.
const AT_A_TIME: usize = 8;

/// Finds what does not fit together, in the whole table or of one app, and with `repair` does about it what is safe.
///
/// # Errors
/// A service fails, or the findings can't be shown. A repair that fails is part of its finding.
pub async fn examine(
    services: &Services,
    app: Option<AppId>,
    min_age: Duration,
    repair: bool,
    show: Show<'_>,
) -> Result<Answer, AdminError> {
    let mut doctor = Doctor { services, min_age, repairs: repair, show, table_fits: None, repaired: 0, remaining: 0 };
    doctor.examine_table(app).await?;
    doctor.examine_secrets(app).await?;
    let Doctor { repaired, remaining, .. } = doctor;
    let problems = match remaining {
        0 => vec![],
        1 => vec!["1 finding remains".to_owned()],
        more => vec![format!("{more} findings remain")],
    };
    Ok(Answer { value: json!({ "repaired": repaired, "remaining": remaining }), problems })
}

/// What the API keys read so far are known by, to find those that are not unique: ids in their app, whose items follow one
/// another, and values in the whole table, of which 16 bytes of the hash are kept.
#[derive(Default)]
struct Seen {
    app: Option<AppId>,
    ids: HashSet<ApiKeyId>,
    hashes: HashSet<u128>,
}

impl Seen {
    /// A revoked key does no harm, whatever its id is.
    fn add(&mut self, app: AppId, key: &ApiKey) -> Option<Finding> {
        if key.revoked_at.is_some() {
            return None;
        }
        if self.app.replace(app) != Some(app) {
            self.ids.clear();
        }
        let half = key.hash.as_str().get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
        let is_new_value = half.is_none_or(|half| self.hashes.insert(half));
        let (kind, detail) = match (self.ids.insert(key.id), is_new_value) {
            (false, _) => (
                "repeated-api-key-id",
                "the app has another API key of this id: `api-key issue` new ones, then `api-key revoke` revokes both",
            ),
            (true, false) => (
                "repeated-api-key",
                "another app has an API key of the same value: `api-key issue` a new one, then `api-key revoke` this one",
            ),
            (true, true) => return None,
        };
        Some(Finding { kind, app: Some(app), id: key.id.to_string(), detail: detail.to_owned(), repair: None })
    }
}

fn repeated_signing_keys(app: &App) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let repeated = app.signing_keys.iter().filter(|key| !seen.insert(key.id));
    repeated
        .map(|key| Finding {
            kind: "repeated-signing-key-id",
            app: Some(app.id),
            id: key.id.to_string(),
            detail:
                "the app has another signing key of this id, so that verifiers may take the wrong one: `signing-key \
                     create` and `activate` a new one"
                    .to_owned(),
            repair: None,
        })
        .collect()
}

/// The API keys of one app, for as long as its record has not been seen.
struct WithoutApp {
    app: AppId,
    keys: Vec<ApiKey>,
}

impl Doctor<'_> {
    async fn examine_table(&mut self, app: Option<AppId>) -> Result<(), AdminError> {
        let mut pages = self.services.store.records(app);
        let mut without_app: Option<WithoutApp> = None;
        let mut seen = Seen::default();
        while let Some(records) = pages.next().await? {
            let (mut findings, mut apps) = (Vec::new(), Vec::new());
            for record in records {
                match record {
                    Err(corrupt) => findings.push(corrupt_item(&corrupt)),
                    Ok(Record::StoredResult(_) | Record::Index(..)) => {}
                    Ok(Record::App(app)) => {
                        without_app = without_app.filter(|group| group.app != app.id);
                        findings.extend(repeated_signing_keys(&app));
                        apps.push(*app);
                    }
                    Ok(Record::ApiKey(app, key)) => {
                        findings.extend(seen.add(app, &key));
                        match &mut without_app {
                            Some(group) if group.app == app => group.keys.push(*key),
                            _ => {
                                let before = without_app.replace(WithoutApp { app, keys: vec![*key] });
                                findings.extend(self.api_keys_without_app(before).await?);
                            }
                        }
                    }
                }
            }
            self.report(findings).await?;
            self.examine_apps(apps).await?;
        }
        let findings = self.api_keys_without_app(without_app).await?;
        self.report(findings).await
    }

    /// The keys come before their app's record, in the order of the table; and keys that come behind it have an app too.
    async fn api_keys_without_app(&self, group: Option<WithoutApp>) -> Result<Vec<Finding>, AdminError> {
        let Some(WithoutApp { app, keys }) = group else { return Ok(vec![]) };
        match self.services.store.find_app(app).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(StoreError::Corrupt(_)) => return Ok(vec![]),
            Err(error) => return Err(error.into()),
        }
        // An import puts the app's secret before its keys, which have the times that they had elsewhere.
        let secret = self.services.secrets.describe(Purpose::AppSecret(app)).await?;
        if secret.is_some_and(|secret| !self.is_old(secret.changed)) {
            return Ok(vec![]);
        }
        let long_ago = Timestamp::now().before(self.min_age);
        let old = keys.into_iter().filter(|key| key.updated_at <= long_ago);
        Ok(old
            .map(|key| Finding {
                kind: "api-key-without-app",
                app: Some(app),
                id: key.id.to_string(),
                detail: "the app does not exist; the key lets nobody in, but would if an app of this id were created"
                    .to_owned(),
                repair: Some(Repair::DeleteApiKey(app, key.hash)),
            })
            .collect())
    }

    async fn examine_apps(&mut self, apps: Vec<App>) -> Result<(), AdminError> {
        let this = &*self;
        let examined = stream::iter(apps).map(|app| async move {
            if this.examine_app(&app).await?.is_empty() {
                return Ok(vec![]);
            }
            // A change may have come between; only what is found twice is so.
            match this.services.store.find_app(app.id).await? {
                Some(app) => this.examine_app(&app).await,
                None => Ok(vec![]),
            }
        });
        let findings: Vec<Vec<Finding>> = examined.buffered(AT_A_TIME).try_collect().await?;
        self.report(findings.into_iter().flatten().collect()).await
    }

    async fn examine_app(&self, app: &App) -> Result<Vec<Finding>, AdminError> {
        let mut findings = Vec::new();
        let purpose = Purpose::AppSecret(app.id);
        match self.services.secrets.describe(purpose).await? {
            Some(state) if !state.is_scheduled_for_deletion => {
                findings.extend(self.examine_versions(app, &state).await?);
            }
            state => findings.extend(self.unavailable(app, purpose, state.as_ref())),
        }
        let generated = app.signing_keys.iter().filter(|key| !key.is_imported && key.state != SigningKeyState::Revoked);
        for key in generated {
            let purpose = Purpose::SigningKey(app.id, key.id);
            let state = self.services.secrets.describe(purpose).await?;
            findings.extend(self.unavailable(app, purpose, state.as_ref()));
        }
        Ok(findings)
    }

    /// A secret that the record names, and whose value nobody can read.
    fn unavailable(&self, app: &App, purpose: Purpose, state: Option<&SecretState>) -> Option<Finding> {
        let (id, scheduled, missing, way_out) = match purpose {
            Purpose::AppSecret(_) => (
                self.services.secrets.name(purpose),
                "secret-scheduled-for-deletion",
                "secret-missing",
                "create an empty secret of this name in Secrets Manager, then `secret set` or `secret rotate`",
            ),
            Purpose::SigningKey(_, key) => (
                key.to_string(),
                "private-key-scheduled-for-deletion",
                "private-key-missing",
                "`signing-key create`, then `activate` the new key and `revoke` this one",
            ),
        };
        let (kind, detail, repair) = match state {
            Some(state) if state.is_scheduled_for_deletion && app.is_disabled => (
                scheduled,
                "the app is disabled: finish `app delete`, or restore it in Secrets Manager".to_owned(),
                None,
            ),
            Some(state) if state.is_scheduled_for_deletion => {
                (scheduled, "the app needs it".to_owned(), Some(Repair::Restore(purpose)))
            }
            Some(state) if state.has_value => return None,
            _ => (missing, format!("it is gone or has no value: {way_out}"), None),
        };
        Some(Finding { kind, app: Some(app.id), id, detail, repair })
    }

    async fn examine_versions(&self, app: &App, state: &SecretState) -> Result<Vec<Finding>, AdminError> {
        let pinned = app.secret_version_id;
        // A previous version is of use to nobody after its overlap, but until the next change its label stays.
        let kept = app.previous_secret.map(|previous| previous.version_id);
        let handed_out = app.previous_secret(Timestamp::now()).map(|previous| previous.version_id);
        let is_needed = |version: SecretVersionId| version == pinned || Some(version) == handed_out;
        let needed = std::iter::once(pinned).chain(handed_out);
        let is_in_order = needed.clone().all(|version| state.kept_versions.contains(&version))
            && state.kept_versions.iter().all(|version| is_needed(*version) || Some(*version) == kept)
            && state.current_version.as_ref().is_none_or(|current| *current == pinned.to_string())
            && state.pending_version.as_ref().is_none_or(|pending| *pending == pinned.to_string());
        if is_in_order {
            return Ok(vec![]);
        }
        let versions = self.services.secrets.app_secret_versions(app.id).await?;
        let labels = self.examine_labels(app, state, &versions);
        let finding = |kind, version: SecretVersionId, detail: &str, repair| Finding {
            kind,
            app: Some(app.id),
            id: version.to_string(),
            detail: detail.to_owned(),
            repair,
        };
        let missing = needed.filter(|version| !state.kept_versions.contains(version)).map(|version| {
            if versions.iter().any(|found| found.id == version) {
                let detail = "the app hands out this version, which has lost its label: Secrets Manager may delete it";
                finding("unlabelled-version", version, detail, Some(Repair::Keep(app.id, version)))
            } else if version == pinned {
                let detail = "the app hands out this version, which is gone: `secret set` or `secret rotate`";
                finding("pinned-version-missing", version, detail, None)
            } else {
                let detail = "the app hands out this version as its previous, which is gone: `secret end-overlap`";
                finding("previous-version-missing", version, detail, None)
            }
        });
        let is_pinned_there = versions.iter().any(|version| version.id == pinned);
        let left_over = versions
            .iter()
            .filter(|version| state.kept_versions.contains(&version.id))
            .filter(|version| !is_needed(version.id) && Some(version.id) != kept && self.is_old(version.made))
            .map(|version| {
                let detail = "no record names this version of the app's secret, and its label keeps it";
                let repair = is_pinned_there.then_some(Repair::LetGo(app.id, version.id));
                finding("orphaned-version", version.id, detail, repair)
            });
        // A version gives up AWSCURRENT before its own label, by which it is known to be one of ours.
        Ok(labels.into_iter().chain(missing).chain(left_over).collect())
    }

    /// The labels that people and Secrets Manager's own rotation go by.
    fn examine_labels(&self, app: &App, state: &SecretState, versions: &[SecretVersion]) -> Vec<Finding> {
        let pinned = app.secret_version_id;
        let named = |id: &str| versions.iter().find(|version| version.id.to_string() == id);
        // A version without a UUID was not stored by a change of ours, which may be under way.
        let is_old = |id: &str| named(id).is_none_or(|version| self.is_old(version.made));
        let finding = |kind, id: &str, detail: &str, repair| Finding {
            kind,
            app: Some(app.id),
            id: id.to_owned(),
            detail: detail.to_owned(),
            repair,
        };
        let mut findings = Vec::new();
        let current = state.current_version.as_ref().filter(|current| **current != pinned.to_string());
        if let Some(current) = current.filter(|_| named(&pinned.to_string()).is_some()) {
            let is_ours = state.kept_versions.iter().any(|kept| kept.to_string() == *current);
            if !is_ours {
                let detail = "AWSCURRENT is on this version, which was not stored by userdocks, and the API does not return it: \
                              give its value to `secret set`, or move AWSCURRENT back to the version that `app show` names";
                findings.push(finding("foreign-current-version", current, detail, None));
            } else if is_old(current) && is_old(&pinned.to_string()) {
                let detail = "AWSCURRENT is on this version, and the API returns another one";
                let repair = Repair::ReturnCurrent(Box::new(app.clone()), current.clone());
                findings.push(finding("misplaced-current-label", current, detail, Some(repair)));
            }
        }
        let pending = state.pending_version.as_ref().filter(|pending| **pending != pinned.to_string());
        if let Some(pending) = pending.filter(|pending| is_old(pending)) {
            let detail = "AWSPENDING is on this version: a rotation by Secrets Manager itself began and did not end; switch it \
                          off, and remove the label with `aws secretsmanager update-secret-version-stage`";
            findings.push(finding("pending-version", pending, detail, None));
        }
        findings
    }

    async fn examine_secrets(&mut self, app: Option<AppId>) -> Result<(), AdminError> {
        let mut pages = self.services.secrets.names(app);
        while let Some(names) = pages.next().await? {
            let purposes = names.into_iter().map(|name| (self.services.secrets.purpose(&name), name));
            let (known, unknown): (Vec<_>, Vec<_>) = purposes.partition(|(purpose, _)| purpose.is_some());
            let known: Vec<Purpose> = known.into_iter().filter_map(|(purpose, _)| purpose).collect();
            let owners: HashSet<AppId> = known.iter().map(|purpose| purpose.app()).collect();
            let apps = self.services.store.find_apps(owners).await?;
            self.report(unknown.into_iter().map(|(_, name)| unknown_secret(name)).collect()).await?;
            for purpose in known {
                let app = match apps.get(&purpose.app()) {
                    None => None,
                    Some(Ok(app)) => Some(app),
                    // Nobody knows what it names.
                    Some(Err(_)) => continue,
                };
                if self.orphan(app, purpose).is_some() {
                    let finding = self.examine_orphan(purpose).await?;
                    self.report(finding.into_iter().collect()).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks again at what seems to be an orphan, just before it is repaired: listings of secrets lag behind by some
    /// minutes, and an app may be about to be made with it.
    async fn examine_orphan(&mut self, purpose: Purpose) -> Result<Option<Finding>, AdminError> {
        let app = self.services.store.find_app(purpose.app()).await?;
        let Some(mut finding) = self.orphan(app.as_ref(), purpose) else { return Ok(None) };
        let belong_together = match &app {
            Some(app) => self.pins_what_is_there(app).await?,
            None => self.table_fits().await?,
        };
        if !belong_together {
            finding.repair = None;
            finding.detail.push_str("; nor does the table pin what is under this prefix: do they belong together?");
        }
        let state = self.services.secrets.describe(purpose).await?;
        let is_there = state.is_some_and(|state| !state.is_scheduled_for_deletion && self.is_old(state.changed));
        Ok(is_there.then_some(finding))
    }

    async fn pins_what_is_there(&self, app: &App) -> Result<bool, AdminError> {
        let state = self.services.secrets.describe(Purpose::AppSecret(app.id)).await?;
        Ok(state.is_some_and(|state| state.kept_versions.contains(&app.secret_version_id)))
    }

    /// Whether one of some apps of the table has its pinned version under the prefix.
    async fn table_fits(&mut self) -> Result<bool, AdminError> {
        /// So many that one whose secret is lost does not decide.
        const APPS: usize = 10;
        if let Some(known) = self.table_fits {
            return Ok(known);
        }
        let mut pages = self.services.store.apps();
        let mut apps = Vec::new();
        while let Some(page) = pages.next().await? {
            apps.extend(page.into_iter().flatten().take(APPS - apps.len()));
            if apps.len() == APPS {
                break;
            }
        }
        let mut fits = false;
        for app in &apps {
            fits = fits || self.pins_what_is_there(app).await?;
        }
        self.table_fits = Some(fits);
        Ok(fits)
    }

    /// A secret of an app that does not exist; or a private key that is of no use, since the record has no such key any
    /// more, or it is revoked, which is for good.
    fn orphan(&self, app: Option<&App>, purpose: Purpose) -> Option<Finding> {
        let Some(app) = app else {
            return Some(secret_without_app(purpose, self.services.secrets.name(purpose)));
        };
        let Purpose::SigningKey(_, id) = purpose else { return None };
        let long_ago = Timestamp::now().before(self.min_age);
        let detail = match app.signing_keys.get(id) {
            Err(_) => "the app has no such signing key",
            Ok(key) if key.state == SigningKeyState::Revoked && key.updated_at <= long_ago => {
                "the signing key is revoked"
            }
            Ok(_) => return None,
        };
        Some(Finding {
            kind: "orphaned-private-key",
            app: Some(app.id),
            id: id.to_string(),
            detail: detail.to_owned(),
            repair: Some(Repair::ScheduleDeletion(purpose)),
        })
    }

    fn is_old(&self, moment: Option<SystemTime>) -> bool {
        let age = moment.and_then(|moment| SystemTime::now().duration_since(moment).ok());
        age.is_some_and(|age| age >= self.min_age)
    }

    /// Shows findings, with what was done about each.
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
            rows.push(row(&finding, is_repaired, failed.as_ref()));
        }
        if rows.is_empty() { Ok(()) } else { (self.show)(rows) }
    }
}

fn row(finding: &Finding, is_repaired: bool, failed: Option<&AdminError>) -> Value {
    let detail = match failed {
        Some(error) => format!("{}; the repair failed: {error}", finding.detail),
        None => finding.detail.clone(),
    };
    json!({
        "kind": finding.kind,
        "app": finding.app.map(|app| app.to_string()),
        "id": finding.id,
        "isRepaired": is_repaired,
        "repair": finding.repair.as_ref().map(Repair::description),
        "detail": detail,
    })
}

fn corrupt_item(corrupt: &CorruptItem) -> Finding {
    Finding {
        kind: "corrupt-item",
        app: corrupt.app,
        id: corrupt.item.clone(),
        detail: format!("attribute {} is {}", corrupt.attribute, corrupt.problem),
        repair: None,
    }
}

fn unknown_secret(name: String) -> Finding {
    let detail = "nothing here gives a secret under the prefix this name".to_owned();
    Finding { kind: "unknown-secret", app: None, id: name, detail, repair: None }
}

fn secret_without_app(purpose: Purpose, name: String) -> Finding {
    Finding {
        kind: "secret-without-app",
        app: Some(purpose.app()),
        id: name,
        detail: "the app does not exist".to_owned(),
        repair: Some(Repair::ScheduleDeletion(purpose)),
    }
}
