//! The functions' real binaries on services and wires that fail in every way: at start, in flight, and over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use userdocks_test_support::{
    backend::{Backend, Call, Fate},
    contract::{self, FUNCTIONS, Fixture, read_payload},
    function::{Function, environment},
    wire::{Port, Wire},
};

/// What becomes of a call of `BatchGetItem` or of another operation.
type Fault = fn(&Call) -> Fate;

/// Every fault that a service, or what stands before it, can answer with.
const FAULTS: [(&str, Fault); 15] = [
    ("throttled", |call| match call.operation.as_str() {
        "BatchGetItem" | "TransactWriteItems" | "UpdateItem" => {
            refused(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
        }
        _ => refused(400, "ThrottlingException"),
    }),
    ("failing", |_| refused(500, "InternalServerError")),
    ("unavailable", |_| Fate::Answered(503, "<html>Service Unavailable</html>".to_owned())),
    ("denied", |_| refused(400, "AccessDeniedException")),
    ("expired credentials", |_| refused(400, "ExpiredTokenException")),
    ("unrecognised credentials", |_| refused(400, "UnrecognizedClientException")),
    ("no such table or secret", |_| refused(400, "ResourceNotFoundException")),
    ("garbage", |_| Fate::Answered(200, "\u{0}\u{1}garbage".to_owned())),
    ("a web page", |_| Fate::Answered(200, "<html></html>".to_owned())),
    ("truncated", |_| Fate::Answered(200, r#"{"Responses":{"table":[{"pk""#.to_owned())),
    ("black-holed", |_| Fate::Ignored),
    ("stalled", |_| Fate::Stalled),
    ("cut", |_| Fate::Cut),
    ("wrong types", |call| match call.operation.as_str() {
        "BatchGetItem" => Fate::Mangled(r#""createdAt":{"S":"#, r#""createdAt":{"N":"#),
        // A transaction's answer has nothing in it that could be of a wrong type.
        "TransactWriteItems" => refused(500, "InternalServerError"),
        // It says that all is well, but not what it put.
        "PutSecretValue" => Fate::Answered(200, "{}".to_owned()),
        _ => Fate::Answered(200, r#"{"SecretString":5,"VersionId":5,"ARN":5}"#.to_owned()),
    }),
    ("unprocessed", |call| match call.operation.as_str() {
        "BatchGetItem" => {
            let asked: Value = serde_json::from_str(&call.body).unwrap();
            Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}).to_string())
        }
        _ => refused(400, "RequestLimitExceeded"),
    }),
];

fn refused(status: u16, kind: &str) -> Fate {
    Fate::Answered(status, json!({ "__type": kind, "message": "no" }).to_string())
}

/// Calls whose failure must not be in the way of a request.
const BESIDE_THE_WAY: [&str; 2] = ["UpdateItem", "UpdateSecretVersionStage"];

/// A function with an event that succeeds again and again, each time as a write of its own.
struct Subject {
    name: &'static str,
    backend: Backend,
    attempts: usize,
    longest: Duration,
    answered: usize,
}

impl Subject {
    async fn new(name: &'static str) -> Self {
        let backend = Backend::with_fixtures().await;
        Self { name, backend, attempts: 0, longest: Duration::ZERO, answered: 0 }
    }

    /// The success; of a write, one that was not done before.
    fn event(&mut self) -> String {
        self.attempts += 1;
        self.named_event(&format!("attempt {}", self.attempts))
    }

    fn named_event(&self, idempotency_key: &str) -> String {
        let mut event = Fixture::success(self.name).json();
        event["headers"]["idempotency-key"] = idempotency_key.into();
        event.to_string()
    }

    async fn start(&self, endpoint: &str) -> Function {
        let mut environment = environment(&self.backend);
        environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL", endpoint.to_owned()));
        Function::start(self.name, &environment).await
    }

    /// The operations that a success of a new process takes.
    async fn operations(&mut self) -> BTreeSet<String> {
        let mut function = self.start(&self.backend.endpoint).await;
        let _ = self.backend.take_calls();
        self.assert_good(&mut function, "at first").await;
        self.backend.take_calls().into_iter().collect()
    }

    /// A request while something fails.
    async fn assert_answered(&mut self, function: &mut Function, is_in_the_way: bool, what: &str) {
        let event = self.event();
        let begun = Instant::now();
        let (answer, _) = read_payload(&function.invoke(&event).await);
        // What is not asserted is told: this machine may be busy.
        self.longest = self.longest.max(begun.elapsed());
        self.answered += 1;
        if is_in_the_way {
            assert_eq!(answer, contract::failure(self.name, "E0000"), "{}: {what}", self.name);
        } else {
            assert!([200, 201].contains(&answer.status), "{}: {what}: {answer:?}", self.name);
        }
    }

    /// A request of the same process when nothing fails any more.
    async fn assert_good(&mut self, function: &mut Function, what: &str) {
        // Making a key takes its time: from the second on, the first is answered with again.
        let event = if self.name == "post-app-keys" { self.named_event("good") } else { self.event() };
        let (answer, _) = read_payload(&function.invoke(&event).await);
        assert!([200, 201].contains(&answer.status), "{}: after {what}: {answer:?} {:?}", self.name, function.lines());
    }
}

/// Every fault × every operation that the route's success takes, and × every operation at once from the start on.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_service_answers_each_route_answers_in_the_contract_and_recovers() {
    let subjects = join_all(FUNCTIONS.map(|name| async move {
        let mut subject = Subject::new(name).await;
        let operations = subject.operations().await;
        for (name, fault) in FAULTS {
            for operation in operations.clone() {
                // A process of its own for each: one that has the secret does not ask again.
                let mut function = subject.start(&subject.backend.endpoint).await;
                let is_in_the_way = !BESIDE_THE_WAY.contains(&operation.as_str());
                let what = format!("{operation} {name}");
                subject
                    .backend
                    .judge(move |call| if call.operation == operation { fault(call) } else { Fate::Forwarded });
                subject.assert_answered(&mut function, is_in_the_way, &what).await;
                subject.backend.judge(|_| Fate::Forwarded);
                subject.assert_good(&mut function, &what).await;
                assert_logged(function, is_in_the_way, &what).await;
            }
            subject.backend.judge(fault);
            let mut function = subject.start(&subject.backend.endpoint).await;
            let what = format!("everything {name} since the start");
            subject.assert_answered(&mut function, true, &what).await;
            subject.backend.judge(|_| Fate::Forwarded);
            subject.assert_good(&mut function, &what).await;
        }
        subject
    }))
    .await;
    report("faults of services", &subjects);
}

/// The operator is told the cause, once.
async fn assert_logged(function: Function, is_in_the_way: bool, what: &str) {
    let lines = function.stop().await;
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), usize::from(is_in_the_way), "{what}: {lines:?}");
    assert!(errors.iter().all(|line| line["cause"].as_str().is_some_and(|cause| cause.len() > 3)), "{what}: {lines:?}");
}

