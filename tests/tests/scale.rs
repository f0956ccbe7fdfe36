//! A table of 10,000 apps: what is about all of them reads page by page in flat memory, and everything else makes the calls
//! that it makes in a small table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeSet, HashMap},
    process::{Output, Stdio},
};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::{StreamExt, stream};
use nix::fcntl::{FcntlArg, fcntl};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::unix::pipe};
use userdocks::domain::{
    ApiKey, ApiKeyType, ApiKeyValue, App, AppId, PublicKey, Secret, SecretVersionId, SigningKeyId, SigningKeys,
    Timestamp,
};
use userdocks_test_support::{
    backend::{Backend, TABLE},
    contract::read_payload,
    function::{Function, environment},
};

/// More than DynamoDB reads at a time, as is the larger.
const SMALL: usize = 1_000;
const LARGE: usize = 10_000;

type Item = HashMap<String, AttributeValue>;

/// Adds so many apps with two API keys and a signing key each, and no secret. The store writes one; the others are its
/// items with other ids.
async fn add_apps(backend: &Backend, count: usize) {
    let now = Timestamp::now();
    let mut signing_keys = SigningKeys::default();
    let pem = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");
    signing_keys.import(SigningKeyId::random(), PublicKey::import(pem).unwrap(), now);
    let app = App::new(AppId::random(), "One of many".to_owned(), SecretVersionId::random(), signing_keys, now);
    let keys = ApiKeyType::ALL
        .map(|kind| ApiKey::new(&ApiKeyValue::issue(kind).unwrap(), kind, kind.name().to_owned(), now, None));
    backend.services().store.create_app(&app, &keys).await.unwrap();
    let dynamodb = backend.dynamodb();
    let query = dynamodb.query().table_name(TABLE).key_condition_expression("pk = :app");
    let query = query.expression_attribute_values(":app", AttributeValue::S(format!("APP#{}", app.id)));
    let items = query.send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 3);

    let copies: Vec<WriteRequest> = (1..count).flat_map(|number| copy(&items, number)).collect();
    let batches = copies.chunks(25).map(|batch| {
        let write = dynamodb.batch_write_item().request_items(TABLE, batch.to_vec());
        async move { assert!(write.send().await.unwrap().unprocessed_items.is_none_or(|left| left.is_empty())) }
    });
    stream::iter(batches).buffer_unordered(4).collect::<Vec<()>>().await;
    let _ = backend.take_calls();
}

fn copy(items: &[Item], number: usize) -> impl Iterator<Item = WriteRequest> {
    let id = AppId::random();
    items.iter().map(move |item| {
        let mut item = item.clone();
        item.insert("pk".to_owned(), AttributeValue::S(format!("APP#{id}")));
        if let Some((kind, hash)) = item["sk"].as_s().unwrap().split_once('#') {
            let sk = format!("{kind}#{:032x}{}", number, &hash[32..]);
            item.insert("sk".to_owned(), AttributeValue::S(sk));
        }
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
    })
}

