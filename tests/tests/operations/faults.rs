//! Services and connections that fail at the start or during a request, and then recover.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::Value;
use userdocks::domain::ApiKeyValue;
use userdocks_test_support::{
    aws::{Call, FakeAws, Reply},
    contract::{self, FUNCTIONS, Fixture, Response, read_payload},
    fixtures::{ISSUING_APP, LEAKED_KEY, LEAKED_WRITE_KEY},
    function::Function,
    tcp_proxy::{TcpFault, TcpProxy},
};

/// The reply to a call of any operation.
type Fault = fn(&Call) -> Reply;

/// Faults of a service, or of a proxy in front of it.
const FAULTS: [(&str, Fault); 15] = [
    ("throttled", |call| match call.operation.as_str() {
        "BatchGetItem" | "Query" | "TransactWriteItems" | "UpdateItem" => {
            Reply::error(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
        }
        _ => Reply::error(400, "ThrottlingException"),
    }),
    ("failing", |_| Reply::error(500, "InternalServerError")),
    ("unavailable", |_| Reply::Send(503, "<html>Service Unavailable</html>".to_owned())),
    ("denied", |_| Reply::error(400, "AccessDeniedException")),
    ("expired credentials", |_| Reply::error(400, "ExpiredTokenException")),
    ("unrecognised credentials", |_| Reply::error(400, "UnrecognizedClientException")),
    ("no such table or secret", |_| Reply::error(400, "ResourceNotFoundException")),
    ("garbage", |_| Reply::Send(200, "\u{0}\u{1}garbage".to_owned())),
    ("a web page", |_| Reply::Send(200, "<html></html>".to_owned())),
    ("truncated", |_| Reply::Send(200, r#"{"Responses":{"table":[{"pk""#.to_owned())),
    ("black-holed", |_| Reply::Never),
    ("stalled", |_| Reply::Stall),
    ("cut", |_| Reply::Cut),
    ("wrong types", |call| match call.operation.as_str() {
        "BatchGetItem" | "Query" => Reply::Edit(r#""createdAt":{"S":"#, r#""createdAt":{"N":"#),
        // A write's response has no attribute that could have a wrong type.
        "TransactWriteItems" | "UpdateItem" => Reply::error(500, "InternalServerError"),
        // A success that does not name the stored version.
        "PutSecretValue" => Reply::Send(200, "{}".to_owned()),
        _ => Reply::Send(200, r#"{"SecretString":5,"VersionId":5,"ARN":5}"#.to_owned()),
    }),
    ("unprocessed", |call| match call.operation.as_str() {
        "BatchGetItem" => call.unprocessed(),
        _ => Reply::error(400, "RequestLimitExceeded"),
    }),
];

/// The beginning of the logged cause.
const MISSED_DEADLINE: &str = "no response after";

/// Returns whether a request must succeed although the operation fails.
fn is_best_effort(function: &str, operation: &str) -> bool {
    match function {
        // The update revokes the key. The query only finds ids for the log.
        "post-leaks" => operation == "Query",
        _ => ["UpdateItem", "UpdateSecretVersionStage"].contains(&operation),
    }
}

/// A function, with the number and duration of its requests during faults.
struct TestedFunction {
    name: &'static str,
    aws: FakeAws,
    attempts: usize,
    longest: Duration,
    requests: usize,
}

impl TestedFunction {
    async fn new(name: &'static str) -> Self {
        let aws = FakeAws::with_fixtures().await;
        Self { name, aws, attempts: 0, longest: Duration::ZERO, requests: 0 }
    }

    /// Returns an event that succeeds. A write has a new Idempotency-Key each time.
    fn event(&mut self) -> String {
        self.attempts += 1;
        self.named_event(&format!("attempt {}", self.attempts))
    }

    fn named_event(&self, idempotency_key: &str) -> String {
        Fixture::success(self.name).to_event().idempotency_key(idempotency_key).to_string()
    }

    async fn start(&self, endpoint: &str) -> Function {
        Function::start(self.name, &self.aws.environment().with("AWS_ENDPOINT_URL", endpoint)).await
    }

    /// Returns the operations that a new process calls for its first success.
    async fn operations(&mut self) -> BTreeSet<String> {
        let mut function = self.start(&self.aws.endpoint).await;
        let _ = self.aws.take_operations();
        self.assert_success(&mut function, "at first").await;
        self.aws.take_operations().into_iter().collect()
    }

    /// Undoes a leak report's revocations, so that the same report revokes the keys again.
    async fn restore_leaked_keys(&self) {
        for key in [LEAKED_KEY, LEAKED_WRITE_KEY] {
            let hash = key.parse::<ApiKeyValue>().unwrap().hash();
            let update = self.aws.update_item(ISSUING_APP, &format!("APIKEY#{}", hash.as_str()));
            update.update_expression("REMOVE revokedAt").send().await.unwrap();
        }
    }

    /// Sends an event that must succeed. Repeats it if the function missed its route's deadline, because generating a
    /// signing key takes long on a busy machine. A fault that blocks the function makes it miss every deadline.
    async fn invoke(function: &mut Function, event: &str) -> Response {
        const ATTEMPTS: usize = 3;
        for _ in 1..ATTEMPTS {
            let (response, _) = read_payload(&function.invoke(event).await);
            if response.status < 300 || !function.lines().last().is_some_and(|line| line.contains(MISSED_DEADLINE)) {
                return response;
            }
        }
        read_payload(&function.invoke(event).await).0
    }

    /// Sends a request during a fault, and checks its response.
    async fn assert_fault(&mut self, function: &mut Function, fails: bool, what: &str) {
        let event = self.event();
        let begun = Instant::now();
        let response =
            if fails { read_payload(&function.invoke(&event).await).0 } else { Self::invoke(function, &event).await };
        // The duration is printed but not checked, because the machine may be busy.
        self.longest = self.longest.max(begun.elapsed());
        self.requests += 1;
        if fails {
            assert_eq!(response, contract::failure(self.name, "E0000"), "{}: {what}", self.name);
        } else {
            assert!(response.status < 300, "{}: {what}: {response:?}", self.name);
        }
    }

    /// Sends a request after a fault. It must succeed in the same process.
    async fn assert_success(&mut self, function: &mut Function, what: &str) {
        // Generating a signing key takes long, and an app has room for few API keys: only the first is created, the rest are replays.
        let is_expensive = ["post-app-keys", "post-app-api-keys"].contains(&self.name);
        let event = if is_expensive { self.named_event("good") } else { self.event() };
        let response = Self::invoke(function, &event).await;
        let lines = || function.lines();
        assert!(response.status < 300, "{}: after {what}: {response:?} {:?}", self.name, lines());
    }
}

/// Tries each fault in each operation of a success, and in all operations since the start.
#[tokio::test(flavor = "multi_thread")]
async fn service_fault_fails_route_in_contract_and_passes() {
    let functions = join_all(FUNCTIONS.map(|name| async move {
        let mut tested = TestedFunction::new(name).await;
        let operations = tested.operations().await;
        for (name, fault) in FAULTS {
            for operation in operations.clone() {
                // Each fault needs a new process, because a process reads a secret only once.
                let mut function = tested.start(&tested.aws.endpoint).await;
                tested.restore_leaked_keys().await;
                let fails = !is_best_effort(tested.name, &operation);
                let what = format!("{operation} {name}");
                tested
                    .aws
                    .intercept(move |call| if call.operation == operation { fault(call) } else { Reply::Forward });
                tested.assert_fault(&mut function, fails, &what).await;
                tested.aws.forward();
                tested.assert_success(&mut function, &what).await;
                assert_logged(function, fails, &what).await;
            }
            tested.aws.intercept(fault);
            let mut function = tested.start(&tested.aws.endpoint).await;
            let what = format!("everything {name} since the start");
            tested.assert_fault(&mut function, true, &what).await;
            tested.aws.forward();
            tested.assert_success(&mut function, &what).await;
        }
        tested
    }))
    .await;
    report("faults of services", &functions);
}

/// Fails unless a failure is logged once with its cause, and a success without an error.
async fn assert_logged(function: Function, fails: bool, what: &str) {
    let lines = function.stop().await;
    let missed_deadline = |line: &Value| line["cause"].as_str().is_some_and(|cause| cause.starts_with(MISSED_DEADLINE));
    let errors = lines.iter().filter(|line| line["level"] == "ERROR" && (fails || !missed_deadline(line)));
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors.len(), usize::from(fails), "{what}: {lines:?}");
    assert!(errors.iter().all(|line| line["cause"].as_str().is_some_and(|cause| cause.len() > 3)), "{what}: {lines:?}");
}

/// Tries each fault of the connections during a request and since the start.
#[tokio::test(flavor = "multi_thread")]
async fn connection_fault_fails_route_in_contract_and_passes() {
    let functions = join_all(FUNCTIONS.map(|name| async move {
        let mut tested = TestedFunction::new(name).await;
        let mut proxy = TcpProxy::start(tested.aws.address()).await;
        for fault in TcpFault::ALL {
            let mut function = tested.start(&proxy.endpoint()).await;
            tested.assert_success(&mut function, "the start").await;
            proxy.fail(fault).await;
            tested.assert_fault(&mut function, true, &format!("{fault:?}")).await;
            proxy.restore().await;
            tested.assert_success(&mut function, &format!("{fault:?}")).await;

            proxy.fail(fault).await;
            let mut function = tested.start(&proxy.endpoint()).await;
            tested.assert_fault(&mut function, true, &format!("{fault:?} since the start")).await;
            proxy.restore().await;
            tested.assert_success(&mut function, &format!("{fault:?} since the start")).await;
        }
        tested
    }))
    .await;
    report("faults of connections", &functions);
}

fn report(what: &str, tested: &[TestedFunction]) {
    let requests: usize = tested.iter().map(|tested| tested.requests).sum();
    println!("{what}: {requests} faults × routes");
    for tested in tested {
        println!("  {}: {} requests, slowest response {:?}", tested.name, tested.requests, tested.longest);
    }
}

/// Retries have a budget, so that they add little load to a throttled service.
#[tokio::test(flavor = "multi_thread")]
async fn throttled_service_is_called_little_more_often() {
    const REQUESTS: usize = 40;
    const RETRIES: usize = 10;
    for (name, operation) in [
        ("get-app-keys", "BatchGetItem"),
        ("get-app-secrets", "GetSecretValue"),
        ("get-app-api-keys", "Query"),
        ("delete-previous-app-secret", "TransactWriteItems"),
        ("post-app-secrets", "PutSecretValue"),
    ] {
        let mut tested = TestedFunction::new(name).await;
        let (_, throttled) = FAULTS[0];
        let mut function = tested.start(&tested.aws.endpoint).await;
        tested.aws.intercept(move |call| if call.operation == operation { throttled(call) } else { Reply::Forward });
        for _ in 0..REQUESTS {
            tested.assert_fault(&mut function, true, "throttled").await;
        }
        let calls = tested.aws.take_operations();
        let calls = calls.iter().filter(|call| *call == operation).count();
        // Successful calls of other operations refill the budget a little.
        let most = REQUESTS + RETRIES + REQUESTS * 2 / 10;
        assert!((REQUESTS + 1..=most).contains(&calls), "{name}: {calls} calls for {REQUESTS} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_fault_is_not_noticed() {
    let aws = FakeAws::with_fixtures().await;
    let mut function = Function::start("get-app-secrets", &aws.environment()).await;
    aws.intercept(|call| match call.index {
        0 => Reply::error(500, "InternalServerError"),
        1 => call.unprocessed(),
        _ => Reply::Forward,
    });
    let (response, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(response.status, 200);
    let mut calls = aws.take_operations();
    calls.retain(|call| call != "UpdateItem");
    assert_eq!(calls, ["BatchGetItem", "BatchGetItem", "BatchGetItem", "GetSecretValue"]);

    aws.intercept(Call::unprocessed);
    let (response, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
    assert_eq!(response, contract::failure("get-app-secrets", "E0000"), "unprocessed keys are not missing keys");
}