/// Every way of cutting the wire × every route, in flight and from the start on.
#[tokio::test(flavor = "multi_thread")]
async fn however_the_wire_is_cut_each_route_answers_in_the_contract_and_recovers() {
    let subjects = join_all(FUNCTIONS.map(|name| async move {
        let mut subject = Subject::new(name).await;
        let service: SocketAddr = subject.backend.endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let mut port = Port::to(service).await;
        for cut in Wire::CUT {
            let mut function = subject.start(&port.endpoint()).await;
            subject.assert_good(&mut function, "the start").await;
            port.set(cut).await;
            subject.assert_answered(&mut function, true, &format!("{cut:?}")).await;
            port.set(Wire::Whole).await;
            subject.assert_good(&mut function, &format!("{cut:?}")).await;

            port.set(cut).await;
            let mut function = subject.start(&port.endpoint()).await;
            subject.assert_answered(&mut function, true, &format!("{cut:?} since the start")).await;
            port.set(Wire::Whole).await;
            subject.assert_good(&mut function, &format!("{cut:?} since the start")).await;
        }
        subject
    }))
    .await;
    report("cuts of the wire", &subjects);
}

fn report(what: &str, subjects: &[Subject]) {
    let answered: usize = subjects.iter().map(|subject| subject.answered).sum();
    println!("{what}: {answered} faults × routes");
    for subject in subjects {
        println!("  {}: {} tried, longest answer {:?}", subject.name, subject.answered, subject.longest);
    }
}

/// Retries are for what passes. When everything is throttled, they run out: the load stays what the callers make it.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_service_is_not_asked_much_more_often_than_callers_ask() {
    const REQUESTS: usize = 40;
    const RETRIES: usize = 10;
    for (name, operation) in [
        ("get-app-keys", "BatchGetItem"),
        ("get-app-secrets", "GetSecretValue"),
        ("delete-previous-app-secret", "TransactWriteItems"),
        ("post-app-secrets", "PutSecretValue"),
    ] {
        let mut subject = Subject::new(name).await;
        let (_, throttled) = FAULTS[0];
        let mut function = subject.start(&subject.backend.endpoint).await;
        subject.backend.judge(move |call| if call.operation == operation { throttled(call) } else { Fate::Forwarded });
        for _ in 0..REQUESTS {
            subject.assert_answered(&mut function, true, "throttled").await;
        }
        let calls = subject.backend.take_calls();
        let calls = calls.iter().filter(|call| *call == operation).count();
        // Answered calls of the other operations bring a few retries back.
        let most = REQUESTS + RETRIES + REQUESTS * 2 / 10;
        assert!((REQUESTS + 1..=most).contains(&calls), "{name}: {calls} calls for {REQUESTS} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_is_not_noticed() {
    let backend = Backend::with_fixtures().await;
    let mut function = Function::start("get-app-secrets", &environment(&backend)).await;
    backend.judge(|call| match call.index {
        0 => Fate::Answered(500, r#"{"__type":"InternalServerError"}"#.to_owned()),
        1 => {
            let asked: Value = serde_json::from_str(&call.body).unwrap();
            Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}).to_string())
        }
        _ => Fate::Forwarded,
    });
    let (answer, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(answer.status, 200);
    let mut calls = backend.take_calls();
    calls.retain(|call| call != "UpdateItem");
    assert_eq!(calls, ["BatchGetItem", "BatchGetItem", "BatchGetItem", "GetSecretValue"]);

    backend.judge(|call| {
        let asked: Value = serde_json::from_str(&call.body).unwrap();
        Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}).to_string())
    });
    let (answer, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(answer, contract::failure("get-app-secrets", "E0000"), "keys that stay unprocessed are no missing keys");
}
