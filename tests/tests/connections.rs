//! The functions' real binaries and what is around their requests: TLS, trust, credentials, many requests at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::rustls::NamedGroup;
use userdocks::domain::{ApiKey, ApiKeyType, ApiKeyValue, App, AppId, Secret, SecretVersionId, SigningKeys, Timestamp};
use userdocks_test_support::{
    backend::{Backend, Fate},
    contract::{self, Fixture, READING, read_payload},
    function::{Function, environment},
    tls::{Authority, Front},
};

type Environment = Vec<(&'static str, String)>;

fn with(mut environment: Environment, name: &'static str, value: &(impl ToString + ?Sized)) -> Environment {
    environment.retain(|(known, _)| *known != name);
    environment.push((name, value.to_string()));
    environment
}

/// Both services behind TLS of one authority, each at a front of its own.
async fn fronts(authority: &Authority, backend: &Backend) -> (Front, Front, Environment) {
    let address: SocketAddr = backend.endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let dynamodb = authority.front(address, Arc::new(|_: &[u8]| {})).await.unwrap();
    let secrets_manager = authority.front(address, Arc::new(|_: &[u8]| {})).await.unwrap();
    let environment = with(environment(backend), "AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.endpoint);
    let environment = with(environment, "AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets_manager.endpoint);
    (dynamodb, secrets_manager, environment)
}

fn ca_bundle(authority: &Authority) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem.as_bytes()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_are_made_before_the_first_request_and_serve_all_that_follow() {
    let backend = Backend::with_fixtures().await;
    let authority = Authority::post_quantum();
    let ca_bundle = ca_bundle(&authority);
    for (name, secrets_managers) in [("get-app-keys", 0), ("get-app-jwks", 0), ("get-app-secrets", 1)] {
        let (dynamodb, secrets_manager, environment) = fronts(&authority, &backend).await;
        let environment = with(environment, "AWS_CA_BUNDLE", &ca_bundle.path().display());
        let mut function = Function::start(name, &environment).await;
        for requests in 0..3 {
            assert_eq!(dynamodb.key_exchanges(), [NamedGroup::X25519MLKEM768], "{name} after {requests} requests");
            assert_eq!(secrets_manager.key_exchanges(), vec![NamedGroup::X25519MLKEM768; secrets_managers], "{name}");
            let (answer, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(answer.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn post_quantum_key_exchange_is_preferred_where_the_server_leaves_the_choice() {
    let backend = Backend::with_fixtures().await;
    let authority = Authority::new();
    let ca_bundle = ca_bundle(&authority);
    let (dynamodb, _, environment) = fronts(&authority, &backend).await;
    let environment = with(environment, "AWS_CA_BUNDLE", &ca_bundle.path().display());
    let _function = Function::start("get-app-keys", &environment).await;
    assert_eq!(dynamodb.key_exchanges(), [NamedGroup::X25519MLKEM768]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_trusted_is_told_nothing() {
    let backend = Backend::with_fixtures().await;
    let authority = Authority::new();
    let (dynamodb, _, environment) = fronts(&authority, &backend).await;
    let others = ca_bundle(&Authority::new());
    for environment in [environment.clone(), with(environment, "AWS_CA_BUNDLE", &others.path().display())] {
        for name in READING {
            let mut function = Function::start(name, &environment).await;
            let (answer, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(answer, contract::failure(name, "E0000"));
            let lines = function.stop().await;
            assert_eq!((&lines[0]["level"], &lines[1]["level"]), (&json!("WARN"), &json!("ERROR")), "{lines:?}");
            for line in lines {
                assert!(line["cause"].as_str().unwrap().contains("invalid peer certificate"), "{line}");
            }
        }
    }
    assert!(dynamodb.attempts() > 0 && dynamodb.key_exchanges().is_empty());
    assert!(backend.take_calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_bundle_that_cannot_be_read_ends_the_start_with_its_name() {
    let backend = Backend::with_fixtures().await;
    let environment = with(environment(&backend), "AWS_CA_BUNDLE", "/no/such/bundle.pem");
    let (status, lines) = Function::start("get-app-keys", &environment).await.ended().await;
    assert!(!status.success());
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let cause = "AWS_CA_BUNDLE: /no/such/bundle.pem: No such file or directory (os error 2)";
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!(cause)));
}

/// A dead service costs a start some time, and no more: the first request after it is back is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_dead_at_start_does_not_matter_once_it_is_back() {
    let backend = Backend::with_fixtures().await;
    for name in READING {
        for fate in [Fate::Ignored, Fate::Cut, Fate::Answered(500, "{}".to_owned())] {
            backend.judge(move |_| fate.clone());
            let mut function = Function::start(name, &environment(&backend)).await;
            backend.judge(|_| Fate::Forwarded);
            let (answer, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(answer.status, 200);
            let lines = function.stop().await;
            assert_eq!(lines[0]["level"], "WARN", "{lines:?}");
        }
    }
}

/// A proxy in front of both services, which counts its connections and closes them on demand.
struct Gate {
    endpoint: String,
    accepted: Arc<AtomicUsize>,
    closed: watch::Sender<()>,
}

impl Gate {
    async fn start(backend: &Backend) -> Self {
        let upstream = backend.endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let (closed, closing) = watch::channel(());
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (mut inbound, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (mut closing, upstream) = (closing.clone(), upstream.clone());
                closing.mark_unchanged();
                tokio::spawn(async move {
                    let mut outbound = TcpStream::connect(upstream).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = closing.changed() => {}
                    }
                });
            }
        });
        Self { endpoint, accepted, closed }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_idle_connection_costs_no_request() {
    let backend = Backend::with_fixtures().await;
    for name in ["get-app-keys", "get-app-secrets", "post-app-secrets"] {
        let gate = Gate::start(&backend).await;
        let environment = with(environment(&backend), "AWS_ENDPOINT_URL_DYNAMODB", &gate.endpoint);
        let environment = with(environment, "AWS_ENDPOINT_URL_SECRETS_MANAGER", &gate.endpoint);
        let mut function = Function::start(name, &environment).await;
        let success = Fixture::success(name);
        for _ in 0..3 {
            function.invoke(&success.event).await;
            let before = gate.accepted();
            gate.closed.send(()).unwrap();
            let (answer, _) = read_payload(&function.invoke(&success.event).await);
            assert_eq!(answer.status, success.status(), "{name}");
            assert!(gate.accepted() > before, "{name} connects again");
        }
        let lines = function.stop().await;
        assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
    }
}

/// Where an instance may outlive its first credentials (SnapStart), Lambda hands them out at a local endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_come_from_lambdas_endpoint() {
    let backend = Backend::with_fixtures().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
    let router = Router::new().route("/credentials", get(hand_out)).with_state("the token");
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut environment = with(environment(&backend), "AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    environment.retain(|(name, _)| !["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(name));
    for (token, status) in [("the token", 200), ("another", 500)] {
        let environment = with(environment.clone(), "AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
        let mut function = Function::start("get-app-secrets", &environment).await;
        let (answer, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
        assert_eq!(answer.status, status);
    }
}

async fn hand_out(State(token): State<&str>, headers: HeaderMap) -> Result<Json<Value>, axum::http::StatusCode> {
    if headers.get("authorization").is_none_or(|given| given != token) {
        return Err(axum::http::StatusCode::UNAUTHORIZED);
    }
    Ok(Json(json!({
        "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "test", "Expiration": "2999-01-01T00:00:00Z",
    })))
}

/// Lambda Managed Instances send an instance many requests at a time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_one_request_reaches_another_that_is_served_at_the_same_time() {
    let backend = Backend::start().await;
    let apps: Vec<(AppId, String)> = futures_util::future::join_all((0..8).map(|_| make_app(&backend))).await;
    let environment = with(environment(&backend), "AWS_LAMBDA_MAX_CONCURRENCY", "16");
    let mut function = Function::start("get-app-secrets", &environment).await;

    // Each app with each app's API key: only its own lets anyone in.
    let pairs: Vec<_> = (0..512).map(|number| (&apps[number % 8], &apps[number / 8 % 8])).collect();
    let events: Vec<String> = pairs
        .iter()
        .enumerate()
        .map(|(number, ((app, _), (_, key)))| {
            json!({
                "headers": {"x-api-key": key, "x-api-key-type": "read", "x-client-id": app.to_string()},
                "pathParameters": {"appId": app.to_string()},
                "requestContext": {"requestId": format!("request-{number}")},
            })
            .to_string()
        })
        .collect();
    let answers = function.invoke_all(&events).await;
    for (number, (((app, _), (owner, _)), answer)) in pairs.iter().zip(&answers).enumerate() {
        assert_eq!(answer["headers"]["x-request-id"], format!("request-{number}"));
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        if app == owner {
            assert_eq!(body["data"]["secret"], format!("the-secret-of-{app}"));
        } else {
            assert_eq!((&answer["statusCode"], &body["data"]), (&json!(401), &Value::Null));
        }
    }
    let lines = function.stop().await;
    assert_eq!(lines.len(), events.len());
    for line in lines {
        let number: usize = line["requestId"].as_str().unwrap().strip_prefix("request-").unwrap().parse().unwrap();
        assert_eq!(line["appId"], pairs[number].0.0.to_string(), "a line names its own request's app");
    }
}

/// An app with a secret that names it; its id and its read key.
async fn make_app(backend: &Backend) -> (AppId, String) {
    let services = backend.services();
    let (id, now, version) = (AppId::random(), Timestamp::now(), SecretVersionId::random());
    let secret = Secret::from(format!("the-secret-of-{id}"));
    services.secrets.create_app_secret(id, version, &secret).await.unwrap();
    let key = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
    let app = App::new(id, "app".to_owned(), version, SigningKeys::default(), now);
    let api_key = ApiKey::new(&key, ApiKeyType::Read, "read".to_owned(), now, None);
    services.store.create_app(&app, &[api_key]).await.unwrap();
    (id, key.expose().to_owned())
}
