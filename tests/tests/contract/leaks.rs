//! Leak reports: the keys that they revoke, and their log lines.

use serde_json::{Value, json};
use userdocks_test_support::{
    aws::FakeAws,
    contract::{Fixture, read_payload},
    fixtures::ISSUING_APP,
    function::Function,
};

/// Sends fixtures to one process. Returns the log lines of reported keys.
async fn reported_keys(aws: &FakeAws, cases: &[&str]) -> Vec<Value> {
    let mut function = Function::start("post-leaks", &aws.environment()).await;
    for case in cases {
        let fixture = Fixture::named("post-leaks", case);
        fixture.assert_response(read_payload(&function.invoke(&fixture.event).await).0);
    }
    let mut lines = function.stop().await;
    lines.retain(|line| line["message"] == "API key reported as leaked");
    lines
}

fn id(number: usize) -> String {
    format!("apikey_{}-0000-4000-8000-{number:012}", &ISSUING_APP[..8])
}

#[tokio::test(flavor = "multi_thread")]
async fn leaked_key_is_revoked_and_logged_once() {
    let aws = FakeAws::with_fixtures().await;
    let mut lines = reported_keys(&aws, &["202-active-keys", "202-active-keys"]).await;
    lines.sort_by_key(|line| line["keyId"].to_string());
    let [read, write] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&read["level"], &read["appId"]), (&json!("WARN"), &json!(ISSUING_APP)));
    assert_eq!((&read["keyId"], &read["issued"]), (&json!(id(11)), &json!("")));
    assert_eq!(read["untrustedUrl"], "https://github.com/example/repository/blob/main/.env");
    assert_eq!((&write["keyId"], &write["issued"]), (&json!(id(12)), &json!(id(13))));
    assert_eq!(write.get("untrustedUrl"), None);

    let (keys, _) = aws.services().store.list_api_keys(ISSUING_APP.parse().unwrap()).await.unwrap();
    let is_revoked = |id: &String| keys.iter().any(|key| key.id.to_string() == *id && key.revoked_at.is_some());
    assert!([11, 12].map(id).iter().all(is_revoked) && !is_revoked(&id(13)), "issued keys stay active");
}

#[tokio::test(flavor = "multi_thread")]
async fn logged_url_is_cut_and_contains_no_key() {
    let aws = FakeAws::with_fixtures().await;
    let lines = reported_keys(&aws, &["202-long-url", "202-url-with-token"]).await;
    let urls: Vec<_> = lines.iter().map(|line| line["untrustedUrl"].as_str()).collect();
    let cut = format!("https://example.com/{}", "y".repeat(492));
    assert_eq!(urls, [Some(cut.as_str()), Some("https://example.com/?key=[key]")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inactive_and_impossible_keys_cost_no_write() {
    let aws = FakeAws::with_fixtures().await;
    let mut function = Function::start("post-leaks", &aws.environment()).await;
    assert!(aws.take_operations().is_empty(), "the warm-up only connects");
    let mut operations = async |case: &str| {
        let _ = aws.take_operations();
        function.invoke(&Fixture::event("post-leaks", case)).await;
        aws.take_operations()
    };
    for case in ["202-wrong-checksum", "202-short-token", "202-long-token", "202-empty-token", "400-E4000-too-many"] {
        assert_eq!(operations(case).await, [""; 0], "{case}");
    }
    for case in ["202-unknown-key", "202-repeated-token", "202-longest-body"] {
        assert_eq!(operations(case).await, ["BatchGetItem"], "{case}");
    }
    assert_eq!(operations("202-most-tokens").await, ["BatchGetItem"; 10]);
    for case in ["202-already-revoked", "202-expired"] {
        assert_eq!(operations(case).await, ["BatchGetItem"; 2], "{case}: the index item and the key");
    }
}
