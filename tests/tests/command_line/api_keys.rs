//! `userdocks-admin api-key`: allow lists, looking up a key by its value, and revoking the keys that a stolen key created.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use serde_json::{Value, json};
use userdocks::domain::{ApiKeyId, ApiKeyType, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{FakeAws, Reply},
};

use crate::commands::{assert_refused, create_app, id, run_with_input, text};

#[tokio::test(flavor = "multi_thread")]
async fn allow_list_is_issued_inherited_and_changed() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let app = id(&created["app"]);
    let (first, second, third) = ("192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8");
    let networks = ["--allow-cidr", first, "--allow-cidr", second];
    let issued = aws.admin_json(&[&["api-key", "issue", app, "--type", "read"][..], &networks].concat()).await;
    assert_eq!(issued["apiKey"]["allowedCidrs"], json!([first, second]));
    assert!(issued["note"].as_str().unwrap().contains("CloudFront"), "{issued}");
    let rotated = aws.admin_json(&["api-key", "rotate", app, id(&issued["apiKey"])]).await;
    assert_eq!(rotated["apiKey"]["allowedCidrs"], json!([first, second]));
    let rotate = ["api-key", "rotate", app, id(&rotated["apiKey"]), "--allow-cidr", third];
    let rotated = aws.admin_json(&rotate).await;
    assert_eq!(rotated["apiKey"]["allowedCidrs"], json!([third]));

    let key = id(&rotated["apiKey"]);
    let version = async || aws.services().store.find_app(app.parse().unwrap()).await.unwrap().unwrap().version;
    let before = version().await;
    for (change, expected) in [
        (&["--add", first, "--add", second][..], json!([third, first, second])),
        (&["--add", first], json!([third, first, second])),
        (&["--remove", third, "--remove", first], json!([second])),
        (&["--add", first, "--remove", second], json!([first])),
        (&["--clear"], json!([])),
    ] {
        let changed = aws.admin_json(&[&["api-key", "allow", app, key][..], change].concat()).await;
        assert_eq!(changed["apiKey"]["allowedCidrs"], expected, "{change:?}");
        assert_eq!(changed["note"].is_string(), expected != json!([]));
        let listed = aws.admin_json(&["api-key", "list", app]).await;
        let listed = listed["apiKeys"].as_array().unwrap().iter().find(|listed| id(listed) == key).unwrap().clone();
        assert_eq!(listed, changed["apiKey"]);
    }
    assert_eq!(version().await, before + 4, "adding a network again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_or_dangerous_allow_list_is_refused() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    let revoked = id(&created["apiKeys"][1]);
    aws.admin_json(&["api-key", "allow", app, key, "--add", "192.0.2.0/24"]).await;
    aws.admin_json(&["api-key", "revoke", app, revoked]).await;
    let (issue, rotate, allow) =
        (["api-key", "issue", app, "--type", "read"], ["api-key", "rotate", app, key], ["api-key", "allow", app, key]);
    let unknown = ApiKeyId::random().to_string();
    let _ = aws.take_calls();
    for (command, arguments, cause) in [
        (&issue[..], &["--allow-cidr", "192.0.2.1"][..], "entry 1 of the allow list"),
        (&issue, &["--allow-cidr", "10.0.0.0/8", "--allow-cidr", "10.0.0.0/8"], "repeats an earlier one"),
        (&rotate, &["--allow-cidr", "192.0.2.1/24"], "canonical form"),
        (&allow, &["--add", "::ffff:192.0.2.0/120"], "IPv4-mapped"),
        (&allow, &["--remove", "192.0.0.0/16"], "cannot remove 192.0.0.0/16: it is not on the allow list"),
        (&allow, &["--remove", "192.0.2.0/24"], "--clear"),
        (&allow, &["--clear", "--add", "10.0.0.0/8"], "cannot be used with"),
        (&allow, &[], "required"),
        (&["api-key", "allow", app, revoked], &["--clear"], "the API key is revoked"),
        (&["api-key", "allow", app, &unknown], &["--clear"], "there is no such API key"),
    ] {
        assert_refused(&run_with_input(&aws, &[command, arguments].concat(), b"").await, cause);
    }
    assert!(!aws.take_operations().contains(&"TransactWriteItems".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn contended_change_of_allow_list_is_retried() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let attempts = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "TransactWriteItems" if attempts.fetch_add(1, Relaxed) < 2 => {
            Reply::cancelled_transaction(&["TransactionConflict", "None"])
        }
        _ => Reply::Forward,
    });
    let allow = ["api-key", "allow", id(&created["app"]), id(&created["apiKeys"][0]), "--add", "10.0.0.0/8"];
    assert_eq!(aws.admin_json(&allow).await["apiKey"]["allowedCidrs"], json!(["10.0.0.0/8"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_allow_list_that_loses_race_fails_whole() {
    let aws = FakeAws::start().await;
    for wins in ["allow", "revoke"] {
        let created = create_app(&aws).await;
        let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
        let is_first = AtomicBool::new(true);
        aws.intercept(move |call| match call.operation.as_str() {
            "TransactWriteItems" if is_first.swap(false, Relaxed) => Reply::Hold,
            _ => Reply::Forward,
        });
        let allow = |network| ["api-key", "allow", app, key, "--add", network];
        let (first, second) = ("10.0.0.0/8", "192.0.2.0/24");
        let winner = async {
            let (allow, revoke) = (allow(second), ["api-key", "revoke", app, key]);
            aws.admin_json(if wins == "allow" { &allow } else { &revoke }).await;
        };
        let arguments = allow(first);
        let (loser, ()) = tokio::join!(run_with_input(&aws, &arguments, b""), aws.while_held(winner));
        assert_eq!(loser.status.code(), Some(1), "{wins}");
        assert_refused(&loser, "a concurrent change won, or the record does not exist; nothing was changed");

        let keys = aws.services().store.list_api_keys(app.parse().unwrap()).await.unwrap().0;
        let stored = keys.iter().find(|stored| stored.id.to_string() == key).unwrap();
        let networks: Vec<_> = stored.allow_list.networks().map(|network| network.to_string()).collect();
        assert_eq!(networks, if wins == "allow" { vec![second] } else { vec![] });
        assert_eq!(stored.revoked_at.is_some(), wins == "revoke");
        let again = run_with_input(&aws, &arguments, b"").await;
        if wins == "allow" {
            let again: Value = serde_json::from_slice(&again.stdout).unwrap();
            assert_eq!(again["apiKey"]["allowedCidrs"], json!([second, first]));
        } else {
            assert_refused(&again, "the API key is revoked");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_found_by_its_value_only() {
    let aws = FakeAws::start().await;
    let services = aws.services();
    let imported = TestKey::imported("a key of another system", ApiKeyType::Write);
    let app = TestApp::builder().keys([imported.clone(), TestKey::new(ApiKeyType::Read).revoked()]).create(&services);
    let app = app.await;
    for key in [&app.read, &app.write, &imported] {
        let output = run_with_input(&aws, &["api-key", "find"], format!("{}\n", key.value.expose()).as_bytes()).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((id(&found["app"]), id(&found["apiKey"])), (&*app.id().to_string(), &*key.record.id.to_string()));
    }
    let unknown = TestKey::new(ApiKeyType::Read).value;
    for (value, cause) in [
        (unknown.expose().to_owned(), "run `doctor --repair` once"),
        (format!("Bearer {}", unknown.expose()), "give only the key"),
        (format!("{}x", unknown.expose()), "checksum"),
        (String::new(), "16 to 256"),
    ] {
        let output = run_with_input(&aws, &["api-key", "find"], value.as_bytes()).await;
        assert_refused(&output, cause);
        assert!(!text(&output.stderr).contains(unknown.expose()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_imported_by_hash() {
    let aws = FakeAws::start().await;
    let (first, second) = (create_app(&aws).await, create_app(&aws).await);
    let key = TestKey::imported("a key of another system", ApiKeyType::Read);
    let hash = key.record.hash.as_str().to_uppercase();
    let import = |app| ["api-key", "import", app, "--type", "read", "--sha256", &hash, "--hint", "stem"];
    let imported = aws.admin_json(&import(id(&first["app"]))).await;
    assert!(imported["note"].as_str().unwrap().contains("could not be checked"), "{imported}");
    assert_eq!(imported["apiKey"]["hint"], "stem");
    let found = run_with_input(&aws, &["api-key", "find"], key.value.expose().as_bytes()).await;
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["apiKey"], imported["apiKey"]);

    assert_refused(&run_with_input(&aws, &import(id(&first["app"])), b"").await, "already has it");
    let other = id(&second["app"]);
    for (arguments, input) in [(&import(other)[..], ""), (&import(other)[..5], key.value.expose())] {
        let refused = run_with_input(&aws, arguments, input.as_bytes()).await;
        assert_refused(&refused, &format!("app {} has an API key of this value", id(&first["app"])));
    }
    for arguments in [&["--sha256", "abc"][..], &["--hint", "stem"], &["--sha256", &hash, "--hint", "long hint"]] {
        let arguments = [&import(other)[..5], arguments].concat();
        assert_eq!(aws.run_admin(&arguments).await.0, 2, "{arguments:?}");
    }
}

/// Creates an app whose write key created a second write key, which created a read key. The operator created a third write
/// key.
async fn app_of_stolen_key(aws: &FakeAws) -> (TestApp, [TestKey; 3]) {
    let created = [ApiKeyType::Write, ApiKeyType::Read, ApiKeyType::Write].map(TestKey::new);
    let app = TestApp::builder().keys(created.clone()).create(&aws.services()).await;
    for (key, creator) in [(&created[0], &app.write), (&created[1], &created[0])] {
        let update = aws.update_item(app.id(), &format!("APIKEY#{}", key.record.hash.as_str()));
        let creator = aws_sdk_dynamodb::types::AttributeValue::S(creator.record.id.to_string());
        let update = update.update_expression("SET issuedBy = :id").expression_attribute_values(":id", creator);
        update.send().await.unwrap();
    }
    (app, created)
}

async fn assert_revoked(aws: &FakeAws, app: &TestApp, expected: &[&TestKey]) {
    let (keys, _) = aws.services().store.list_api_keys(app.id()).await.unwrap();
    for key in keys {
        let is_expected = expected.iter().any(|expected| expected.record.id == key.id);
        assert_eq!(key.revoked_at.is_some(), is_expected, "{key:?}");
    }
}

fn ids(keys: &Value) -> Vec<String> {
    keys.as_array().unwrap().iter().map(|key| id(key).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_stolen_key_are_shown_then_revoked() {
    let aws = FakeAws::start().await;
    let (app, [write, read, _]) = app_of_stolen_key(&aws).await;
    let (app_id, stolen) = (app.id().to_string(), app.write.record.id.to_string());
    let revoke = ["api-key", "revoke", &app_id, &stolen, "--issued"];
    let _ = aws.take_calls();
    let shown = aws.admin_json(&revoke).await;
    let issued = [&write, &read].map(|key| key.record.id.to_string());
    assert_eq!((ids(&shown["apiKeys"]), ids(&shown["issued"])), (vec![stolen.clone()], issued.to_vec()));
    assert!(shown["note"].as_str().unwrap().contains("--yes"), "{shown}");
    assert_eq!(aws.take_operations(), ["Query"]);
    let later = (Timestamp::now() + std::time::Duration::from_secs(1)).to_string();
    let since = aws.admin_json(&[&revoke[..], &["--since", &later]].concat()).await;
    assert_eq!(ids(&since["issued"]), [] as [String; 0]);
    assert_revoked(&aws, &app, &[]).await;

    for _ in 0..2 {
        let revoked = aws.admin_json(&[&revoke[..], &["--since", "1h", "--yes"]].concat()).await;
        assert_eq!(ids(&revoked["issued"]), issued);
        let rows = [&revoked["apiKeys"], &revoked["issued"]].into_iter().flat_map(|rows| rows.as_array().unwrap());
        assert!(rows.into_iter().all(|key| key["status"] == "revoked"), "{revoked}");
        assert_revoked(&aws, &app, &[&app.write, &write, &read]).await;
    }
    let unknown = ApiKeyId::random().to_string();
    let output = run_with_input(&aws, &["api-key", "revoke", &app_id, &unknown, "--issued", "--yes"], b"").await;
    assert_refused(&output, "there is no such API key");
    for arguments in [["--since", "1h"].as_slice(), &["--yes"], &["--issued", "--since", "yesterday"]] {
        assert_eq!(aws.run_admin(&[&["api-key", "revoke", &app_id, &stolen][..], arguments].concat()).await.0, 2);
    }
}

/// The first read hides which key created which, as if the new keys had been created after it.
#[tokio::test(flavor = "multi_thread")]
async fn key_created_during_revocation_is_revoked() {
    let aws = FakeAws::start().await;
    let (app, [write, read, _]) = app_of_stolen_key(&aws).await;
    let reads = AtomicUsize::new(0);
    aws.intercept(move |call| match call.operation.as_str() {
        "Query" if reads.fetch_add(1, Relaxed) == 0 => Reply::Edit("\"issuedBy\"", "\"other\""),
        _ => Reply::Forward,
    });
    let (app_id, stolen) = (app.id().to_string(), app.write.record.id.to_string());
    aws.admin_json(&["api-key", "revoke", &app_id, &stolen, "--issued", "--yes"]).await;
    assert_revoked(&aws, &app, &[&app.write, &write, &read]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_revocation_completes_when_repeated() {
    let aws = FakeAws::start().await;
    for index in 0.. {
        let (app, [write, read, _]) = app_of_stolen_key(&aws).await;
        let (app_id, stolen) = (app.id().to_string(), app.write.record.id.to_string());
        let revoke = ["api-key", "revoke", &app_id, &stolen, "--issued", "--yes"];
        aws.intercept(move |call| if call.index == index { Reply::Lose } else { Reply::Forward });
        let process = aws.admin(&revoke).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_over = tokio::select! {
            output = process.wait_with_output() => output.unwrap().status.success(),
            () = aws.response_lost() => false,
        };
        aws.forward();
        aws.admin_json(&revoke).await;
        assert_revoked(&aws, &app, &[&app.write, &write, &read]).await;
        if is_over {
            assert!(index > 4, "one read, and two calls for each key");
            break;
        }
    }
}
