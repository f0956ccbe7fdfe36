//! A function's real binary behind a fake Lambda Runtime API.

use std::{ffi::OsStr, fmt::Display, fs, process::ExitStatus, time::Duration};

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{binary, confidential, runtime_api::RuntimeApi};

/// The id of an invocation, except in [`Function::invoke_all`].
pub const INVOCATION_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// The environment variables of a function or of `userdocks-admin`.
#[derive(Debug, Clone)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    #[must_use]
    pub fn new(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Adds or replaces a variable.
    #[must_use]
    pub fn with(self, name: &str, value: impl Display) -> Self {
        let mut changed = self.without(name);
        changed.0.push((name.to_owned(), value.to_string()));
        changed
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A running function. When it is dropped, its log is searched for confidential values.
pub struct Function {
    process: Child,
    api: RuntimeApi,
    /// Standard output and standard error.
    logs: [NamedTempFile; 2],
}

impl Function {
    /// Starts a function that inherits no other variables. Waits until it asks for its first event or ends.
    pub async fn start(name: &str, environment: &Environment) -> Self {
        Self::start_command(&[binary(name)], name, environment).await
    }

    /// Starts a function with a command whose first word is the program.
    pub async fn start_command(command: &[impl AsRef<OsStr>], name: &str, environment: &Environment) -> Self {
        let mut api = RuntimeApi::start().unwrap();
        let logs = [NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap()];
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .envs(environment.variables())
            .envs(api.environment(name))
            .stdout(logs[0].reopen().unwrap())
            .stderr(logs[1].reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // A test's calls and times must not include those of the warm-up.
        tokio::select! {
            () = api.ready() => {}
            _ = process.wait() => {}
        }
        Self { process, api, logs }
    }

    /// Sends an event and returns the response. Fails if the function reports a runtime error.
    pub async fn invoke(&mut self, event: &(impl Display + ?Sized)) -> Value {
        let event = event.to_string();
        confidential::note_event(&event);
        self.api.send(INVOCATION_ID, &event).unwrap();
        self.outcome().await.1
    }

    /// Sends as many events at a time as the function asks for. Returns the responses in the events' order.
    pub async fn invoke_all(&mut self, events: &[String]) -> Vec<Value> {
        for (number, event) in events.iter().enumerate() {
            confidential::note_event(event);
            self.api.send(&number.to_string(), event).unwrap();
        }
        let mut responses = vec![Value::Null; events.len()];
        for _ in events {
            let (number, response) = self.outcome().await;
            responses[number.parse::<usize>().unwrap()] = response;
        }
        responses
    }

    async fn outcome(&mut self) -> (String, Value) {
        let outcome = tokio::select! {
            outcome = self.api.outcome() => outcome.unwrap(),
            status = self.process.wait() => panic!("the function ended: {status:?}"),
        };
        let body = outcome.body.unwrap_or_else(|error| {
            panic!("the function reports a runtime error: {}", String::from_utf8_lossy(&error))
        });
        let response: Value = serde_json::from_slice(&body).unwrap();
        confidential::note_response(response["body"].as_str().unwrap_or_default());
        (outcome.id, response)
    }

    /// Kills the function and returns its log lines except the one of its start.
    pub async fn stop(mut self) -> Vec<Value> {
        self.process.kill().await.unwrap();
        let lines = self.lines().into_iter().map(|line| serde_json::from_str(&line).expect("a log line is JSON"));
        lines.filter(|line: &Value| line["message"] != "ready").collect()
    }

    /// Waits until the function ends. Returns its exit status and its log lines.
    pub async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        /// Long enough for a busy machine.
        const END_TIMEOUT: Duration = Duration::from_secs(60);
        let status = timeout(END_TIMEOUT, self.process.wait()).await.expect("the function does not end").unwrap();
        (status, self.lines())
    }

    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Returns the log lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.logs[0]).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.logs.iter().for_each(|log| confidential::assert_absent(&fs::read_to_string(log).unwrap()));
        }
    }
}
