//! A function's real binary, with the Lambda Runtime API around it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{fs, process::ExitStatus, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex as AsyncMutex, Notify, mpsc},
    time::timeout,
};

use crate::{
    backend::{Backend, SECRET_PREFIX, TABLE},
    binary, confidential,
};

/// The environment of a function on the backend, as the template would set it.
#[must_use]
pub fn environment(backend: &Backend) -> Vec<(&'static str, String)> {
    vec![
        ("TABLE_NAME", TABLE.to_owned()),
        ("SECRET_PREFIX", SECRET_PREFIX.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL", backend.endpoint.clone()),
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG".to_owned()),
    ]
}

/// A running function.
pub struct Function {
    process: Child,
    events: mpsc::Sender<Event>,
    answers: mpsc::Receiver<Answer>,
    /// Its standard output and its standard error.
    logs: [NamedTempFile; 2],
}

struct RuntimeApi {
    ready: Notify,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    answers: mpsc::Sender<Answer>,
}

/// An invocation's id and event.
type Event = (String, String);
/// The invocation's id, and what the function answered or the runtime error that it reported.
type Answer = (String, Result<Value, String>);

impl Function {
    /// Starts a function in that environment and no other; it asks for its first event, or has ended.
    pub async fn start(name: &str, environment: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let runtime_api = listener.local_addr().unwrap().to_string();
        let (events, events_received) = mpsc::channel(1);
        let (answers_sent, answers) = mpsc::channel(1);
        let state = Arc::new(RuntimeApi {
            ready: Notify::new(),
            events: AsyncMutex::new(events_received),
            answers: answers_sent,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(answer))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });

        let logs = [NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap()];
        let mut process = Command::new(binary(name))
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .stdout(logs[0].reopen().unwrap())
            .stderr(logs[1].reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // What it does before it asks for events, such as making its connections, is no part of any test's requests.
        tokio::select! {
            () = state.ready.notified() => {}
            _ = process.wait() => {}
        }
        Self { process, events, answers, logs }
    }

    /// Hands the function an event and returns its answer; a runtime error fails the test.
    pub async fn invoke(&mut self, event: &str) -> Value {
        confidential::note_event(event);
        self.events.send((INVOCATION_ID.to_owned(), event.to_owned())).await.unwrap();
        self.answer().await.1
    }

    /// Hands the function as many events at a time as it asks for, and returns its answers in the events' order.
    pub async fn invoke_all(&mut self, events: &[String]) -> Vec<Value> {
        events.iter().for_each(|event| confidential::note_event(event));
        let sender = self.events.clone();
        let numbered: Vec<Event> =
            events.iter().enumerate().map(|(number, event)| (number.to_string(), event.clone())).collect();
        tokio::spawn(async move {
            for event in numbered {
                sender.send(event).await.unwrap();
            }
        });
        let mut answers = vec![Value::Null; events.len()];
        for _ in events {
            let (number, answer) = self.answer().await;
            answers[number.parse::<usize>().unwrap()] = answer;
        }
        answers
    }

    async fn answer(&mut self) -> (String, Value) {
        let (id, answer) = tokio::select! {
            answer = self.answers.recv() => answer.unwrap(),
            status = self.process.wait() => panic!("the function ended: {status:?}"),
        };
        let answer = answer.expect("the function reports a runtime error");
        confidential::note_answer(answer["body"].as_str().unwrap_or_default());
        (id, answer)
    }

    /// Ends the function and returns every line that it logged, but for the one that says that it is ready.
    pub async fn stop(mut self) -> Vec<Value> {
        self.process.kill().await.unwrap();
        let lines = self.lines().into_iter().map(|line| serde_json::from_str(&line).expect("a log line is JSON"));
        lines.filter(|line: &Value| line["message"] != "ready").collect()
    }

    /// Waits until the function ends by itself, and returns how and what it logged.
    pub async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        /// A function that goes on fails the test, however busy the machine is.
        const PATIENCE: Duration = Duration::from_secs(60);
        let status = timeout(PATIENCE, self.process.wait()).await.expect("the function goes on").unwrap();
        (status, self.lines())
    }

    /// The process's id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Every line that it has logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.logs[0]).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Whatever else a test is about: nothing confidential was logged.
impl Drop for Function {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.logs.iter().for_each(|log| confidential::assert_absent(&fs::read_to_string(log).unwrap()));
        }
    }
}

/// The id that Lambda gives every invocation of these tests.
pub const INVOCATION_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    api.ready.notify_one();
    let Some((id, event)) = api.events.lock().await.recv().await else { return std::future::pending().await };
    Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", "1542409706888")
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:test")
        .body(Body::from(event))
        .unwrap()
}

async fn answer(
    State(api): State<Arc<RuntimeApi>>,
    Path((id, outcome)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    let answer = if outcome == "response" { Ok(serde_json::from_str(&body).unwrap()) } else { Err(body) };
    api.answers.send((id, answer)).await.unwrap();
    StatusCode::ACCEPTED
}
