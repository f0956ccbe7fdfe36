use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{FUNCTIONS, Response, api_keys::FixtureKey, failure, new_values::without_new_values, response::success};
use crate::{event::Event, project};

/// An event of a function.
pub struct Fixture {
    /// The function it is for.
    pub function: String,
    /// The file's name without its ending. It begins with the response's status and code.
    pub case: String,
    /// The event, as it is in the file.
    pub event: String,
}

impl Fixture {
    /// All fixtures of all functions.
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

    /// The fixture of one case.
    #[must_use]
    pub fn named(function: &str, case: &str) -> Self {
        let file = project().join("events").join(function).join(format!("{case}.json"));
        let event = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { function: function.to_owned(), case: case.to_owned(), event }
    }

    /// The first fixture of a function that is a success.
    #[must_use]
    pub fn success(function: &str) -> Self {
        Self::of(function).into_iter().find(|fixture| fixture.status() < 300).unwrap()
    }

    /// All fixtures of one function.
    #[must_use]
    pub fn of(function: &str) -> Vec<Self> {
        Self::all().into_iter().filter(|fixture| fixture.function == function).collect()
    }

    /// The event of one case.
    #[must_use]
    pub fn event(function: &str, case: &str) -> String {
        Self::named(function, case).event
    }

    /// The event as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.event).unwrap()
    }

    /// The event, to be changed.
    #[must_use]
    pub fn to_event(&self) -> Event {
        self.json().into()
    }

    /// The contract's response: exact, but with forms in the place of random values and times.
    #[must_use]
    pub fn expected(&self) -> Response {
        let mut response = if self.status() < 400 { success(self) } else { failure(&self.function, &self.case[4..9]) };
        if let Some(expires_at) = self.expiry_of_caller() {
            response.headers.push(("x-api-key-expires-at".to_owned(), expires_at));
        }
        response
    }

    /// The expiry of a key that expires, if it passes the checks of the key.
    fn expiry_of_caller(&self) -> Option<String> {
        let event = self.json();
        let key = FixtureKey::presented(&event).filter(|_| self.status() != 401)?;
        let parameters = event["pathParameters"].as_object()?;
        let is_of_app = parameters.values().any(|id| id.as_str().is_some_and(|id| id.eq_ignore_ascii_case(&key.app)));
        key.expires_at().filter(|_| is_of_app).map(str::to_owned)
    }

    /// Whether the response is the same when the event is sent again. A key that revokes itself is then rejected.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        !self.case.starts_with("200-itself")
    }

    /// Whether the response depends on the caller's address.
    #[must_use]
    pub fn depends_on_address(&self) -> bool {
        let has_allow_list = FixtureKey::presented(&self.json()).is_some_and(|key| key.has_allow_list());
        has_allow_list || self.case.ends_with("-at-listed-address")
    }

    /// Whether a function can read the event. An event that it can't read is a request without headers, id and address.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !["401-E4010-api-key-not-text", "401-E4010-no-request-context"].contains(&self.case.as_str())
    }

    /// The status that the file's name says.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.case[..3].parse().unwrap()
    }

    /// Fails unless the response is exactly the contract's, except for random values and times of the right form.
    pub fn assert_response(&self, mut response: Response) {
        if self.status() == 201 || self.status() == 200 && self.function.contains("api-key") {
            response.body = without_new_values(&response.body);
        }
        if self.case.starts_with("201-replaced-itself") {
            // The caller expires from the second time on.
            response.headers.retain(|(name, _)| name != "x-api-key-expires-at");
        }
        assert_eq!(response, self.expected(), "{} {}", self.function, self.case);
    }
}
