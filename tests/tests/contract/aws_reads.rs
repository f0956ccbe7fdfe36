//! The library reads from AWS with signed calls or with the SDK. Both must have the same results.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_sdk_secretsmanager::primitives::Blob;
use serde_json::json;
use userdocks::{
    api::Services,
    domain::{ApiKeyType, SecretVersionId},
    secrets::SecretsError,
    store::StoreError,
};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{Call, FakeAws, Reply, TABLE, signed_services},
    tcp_proxy::{TcpFault, TcpProxy},
};

/// One implementation, and an app on a fake AWS.
struct Reader {
    name: &'static str,
    aws: FakeAws,
    app: TestApp,
    services: Services,
}

impl Reader {
    /// Creates both implementations, each on its own fake AWS. The app's secret is "the-secret".
    async fn both() -> [Self; 2] {
        let read = async |name, services: fn(&FakeAws) -> Services| {
            let aws = FakeAws::start().await;
            let app = TestApp::builder().secret("the-secret").create(&aws.services()).await;
            let services = services(&aws);
            let _ = aws.take_calls();
            Self { name, aws, app, services }
        };
        [read("signed call", FakeAws::signed_services).await, read("SDK", FakeAws::services).await]
    }

    /// Reads the app and one of its keys. Returns whether both are found.
    async fn read_caller(&self, key: &TestKey) -> Result<bool, StoreError> {
        let found = self.services.store.find_caller(self.app.id(), &key.record.hash, None).await?;
        let Some(found) = found else { return Ok(false) };
        assert_eq!(found.api_key, key.record, "{}", self.name);
        assert_eq!(found.app.as_ref(), Ok(&self.app.record), "{}", self.name);
        Ok(true)
    }

    async fn read_secret(&self, version: SecretVersionId) -> Result<String, SecretsError> {
        let secret = self.services.secrets.app_secret(self.app.id(), version).await?;
        Ok(secret.expose().to_owned())
    }

    fn pinned(&self) -> SecretVersionId {
        self.app.record.secret_version_id
    }
}

