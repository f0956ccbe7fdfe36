//! A table of 10,000 apps. Commands for all apps use constant memory. All other commands and all writes make the same calls
//! as in a small table.

use std::{
    collections::{BTreeSet, HashMap},
    process::{Output, Stdio},
};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::{StreamExt, stream};
use nix::fcntl::{FcntlArg, fcntl};
use serde_json::Value;
use tokio::{io::AsyncReadExt, net::unix::pipe};
use userdocks::domain::{ApiKeyValue, AppId, Secret, SecretVersionId, Timestamp};
use userdocks_test_support::{
    app::TestApp,
    aws::{FakeAws, TABLE},
    contract::read_payload,
    event::Event,
    function::Function,
};

/// Both numbers of apps take more than one page of a scan.
const SMALL: usize = 1_000;
const LARGE: usize = 10_000;

type Item = HashMap<String, AttributeValue>;

/// Adds apps with two API keys and a signing key each, but no secret. The store writes one app, and the others are copies
/// of its items with new ids.
async fn add_apps(aws: &FakeAws, count: usize) {
    let (app, _) = TestApp::builder().name("One of many").create_record(&aws.services()).await;
    let dynamodb = aws.dynamodb();
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
    let _ = aws.take_operations();
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

/// Runs a command that prints page by page. Returns the size of its output in bytes and its peak memory in KB.
///
/// The memory is read after each part of the output. The pipe has room for less than a page, so the command cannot end before
/// its memory is read.
async fn measure(aws: &FakeAws, command: &[&str]) -> (usize, u64) {
    let (ours, theirs) = std::io::pipe().unwrap();
    fcntl(&theirs, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = aws.admin(&[&["--output", "json"], command].concat());
    let process = command.stdout(theirs).stderr(Stdio::piped()).spawn().unwrap();
    // Reading ends when the process closes the last handle to the pipe's other end.
    drop(command);
    let mut output = pipe::Receiver::from_owned_fd(ours.into()).unwrap();
    let (mut printed, mut peak, mut part) = (0, 0, [0; 4096]);
    loop {
        match output.read(&mut part).await.unwrap() {
            0 => break,
            count => printed += count,
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
        // A process that has ended no longer has this line.
        if let Some(kilobytes) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")) {
            peak = kilobytes.trim().parse().unwrap();
        }
    }
    let Output { status, stderr: errors, .. } = process.wait_with_output().await.unwrap();
    assert_eq!(status.success(), errors.is_empty());
    assert!(errors.is_empty() || errors.ends_with(b"findings remain\n"), "{}", String::from_utf8_lossy(&errors));
    (printed, peak)
}

/// `doctor` reports every app, because none has a secret. It also reports secrets without an app, a tenth as many.
async fn commands_for_all_apps_take_no_more_memory(small: &FakeAws, large: &FakeAws) {
    for (aws, apps) in [(small, SMALL), (large, LARGE)] {
        let secrets = &aws.services().secrets;
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

/// Lists all apps at once and in parts.
async fn listing_names_each_app_once(large: &FakeAws) {
    let _ = large.take_operations();
    let (code, all, errors) = large.run_admin(&["app", "list"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let ids = |page: &Value| -> Vec<String> {
        page["apps"].as_array().unwrap().iter().map(|app| app["uuid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&all).iter().collect::<BTreeSet<_>>().len(), LARGE);
    let calls = large.take_operations();
    assert!(calls.len() > 1 && calls.iter().all(|call| call == "Scan"), "{calls:?}");

    // In parts. A page costs one scan, or two if it is full.
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
    let _ = large.take_operations();
    let (_, page, _) = large.run_admin(&["app", "list", "--limit", "2"]).await;
    assert_eq!(ids(&page), &ids(&all)[..2]);
    let calls = large.take_operations().len();
    assert!(calls <= 2, "a page of two apps costs {calls} calls");
}

/// A complete app in one of the tables.
struct MeasuredApp<'a> {
    aws: &'a FakeAws,
    app: String,
    write_key: String,
}

impl<'a> MeasuredApp<'a> {
    async fn create(aws: &'a FakeAws) -> Self {
        let (code, created, errors) = aws.run_admin(&["app", "create", "--name", "Measured"]).await;
        assert_eq!((code, errors.as_str()), (0, ""));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let measured =
            Self { aws, app: text(&created["app"]["uuid"]), write_key: text(&created["apiKeys"][1]["value"]) };
        // Otherwise the first request would also record the key's use.
        let hash = measured.write_key.parse::<ApiKeyValue>().unwrap().hash();
        aws.services().store.note_use(measured.app.parse().unwrap(), &hash, Timestamp::now()).await.unwrap();
        measured
    }

    async fn calls_of_command(&self, arguments: &[&str]) -> (Value, Vec<String>) {
        let _ = self.aws.take_operations();
        let (code, response, errors) = self.aws.run_admin(arguments).await;
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        (response, self.aws.take_operations())
    }

    async fn calls_of_write(&self, function: &str, key: &str, body: &str) -> (Value, Vec<String>) {
        let event = Event::new(function).caller(&self.app, &self.write_key).idempotency_key(function).body(body);
        let event = if key.is_empty() { event } else { event.key(key) };
        let mut process = Function::start(function, &self.aws.environment()).await;
        let _ = self.aws.take_operations();
        let (response, _) = read_payload(&process.invoke(&event).await);
        assert!(response.status < 300, "{function}: {}", response.body);
        (serde_json::from_str(&response.body).unwrap(), self.aws.take_operations())
    }

    /// Returns the calls of every write and of every command for one app, in an order in which each succeeds.
    async fn calls_of_all(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        let app = self.app.as_str();
        let id = |response: &Value, list: &str| response[list]["uuid"].as_str().unwrap().to_owned();

        let (response, calls) = self.calls_of_write("post-app-keys", "", "").await;
        all.push(("post-app-keys".to_owned(), calls));
        let key = response["items"][0]["uuid"].as_str().unwrap();
        let put = r#"{"state":"in_use","force":true}"#;
        let first = self.aws.run_admin(&["signing-key", "list", app]).await.1["signingKeys"][0]["uuid"].clone();
        for (function, key, body) in [
            ("put-app-key", key, put),
            ("delete-app-key", first.as_str().unwrap(), ""),
            ("post-app-secrets", "", ""),
            ("delete-previous-app-secret", "", ""),
        ] {
            all.push((function.to_owned(), self.calls_of_write(function, key, body).await.1));
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
        // `app delete` deletes items in parallel, so the calls arrive in any order.
        all.last_mut().unwrap().1.sort();
        all
    }
}

/// No command for one app and no write scans the table.
async fn commands_and_writes_make_same_calls(small: &FakeAws, large: &FakeAws) {
    let (small, large) = (MeasuredApp::create(small).await, MeasuredApp::create(large).await);
    let (small, large) = (small.calls_of_all().await, large.calls_of_all().await);
    for (name, calls) in &large {
        println!("{name}: {}", calls.join(", "));
        assert!(!calls.is_empty() && !calls.contains(&"Scan".to_owned()), "{name}: {calls:?}");
    }
    assert_eq!(small, large);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_apps_cost_no_more_than_one_thousand() {
    let (small, large) = tokio::join!(FakeAws::start(), FakeAws::start());
    add_apps(&small, SMALL).await;
    add_apps(&large, LARGE).await;
    listing_names_each_app_once(&large).await;
    commands_for_all_apps_take_no_more_memory(&small, &large).await;
    commands_and_writes_make_same_calls(&small, &large).await;
}
