//! Events under `events/`. A file's name begins with the response's status and code; nothing depends on the rest of the name.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{
    FUNCTIONS, Response,
    api_keys::{FixtureKey, body_of},
    failure,
    new_values::without_new_values,
    response::success,
};
use crate::{event::Event, project};

/// An event, and the contract's response to it.
pub struct Fixture {
    pub function: String,
    /// The file's name without its extension.
    pub case: String,
    /// The file's text.
    pub event: String,
}

impl Fixture {
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut fixtures = Vec::new();
        for function in FUNCTIONS {
            let mut files: Vec<PathBuf> = fs::read_dir(project().join("events").join(function))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            fixtures
                .extend(files.iter().map(|file| Self::named(function, &file.file_stem().unwrap().to_string_lossy())));
        }
        fixtures
    }

    #[must_use]
    pub fn named(function: &str, case: &str) -> Self {
        let file = project().join("events").join(function).join(format!("{case}.json"));
        let event = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { function: function.to_owned(), case: case.to_owned(), event }
    }

    /// Returns the first fixture of a function whose response is a success.
    #[must_use]
    pub fn success(function: &str) -> Self {
        Self::of(function).into_iter().find(|fixture| fixture.status() < 300).unwrap()
    }

    /// Returns all fixtures of one function.
    #[must_use]
    pub fn of(function: &str) -> Vec<Self> {
        Self::all().into_iter().filter(|fixture| fixture.function == function).collect()
    }

    #[must_use]
    pub fn event(function: &str, case: &str) -> String {
        Self::named(function, case).event
    }

    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.event).unwrap()
    }

    /// Returns the event in a form that a test can change.
    #[must_use]
    pub fn to_event(&self) -> Event {
        self.json().into()
    }

    /// Returns the contract's exact response, with placeholders for random values and times.
    #[must_use]
    pub fn expected(&self) -> Response {
        let mut response = if self.status() < 400 { success(self) } else { failure(&self.function, self.code()) };
        if let Some(expires_at) = self.expiry_of_caller() {
            response.headers.push(("x-api-key-expires-at".to_owned(), expires_at));
        }
        response
    }

    /// Returns the expiry of the caller's key, if the key is accepted and expires.
    fn expiry_of_caller(&self) -> Option<String> {
        let event = self.json();
        let key = FixtureKey::presented(&event).filter(|_| self.status() != 401)?;
        let parameters = event["pathParameters"].as_object()?;
        let is_of_app = parameters.values().any(|id| id.as_str().is_some_and(|id| id.eq_ignore_ascii_case(&key.app)));
        key.expires_at().filter(|_| is_of_app).map(str::to_owned)
    }

    /// Returns whether the response is the same when the event is sent again. A key that revoked itself is then
    /// rejected.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        !(self.status() == 200 && FixtureKey::changes_itself(&self.json()))
    }

    /// Returns whether the response depends on the caller's address.
    #[must_use]
    pub fn depends_on_address(&self) -> bool {
        let event = self.json();
        let has_allow_list = FixtureKey::presented(&event).is_some_and(|key| key.has_allow_list());
        // A caller may give its own replacement only an allow list with the caller's address.
        let must_list_caller = self.status() == 201 && FixtureKey::changes_itself(&event);
        has_allow_list || must_list_caller && body_of(&event)["allowedCidrs"].is_array()
    }

    /// Returns whether a function can read the event. It treats an unreadable one as a request without headers, id and
    /// address.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let event = self.json();
        let mut headers = event["headers"].as_object().into_iter().flatten();
        !event["requestContext"].is_null() && headers.all(|(_, value)| value.is_string())
    }

    /// Returns whether the request has a header that only browsers send.
    #[must_use]
    pub fn is_from_browser(&self) -> bool {
        let event = self.json();
        let mut headers = event["headers"].as_object().into_iter().flatten();
        headers.any(|(name, _)| ["origin", "sec-fetch-site"].contains(&name.to_lowercase().as_str()))
    }

    /// Returns the status in the file's name.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.case[..3].parse().unwrap()
    }

    /// Returns the code in the file's name, which only failures have.
    fn code(&self) -> &str {
        &self.case[4..9]
    }

    /// Fails unless the response is the contract's, with well-formed values and times in place of the placeholders.
    pub fn assert_response(&self, mut response: Response) {
        if self.status() == 201 || self.status() == 200 && self.function.contains("api-key") {
            response.body = without_new_values(&response.body);
        }
        if self.status() == 201 && FixtureKey::changes_itself(&self.json()) {
            // A caller that replaced itself expires, so a repeated response has an expiry.
            response.headers.retain(|(name, _)| name != "x-api-key-expires-at");
        }
        assert_eq!(response, self.expected(), "{} {}", self.function, self.case);
    }
}