/// Returns replies that both implementations must treat as failures, each with a part of the cause.
fn failures() -> [(Reply, &'static str); 8] {
    [
        (Reply::error(400, "AccessDeniedException"), "AccessDeniedException"),
        (Reply::error(400, "ExpiredTokenException"), "ExpiredTokenException"),
        (Reply::error(500, "InternalServerError"), "InternalServerError"),
        (Reply::Send(503, "<html>Service Unavailable</html>".to_owned()), ""),
        (Reply::Send(200, "\u{0}\u{1}garbage".to_owned()), ""),
        (Reply::Send(200, "<html></html>".to_owned()), ""),
        (Reply::Send(200, r#"{"Responses":{"table":[{"pk""#.to_owned()), ""),
        (Reply::Cut, ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_or_missing_in_both_implementations() {
    for reader in Reader::both().await {
        assert!(reader.read_caller(&reader.app.read).await.unwrap(), "{}", reader.name);
        assert!(reader.read_caller(&reader.app.write).await.unwrap(), "{}", reader.name);
        let unknown = TestKey::new(ApiKeyType::Read);
        assert!(!reader.read_caller(&unknown).await.unwrap(), "{}", reader.name);
        let calls = reader.aws.take_calls();
        assert_eq!(calls.len(), 3, "{}", reader.name);
        for call in calls {
            let request = &call.json()["RequestItems"][TABLE];
            assert_eq!((call.operation.as_str(), &request["ConsistentRead"]), ("BatchGetItem", &true.into()));
            assert_eq!(request["Keys"].as_array().unwrap().len(), 2, "{}", reader.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unprocessed_keys_are_read_again_in_both_implementations() {
    for reader in Reader::both().await {
        let calls = AtomicUsize::new(0);
        reader.aws.intercept(
            move |call| {
                if calls.fetch_add(1, Relaxed) < 2 { call.unprocessed() } else { Reply::Forward }
            },
        );
        assert!(reader.read_caller(&reader.app.read).await.unwrap(), "{}", reader.name);
        assert_eq!(reader.aws.take_operations(), ["BatchGetItem"; 3], "{}", reader.name);
        reader.aws.intercept(Call::unprocessed);
        let read = reader.read_caller(&reader.app.read).await;
        assert!(matches!(read, Err(StoreError::Throttled(_))), "{}: {read:?}", reader.name);
    }
}

/// If the key is revoked between two reads, its old record must not be accepted for the app's new one.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_caller_come_from_one_read_in_both_implementations() {
    for reader in Reader::both().await {
        reader.aws.intercept(|call| {
            if call.index > 0 {
                return Reply::Forward;
            }
            let requested = call.json();
            let keys = &requested["RequestItems"][TABLE]["Keys"];
            // An item without attributes would be corrupt.
            let response = json!({
                "Responses": {TABLE: [keys[1]]},
                "UnprocessedKeys": {TABLE: {"ConsistentRead": true, "Keys": [keys[0]]}},
            });
            Reply::Send(200, response.to_string())
        });
        assert!(reader.read_caller(&reader.app.read).await.unwrap(), "{}", reader.name);
        assert_eq!(reader.aws.take_operations(), ["BatchGetItem"; 2], "{}", reader.name);
    }
}

/// All services of a function have the same HTTP client, but signed calls and the SDK decide on their own what to retry.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connection_is_retried_by_signed_calls_and_sdk() {
    let aws = FakeAws::start().await;
    let app = TestApp::create(&aws.services()).await.id();
    let mut proxy = TcpProxy::start(aws.address()).await;
    let store = signed_services(&proxy.endpoint(), &proxy.endpoint(), TABLE).store;
    for fault in [TcpFault::Reset, TcpFault::ResetInResponse, TcpFault::Closed, TcpFault::NoHttp] {
        proxy.fail(fault).await;
        let before = proxy.accepted();
        store.find_app(app).await.unwrap_err();
        let after_signed_call = proxy.accepted();
        assert!(after_signed_call > before + 1, "{fault:?}: signed call");
        store.list_api_keys(app).await.unwrap_err();
        assert!(proxy.accepted() > after_signed_call + 1, "{fault:?}: SDK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_read_is_retried_in_both_implementations() {
    for reader in Reader::both().await {
        let throttled = Reply::error(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException");
        let once = throttled.clone();
        reader.aws.intercept(move |call| if call.index == 0 { once.clone() } else { Reply::Forward });
        assert!(reader.read_caller(&reader.app.read).await.unwrap(), "{}", reader.name);
        reader.aws.intercept_operation("BatchGetItem", throttled);
        let read = reader.read_caller(&reader.app.read).await;
        assert!(matches!(read, Err(StoreError::Throttled(_))), "{}: {read:?}", reader.name);

        let throttled = Reply::error(400, "ThrottlingException");
        let once = throttled.clone();
        reader.aws.intercept_operation("GetSecretValue", throttled);
        let read = reader.read_secret(reader.pinned()).await;
        assert!(matches!(read, Err(SecretsError::Throttled { .. })), "{}: {read:?}", reader.name);
        reader.aws.intercept(move |call| if call.index == 0 { once.clone() } else { Reply::Forward });
        assert_eq!(reader.read_secret(reader.pinned()).await.unwrap(), "the-secret", "{}", reader.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_has_same_cause_in_both_implementations() {
    for reader in Reader::both().await {
        for (reply, cause) in failures() {
            reader.aws.intercept(move |_| reply.clone());
            let error = reader.read_caller(&reader.app.read).await.unwrap_err();
            assert!(!matches!(error, StoreError::Throttled(_) | StoreError::Corrupt(_)), "{}: {error}", reader.name);
            assert!(error.to_string().contains(cause), "{}: {error}", reader.name);
            let error = reader.read_secret(reader.pinned()).await.unwrap_err();
            let is_other = matches!(
                error,
                SecretsError::Throttled { .. } | SecretsError::Missing { .. } | SecretsError::NoText { .. }
            );
            assert!(!is_other && error.to_string().contains(cause), "{}: {error}", reader.name);
        }
        // A failed read must not be cached.
        reader.aws.forward();
        assert_eq!(reader.read_secret(reader.pinned()).await.unwrap(), "the-secret", "{}", reader.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_table_is_named_in_both_implementations() {
    for reader in Reader::both().await {
        let missing = Reply::error(400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException");
        reader.aws.intercept_operation("BatchGetItem", missing);
        let read = reader.read_caller(&reader.app.read).await;
        assert!(matches!(read, Err(StoreError::NoTable { .. })), "{}: {read:?}", reader.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_record_is_named_in_both_implementations() {
    for reader in Reader::both().await {
        reader.aws.intercept(|_| Reply::Edit(r#""createdAt":{"S":"#, r#""createdAt":{"N":"#));
        let read = reader.read_caller(&reader.app.read).await;
        let Err(StoreError::Corrupt(corrupt)) = read else { panic!("{}: {read:?}", reader.name) };
        assert!(corrupt.to_string().contains("createdAt"), "{}: {corrupt}", reader.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_read_once_by_version_in_both_implementations() {
    for reader in Reader::both().await {
        for _ in 0..2 {
            assert_eq!(reader.read_secret(reader.pinned()).await.unwrap(), "the-secret", "{}", reader.name);
        }
        let calls = reader.aws.take_calls();
        assert_eq!(calls.len(), 1, "{}", reader.name);
        assert_eq!(calls[0].json()["VersionId"], reader.pinned().to_string(), "{}", reader.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_version_is_read_again_in_both_implementations() {
    let mut calls = Vec::new();
    for reader in Reader::both().await {
        let read = reader.read_secret(SecretVersionId::random()).await;
        assert!(matches!(read, Err(SecretsError::Missing { .. })), "{}: {read:?}", reader.name);
        calls.push(reader.aws.take_operations());
    }
    assert!(calls[0].len() > 1 && calls[0] == calls[1], "a new version may not be visible yet: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_without_text_is_named_in_both_implementations() {
    for reader in Reader::both().await {
        let version = SecretVersionId::random();
        let put = reader.aws.secrets_manager().put_secret_value();
        let put = put.secret_id(reader.services.secrets.app_secret_name(reader.app.id()));
        let put = put.client_request_token(version.to_string()).secret_binary(Blob::new([0, 1, 2]));
        put.version_stages("binary").send().await.unwrap();
        let read = reader.read_secret(version).await;
        assert!(matches!(read, Err(SecretsError::NoText { .. })), "{}: {read:?}", reader.name);
    }
}
