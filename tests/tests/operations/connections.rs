//! The functions' connections: TLS, trust, credentials and concurrent requests.

use std::{io::Write, sync::Arc};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_rustls::rustls::NamedGroup;
use userdocks_test_support::{
    app::TestApp,
    aws::{FakeAws, Reply},
    contract::{self, Fixture, read_payload, reading_functions},
    event::Event,
    function::{Environment, Function},
    tcp_proxy::TcpProxy,
    tls::{Authority, Front},
};

/// Starts a TLS server of the authority for each service. Returns both servers and a function's environment.
async fn fronts(authority: &Authority, aws: &FakeAws) -> (Front, Front, Environment) {
    let dynamodb = authority.front(aws.address(), Arc::new(|_: &[u8]| {})).await.unwrap();
    let secrets_manager = authority.front(aws.address(), Arc::new(|_: &[u8]| {})).await.unwrap();
    let environment = aws.environment().with("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.endpoint);
    let environment = environment.with("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets_manager.endpoint);
    (dynamodb, secrets_manager, environment)
}

fn ca_bundle(authority: &Authority) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem.as_bytes()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_opened_before_first_request_and_reused() {
    let aws = FakeAws::with_fixtures().await;
    let authority = Authority::post_quantum();
    let ca_bundle = ca_bundle(&authority);
    for (name, secrets_managers) in [("get-app-keys", 0), ("get-app-jwks", 0), ("get-app-secrets", 1)] {
        let (dynamodb, secrets_manager, environment) = fronts(&authority, &aws).await;
        let environment = environment.with("AWS_CA_BUNDLE", ca_bundle.path().display());
        let mut function = Function::start(name, &environment).await;
        for requests in 0..3 {
            assert_eq!(dynamodb.key_exchanges(), [NamedGroup::X25519MLKEM768], "{name} after {requests} requests");
            assert_eq!(secrets_manager.key_exchanges(), vec![NamedGroup::X25519MLKEM768; secrets_managers], "{name}");
            let (response, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(response.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn post_quantum_key_exchange_is_preferred() {
    let aws = FakeAws::with_fixtures().await;
    let authority = Authority::new();
    let ca_bundle = ca_bundle(&authority);
    let (dynamodb, _, environment) = fronts(&authority, &aws).await;
    let environment = environment.with("AWS_CA_BUNDLE", ca_bundle.path().display());
    let _function = Function::start("get-app-keys", &environment).await;
    assert_eq!(dynamodb.key_exchanges(), [NamedGroup::X25519MLKEM768]);
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_authority_receives_no_call() {
    let aws = FakeAws::with_fixtures().await;
    let authority = Authority::new();
    let (dynamodb, _, environment) = fronts(&authority, &aws).await;
    let others = ca_bundle(&Authority::new());
    for environment in [environment.clone(), environment.with("AWS_CA_BUNDLE", others.path().display())] {
        for name in reading_functions() {
            let mut function = Function::start(name, &environment).await;
            let (response, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(response, contract::failure(name, "E0000"));
            let lines = function.stop().await;
            assert_eq!((&lines[0]["level"], &lines[1]["level"]), (&json!("WARN"), &json!("ERROR")), "{lines:?}");
            for line in lines {
                assert!(line["cause"].as_str().unwrap().contains("invalid peer certificate"), "{line}");
            }
        }
    }
    assert!(dynamodb.attempts() > 0 && dynamodb.key_exchanges().is_empty());
    assert!(aws.take_operations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_ca_bundle_stops_start() {
    let aws = FakeAws::with_fixtures().await;
    let environment = aws.environment().with("AWS_CA_BUNDLE", "/no/such/bundle.pem");
    let (status, lines) = Function::start("get-app-keys", &environment).await.ended().await;
    assert!(!status.success());
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let cause = "cannot use AWS_CA_BUNDLE /no/such/bundle.pem: No such file or directory (os error 2)";
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!(cause)));
}

#[tokio::test(flavor = "multi_thread")]
async fn service_that_fails_at_start_fails_no_later_request() {
    let aws = FakeAws::with_fixtures().await;
    for name in reading_functions() {
        let error = Reply::Send(500, "{}".to_owned());
        for (reply, level) in [(Reply::Never, "WARN"), (Reply::Cut, "WARN"), (error, "INFO")] {
            aws.intercept(move |_| reply.clone());
            let mut function = Function::start(name, &aws.environment()).await;
            aws.forward();
            let (response, _) = read_payload(&function.invoke(&Fixture::event(name, "200-ok")).await);
            assert_eq!(response.status, 200);
            let lines = function.stop().await;
            // Any response shows that the connection is open.
            assert_eq!(lines[0]["level"], level, "{lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_idle_connection_costs_no_request() {
    let aws = FakeAws::with_fixtures().await;
    for name in ["get-app-keys", "get-app-secrets", "post-app-secrets"] {
        let mut proxy = TcpProxy::start(aws.address()).await;
        let environment = aws.environment().with("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint());
        let environment = environment.with("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.endpoint());
        let mut function = Function::start(name, &environment).await;
        let success = Fixture::success(name);
        for _ in 0..3 {
            function.invoke(&success.event).await;
            let before = proxy.accepted();
            proxy.restore().await;
            let (response, _) = read_payload(&function.invoke(&success.event).await);
            assert_eq!(response.status, success.status(), "{name}");
            assert!(proxy.accepted() > before, "{name} connects again");
        }
        let lines = function.stop().await;
        assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
    }
}

/// With SnapStart, an instance may outlive its first credentials, so Lambda serves credentials at a local endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_lambdas_endpoint() {
    let aws = FakeAws::with_fixtures().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
    let router = Router::new().route("/credentials", get(serve_credentials)).with_state("the token");
    tokio::spawn(async move { axum::serve(listener, router).await });

    let environment = aws.environment().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
    let environment = environment.without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
    for (token, status) in [("the token", 200), ("another", 500)] {
        let environment = environment.clone().with("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
        let mut function = Function::start("get-app-secrets", &environment).await;
        let (response, _) = read_payload(&function.invoke(&Fixture::event("get-app-secrets", "200-ok")).await);
        assert_eq!(response.status, status);
    }
}

async fn serve_credentials(
    State(token): State<&str>,
    headers: HeaderMap,
) -> Result<Json<Value>, axum::http::StatusCode> {
    if headers.get("authorization").is_none_or(|given| given != token) {
        return Err(axum::http::StatusCode::UNAUTHORIZED);
    }
    Ok(Json(json!({
        "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "test", "Expiration": "2999-01-01T00:00:00Z",
    })))
}

/// Lambda Managed Instances send an instance many requests in parallel.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_no_data() {
    let aws = FakeAws::start().await;
    let mut apps = Vec::new();
    for number in 0..8 {
        let secret = format!("the-secret-of-app-{number}");
        apps.push((TestApp::builder().secret(&secret).create(&aws.services()).await, secret));
    }
    let environment = aws.environment().with("AWS_LAMBDA_MAX_CONCURRENCY", "16");
    let mut function = Function::start("get-app-secrets", &environment).await;

    // Combines each app with each app's API key. Only its own key is accepted.
    let pairs: Vec<_> = (0..512).map(|number| (&apps[number % 8], &apps[number / 8 % 8])).collect();
    let events = pairs.iter().enumerate().map(|(number, ((app, _), (owner, _)))| {
        let event = Event::new("get-app-secrets").caller(app.id(), owner.read.value.expose());
        event.request_id(format_args!("request-{number}")).to_string()
    });
    let events: Vec<String> = events.collect();
    let responses = function.invoke_all(&events).await;
    for (number, (((app, secret), (owner, _)), response)) in pairs.iter().zip(&responses).enumerate() {
        assert_eq!(response["headers"]["x-request-id"], format!("request-{number}"));
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        if app.id() == owner.id() {
            assert_eq!(body["data"]["secret"], *secret);
        } else {
            assert_eq!((&response["statusCode"], &body["data"]), (&json!(401), &Value::Null));
        }
    }
    let lines = function.stop().await;
    assert_eq!(lines.len(), events.len());
    for line in lines {
        let number: usize = line["requestId"].as_str().unwrap().strip_prefix("request-").unwrap().parse().unwrap();
        assert_eq!(line["appId"], pairs[number].0.0.id().to_string(), "a line names its own request's app");
    }
}