/// What a command takes that prints page by page: how many bytes it prints, and the most memory that it had, in KB.
///
/// It is asked after each part of what it prints. The pipe has room for less than a page, so that it waits to be read with
/// everything done but the printing.
async fn measure(backend: &Backend, command: &[&str]) -> (usize, u64) {
    let (ours, theirs) = std::io::pipe().unwrap();
    fcntl(&theirs, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = backend.admin(&[&["--output", "json"], command].concat());
    let process = command.stdout(theirs).stderr(Stdio::piped()).spawn().unwrap();
    // What it printed ends when nobody else can print there.
    drop(command);
    let mut output = pipe::Receiver::from_owned_fd(ours.into()).unwrap();
    let (mut printed, mut peak, mut part) = (0, 0, [0; 4096]);
    loop {
        match output.read(&mut part).await.unwrap() {
            0 => break,
            count => printed += count,
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
        // Its memory is gone when it has ended.
        if let Some(kilobytes) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")) {
            peak = kilobytes.trim().parse().unwrap();
        }
    }
    let Output { status, stderr: errors, .. } = process.wait_with_output().await.unwrap();
    assert_eq!(status.success(), errors.is_empty());
    assert!(errors.is_empty() || errors.ends_with(b"findings remain\n"), "{}", String::from_utf8_lossy(&errors));
    (printed, peak)
}

/// The doctor's findings are all apps, since none has a secret, and secrets of no app, a tenth as many.
async fn what_is_read_page_by_page_takes_no_more_memory(small: &Backend, large: &Backend) {
    for (backend, apps) in [(small, SMALL), (large, LARGE)] {
        let secrets = &backend.services().secrets;
        let secret = Secret::random().unwrap();
        for _ in 0..apps / 10 {
            secrets.create_app_secret(AppId::random(), SecretVersionId::random(), &secret).await.unwrap();
        }
    }
    for command in [&["app", "list"][..], &["app", "export", "--all"], &["doctor", "--min-age", "0s"]] {
        let (small_printed, small_peak) = measure(small, command).await;
        let (large_printed, large_peak) = measure(large, command).await;
        println!("{}: {small_peak} KB for {SMALL} apps, {large_peak} KB for {LARGE}", command.join(" "));
        assert!(large_printed > 9 * small_printed);
        assert!(large_peak * 2 <= small_peak * 3, "{command:?}: {large_peak} KB, with {SMALL} apps {small_peak} KB");
    }
}

/// It names each app once, in one go or in parts.
async fn a_listing_names_each_app_once(large: &Backend) {
    let _ = large.take_calls();
    let (code, all, errors) = large.run_admin(&["app", "list"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let ids = |page: &Value| -> Vec<String> {
        page["apps"].as_array().unwrap().iter().map(|app| app["uuid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&all).iter().collect::<BTreeSet<_>>().len(), LARGE);
    let calls = large.take_calls();
    assert!(calls.len() > 1 && calls.iter().all(|call| call == "Scan"), "{calls:?}");

    // By hand, a page at a time; a page costs one scan, or a second one where it is full.
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["app", "list", "--limit", "3333"];
        arguments.extend(after.iter().flat_map(|after| ["--after", after]));
        let (code, page, _) = large.run_admin(&arguments).await;
        assert_eq!(code, 0);
        paged.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(ids(&page).len(), 3333);
        after = Some(next.to_owned());
    }
    assert_eq!(paged, ids(&all), "each app once, in the same order");
    let _ = large.take_calls();
    let (_, page, _) = large.run_admin(&["app", "list", "--limit", "2"]).await;
    assert_eq!(ids(&page), &ids(&all)[..2]);
    let calls = large.take_calls().len();
    assert!(calls <= 2, "{calls} calls for two apps");
}

/// An app that is whole, and the calls that are made for it.
struct Subject<'a> {
    backend: &'a Backend,
    app: String,
    write_key: String,
}

impl<'a> Subject<'a> {
    async fn create(backend: &'a Backend) -> Self {
        let (code, created, errors) = backend.run_admin(&["app", "create", "--name", "Subject"]).await;
        assert_eq!((code, errors.as_str()), (0, ""));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let subject =
            Self { backend, app: text(&created["app"]["uuid"]), write_key: text(&created["apiKeys"][1]["value"]) };
        // Noting a key's use is beside a request's own work, once an hour.
        let hash = subject.write_key.parse::<ApiKeyValue>().unwrap().hash();
        backend.services().store.note_use(subject.app.parse().unwrap(), &hash, Timestamp::now()).await.unwrap();
        subject
    }

    async fn calls_of_command(&self, arguments: &[&str]) -> (Value, Vec<String>) {
        let _ = self.backend.take_calls();
        let (code, answer, errors) = self.backend.run_admin(arguments).await;
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        (answer, self.backend.take_calls())
    }

    async fn calls_of_write(&self, function: &str, method: &str, resource: &str, body: &str) -> (Value, Vec<String>) {
        let event = json!({
            "headers": {"x-api-key": self.write_key, "x-api-key-type": "write", "x-client-id": self.app,
                "idempotency-key": format!("{method} {resource}")},
            "pathParameters": {"appId": self.app, "keyUuid": resource.strip_prefix("keys/").unwrap_or_default()},
            "requestContext": {"http": {"method": method}},
            "rawPath": format!("/api/v1/apps/{}/{resource}", self.app),
            "body": body,
        });
        let mut process = Function::start(function, &environment(self.backend)).await;
        let _ = self.backend.take_calls();
        let (answer, _) = read_payload(&process.invoke(&event.to_string()).await);
        assert!(answer.status < 300, "{function}: {}", answer.body);
        (serde_json::from_str(&answer.body).unwrap(), self.backend.take_calls())
    }

    /// Every command for one app and every write, in an order in which each succeeds, with its calls.
    async fn calls_of_all(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        let app = self.app.as_str();
        let id = |answer: &Value, list: &str| answer[list]["uuid"].as_str().unwrap().to_owned();

        let (answer, calls) = self.calls_of_write("post-app-keys", "POST", "keys", "").await;
        all.push(("post-app-keys".to_owned(), calls));
        let key = format!("keys/{}", answer["items"][0]["uuid"].as_str().unwrap());
        let put = r#"{"state":"in_use","force":true}"#;
        let first = self.backend.run_admin(&["signing-key", "list", app]).await.1["signingKeys"][0]["uuid"].clone();
        for (function, method, resource, body) in [
            ("put-app-key", "PUT", key.as_str(), put),
            ("delete-app-key", "DELETE", &format!("keys/{}", first.as_str().unwrap()), ""),
            ("post-app-secrets", "POST", "secrets", ""),
            ("delete-previous-app-secret", "DELETE", "secrets/previous", ""),
        ] {
            all.push((function.to_owned(), self.calls_of_write(function, method, resource, body).await.1));
        }

        let (issued, calls) = self.calls_of_command(&["api-key", "issue", app, "--type", "read"]).await;
        all.push(("api-key issue".to_owned(), calls));
        let (created, calls) = self.calls_of_command(&["signing-key", "create", app]).await;
        all.push(("signing-key create".to_owned(), calls));
        let (api_key, signing_key) = (id(&issued, "apiKey"), id(&created, "signingKey"));
        for arguments in [
            &["app", "show", app][..],
            &["app", "disable", app],
            &["app", "enable", app],
            &["app", "export", "--app", app],
            &["doctor", "--app", app],
            &["api-key", "list", app],
            &["api-key", "rotate", app, &api_key],
            &["api-key", "revoke", app, &api_key],
            &["secret", "rotate", app],
            &["secret", "end-overlap", app],
            &["signing-key", "list", app],
            &["signing-key", "activate", app, &signing_key, "--force"],
            &["signing-key", "revoke", app, &signing_key, "--force"],
            &["app", "delete", app, "--yes"],
        ] {
            all.push((arguments[..2].join(" "), self.calls_of_command(arguments).await.1));
        }
        all
    }
}

/// Every command for one app and every write route, with an app of its own in each table; none scans.
async fn every_command_and_write_makes_the_same_calls(small: &Backend, large: &Backend) {
    let (small, large) = (Subject::create(small).await, Subject::create(large).await);
    let (small, large) = (small.calls_of_all().await, large.calls_of_all().await);
    for (name, calls) in &large {
        println!("{name}: {}", calls.join(", "));
        assert!(!calls.is_empty() && !calls.contains(&"Scan".to_owned()), "{name}: {calls:?}");
    }
    assert_eq!(small, large);
}

#[tokio::test(flavor = "multi_thread")]
async fn among_10_000_apps_as_among_1_000() {
    let (small, large) = tokio::join!(Backend::start(), Backend::start());
    add_apps(&small, SMALL).await;
    add_apps(&large, LARGE).await;
    a_listing_names_each_app_once(&large).await;
    what_is_read_page_by_page_takes_no_more_memory(&small, &large).await;
    every_command_and_write_makes_the_same_calls(&small, &large).await;
}
