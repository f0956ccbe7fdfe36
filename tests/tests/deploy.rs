//! The stack that SAM deploys to an emulator of AWS: its API, and its functions' aliases and roles. `make test-deploy` builds
//! the functions and runs these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use userdocks_test_support::{
    app_client::AppClient,
    contract::{FUNCTIONS, Fixture, failure, read_payload},
    emulator::{
        Emulator, STACK, STAGE, TABLE,
        workarounds::{self, Role},
    },
    event::Event,
    fixtures::{APP, CHANGING_APP, CHANGING_APP_WRITE_KEY, READ_KEY},
    http::{self, Request},
    readme,
    shared_trials::{run, trial},
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let is_whole = arguments.filter.is_none() && arguments.skip.is_empty();
    // The steps change one stack and depend on their order.
    arguments.test_threads = Some(1);
    run(&arguments, Stage::deploy, trials, |stage| {
        let Counts { fixtures, steps, permissions } = &stage.counts;
        let counts = [fixtures, steps, permissions].map(|count| count.load(Ordering::Relaxed));
        println!("{} fixtures sent, {} steps done, {} permissions removed in turn", counts[0], counts[1], counts[2]);
        assert!(!is_whole || counts.iter().all(|count| *count > 0), "a kind of test did not run");
    })
}

/// The stack in two emulators.
struct Stage {
    /// The emulator allows every call.
    open: Deployed,
    /// The emulator enforces permissions.
    enforcing: Deployed,
    roles: Vec<Role>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    fixtures: AtomicUsize,
    steps: AtomicUsize,
    permissions: AtomicUsize,
}

struct Deployed {
    emulator: Emulator,
    api: String,
}

impl Deployed {
    fn create(enforces_permissions: bool) -> Self {
        let emulator = Emulator::start(enforces_permissions);
        emulator.deploy("").unwrap_or_else(|error| panic!("{error}"));
        let api = emulator.api();
        emulator.create_fixtures();
        Self { emulator, api }
    }

    fn create_app(&self) -> AppClient {
        self.emulator.create_app(&self.api)
    }
}

type Step = fn(&Stage);

const STEPS: [(&str, Step); 12] = [
    ("signing key is rotated without gap", |stage| stage.open.create_app().rotate_signing_key()),
    ("secret is rotated without gap", |stage| stage.open.create_app().rotate_secret()),
    ("repeated write changes nothing", repeated_write_changes_nothing),
    ("unchanged response is 304", unchanged_response_is_304),
    ("repeated header is one wrong value", repeated_header_is_one_wrong_value),
    ("body is read with any content type", body_is_read_with_any_content_type),
    ("parallel writes with one key are one change", parallel_writes_with_one_key_are_one_change),
    ("parallel writes with other keys are whole", parallel_writes_with_other_keys_are_whole),
    ("both rotations work with permissions enforced", rotations_work_with_permissions_enforced),
    ("release reaches callers and is undone", release_reaches_callers_and_is_undone),
    ("deleted stack leaves table and secrets", deleted_stack_leaves_table_and_secrets),
    ("failed first deployment can be repeated", failed_first_deployment_can_be_repeated),
];

fn trials(stage: Option<&Arc<Stage>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for fixture in Fixture::all().into_iter().filter(|fixture| Request::of(fixture).is_some()).map(Arc::new) {
        let name = |way| format!("{way}: {} {}", fixture.function, fixture.case);
        let (sent, enforced) = (Arc::clone(&fixture), Arc::clone(&fixture));
        trials.push(trial(stage, name("deployed"), move |stage: &Stage| stage.send(&stage.open, &sent)));
        trials.push(trial(stage, name("enforced"), move |stage: &Stage| stage.send(&stage.enforcing, &enforced)));
    }
    for function in FUNCTIONS {
        let name = format!("{function} needs each of its permissions");
        trials.push(trial(stage, name, move |stage: &Stage| stage.needs_each_permission(function)));
    }
    trials.push(trial(stage, "userdocks-admin finds the stack by its name".to_owned(), admin_finds_stack_by_name));
    for (name, step) in STEPS {
        trials.push(trial(stage, name.to_owned(), move |stage: &Stage| {
            step(stage);
            stage.counts.steps.fetch_add(1, Ordering::Relaxed);
        }));
    }
    trials
}

impl Stage {
    fn deploy() -> Self {
        let (open, enforcing) = (Deployed::create(false), Deployed::create(true));
        let roles = workarounds::enforceable_roles(&enforcing.emulator);
        Self { open, enforcing, roles, counts: Counts::default() }
    }

    fn send(&self, to: &Deployed, fixture: &Fixture) {
        fixture.assert_response(Request::of(fixture).unwrap().send(&to.api));
        self.counts.fixtures.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails unless the function works with its permissions, and fails without any one of them.
    fn needs_each_permission(&self, function: &str) {
        let emulator = &self.enforcing.emulator;
        let role = self.roles.iter().find(|role| role.function == function).expect("a role for each function");
        assert_eq!(self.exercise(function), Ok(()), "{function} with all its permissions");
        let actions = role.actions();
        assert!(!actions.is_empty(), "{function} has no permissions");
        for action in actions {
            role.allow_all_except(emulator, &action);
            let since = now_in_milliseconds();
            // On a busy machine, a log line may arrive after the response, and after the log is read.
            let denied = (0..3).find_map(|_| {
                let _ = self.exercise(function);
                let lines = emulator.warnings(since);
                lines.into_iter().find(|line| line.to_string().contains("AccessDenied"))
            });
            let denied = denied.unwrap_or_else(|| panic!("{function} works without {action}"));
            println!("{function} without {action}: {denied}");
            self.counts.permissions.fetch_add(1, Ordering::Relaxed);
            role.allow_all(emulator);
        }
        assert_eq!(self.exercise(function), Ok(()), "{function} with all its permissions again");
    }

    /// Makes a function use all its permissions.
    ///
    /// # Errors
    /// The body of a failure, or the warning of a best-effort call that failed.
    fn exercise(&self, function: &str) -> Result<(), String> {
        let Deployed { emulator, api } = &self.enforcing;
        let since = now_in_milliseconds();
        // A new API key makes the function record the use. A new version makes it read the secret, because it caches versions.
        let key = |kind: &str| emulator.issue_key(CHANGING_APP, kind);
        let rotate = || emulator.admin(&["secret", "rotate", CHANGING_APP, "--force"]);
        let app = |read_key: String, write_key: String| AppClient {
            api: api.clone(),
            id: CHANGING_APP.to_owned(),
            read_key,
            write_key,
        };
        let reader = || app(key("read"), String::new());
        let writer = || app(String::new(), key("write"));
        // An Idempotency-Key needs the permission to store a result.
        let write = |writer: &AppClient, method: &str, resource: &str, body: Option<&str>| {
            let response = writer.request(method, resource, &[("idempotency-key", resource)], body);
            if response.status < 300 { Ok(()) } else { Err(response.body) }
        };
        match function {
            "get-app-secrets" => {
                let _ = rotate();
                reader().call("GET", "secrets", None)?;
            }
            "get-app-keys" => {
                reader().call("GET", "keys", None)?;
            }
            "get-app-jwks" => {
                app(String::new(), String::new()).call("GET", "jwks.json", None)?;
            }
            "post-app-keys" => {
                write(&writer(), "POST", "keys", None)?;
            }
            "put-app-key" => {
                let writer = writer();
                for key in ["88888888-8888-4888-8888-888888888888", "99999999-9999-4999-8999-999999999999"] {
                    let body = r#"{"state":"in_use","force":true}"#;
                    write(&writer, "PUT", &format!("keys/appkey_{key}"), Some(body))?;
                }
            }
            "delete-app-key" => {
                let created = app(String::new(), CHANGING_APP_WRITE_KEY.to_owned()).call("POST", "keys", None)?;
                let key = created["items"][0]["uuid"].as_str().unwrap();
                write(&writer(), "DELETE", &format!("keys/{key}"), None)?;
            }
            "post-app-secrets" => {
                let writer = writer();
                let rotation = Event::new(function).caller(&writer.id, &writer.write_key).idempotency_key("again");
                let first = writer.request("POST", "secrets", &[("idempotency-key", "again")], None);
                if first.status != 201 {
                    return Err(first.body);
                }
                // Another version of the function is another process, which has not cached the secret.
                let again = emulator.invoke(function, "$LATEST", &rotation.json());
                let again = read_payload(&again).0;
                if again != first {
                    return Err(again.body);
                }
            }
            "delete-previous-app-secret" => {
                let _ = rotate();
                write(&writer(), "DELETE", "secrets/previous", None)?;
            }
            "get-app-api-keys" => {
                reader().call("GET", "api-keys", None)?;
            }
            // An app has room for few API keys, so each call needs a new app.
            "post-app-api-keys" => {
                let app = self.enforcing.create_app();
                let limited = r#"{"type":"read","name":"a","expiresInSeconds":3600,"allowedCidrs":["192.0.2.0/24"]}"#;
                let created = app.call("POST", "api-keys", Some(limited))?;
                let replacement = json!({"replaces": created["items"][0]["uuid"]}).to_string();
                write(&app, "POST", "api-keys", Some(&replacement))?;
            }
            "delete-app-api-key" => {
                let app = self.enforcing.create_app();
                let listed = app.call("GET", "api-keys", None)?;
                let is_read = |key: &&Value| key["type"]["name"] == "read";
                let read = listed["items"].as_array().unwrap().iter().find(is_read).unwrap();
                write(&app, "DELETE", &format!("api-keys/{}", read["uuid"].as_str().unwrap()), None)?;
            }
            "post-leaks" => {
                let report = json!([{"token": key("read")}, {"token": key("write")}]).to_string();
                let (response, _) = http::send("POST", &format!("{api}/api/v1/leaks"), &[], Some(&report));
                if response.status != 202 {
                    return Err(response.body);
                }
            }
            other => panic!("no exercise for {other}"),
        }
        let mut warnings = emulator.warnings(since);
        // A revocation is also a warning. It failed in part if it lacks the ids of the keys that the leaked key has issued.
        warnings.retain(|line| line["issued"].as_str().is_none_or(|issued| issued.starts_with("unknown")));
        if warnings.is_empty() { Ok(()) } else { Err(warnings[0].to_string()) }
    }
}

fn now_in_milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

fn repeated_write_changes_nothing(stage: &Stage) {
    let app = stage.open.create_app();
    for (resource, other_body) in [("secrets", r#"{"overlapSeconds":60}"#), ("keys", "{}")] {
        let write = |body| app.request("POST", resource, &[("idempotency-key", resource)], body);
        let first = write(None);
        assert_eq!(first.status, 201, "{}", first.body);
        assert_eq!(write(None), first);
        assert_eq!(write(Some(other_body)).status, 409, "another request under the same key");
    }
    assert_eq!(app.call("GET", "jwks.json", None).unwrap()["keys"].as_array().unwrap().len(), 2);
}

fn unchanged_response_is_304(stage: &Stage) {
    let app = stage.open.create_app();
    for resource in ["keys", "jwks.json"] {
        let whole = app.request("GET", resource, &[], None);
        let (_, etag) = whole.headers.iter().find(|(name, _)| name == "etag").unwrap();
        // API Gateway joins a repeated header.
        for tags in [vec![etag.as_str()], vec!["\"another\"", etag]] {
            let headers: Vec<_> = tags.into_iter().map(|tag| ("if-none-match", tag)).collect();
            let unchanged = app.request("GET", resource, &headers, None);
            assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""), "{headers:?}");
            assert_eq!(unchanged.headers, whole.headers);
        }
        assert_eq!(app.request("GET", resource, &[("if-none-match", "\"another\"")], None), whole);
    }
}

fn repeated_header_is_one_wrong_value(stage: &Stage) {
    let app = AppClient {
        api: stage.open.api.clone(),
        id: APP.to_owned(),
        read_key: READ_KEY.to_owned(),
        write_key: String::new(),
    };
    app.call("GET", "secrets", None).unwrap();
    for (header, code) in
        [(("x-api-key", READ_KEY), "E4010"), (("x-api-key-type", "read"), "E4011"), (("x-client-id", APP), "E4010")]
    {
        assert_eq!(app.request("GET", "secrets", &[header], None), failure("get-app-secrets", code), "{header:?}");
    }
}

/// API Gateway encodes the bodies of some content types in base64.
fn body_is_read_with_any_content_type(stage: &Stage) {
    let app = stage.open.create_app();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/json");
    for headers in [&[][..], &[form], &[json]] {
        let rotate = |body| app.request("POST", "secrets", headers, Some(body)).status;
        assert_eq!(rotate(r#"{"overlapSeconds":60}"#), 201, "{headers:?}");
        assert_eq!(rotate(r#"{"overlapSeconds":-1}"#), 400, "{headers:?}");
    }
}

/// Rotates an app's secret 16 times in parallel, and returns the responses. `key` chooses each one's `Idempotency-Key`.
fn rotate_16_times_in_parallel(app: &AppClient, key: fn(usize) -> String) -> Vec<(u16, String)> {
    thread::scope(|scope| {
        let rotate = |number| {
            move || {
                let response = app.request("POST", "secrets", &[("idempotency-key", &key(number))], None);
                (response.status, response.body)
            }
        };
        let running: Vec<_> = (0..16).map(|number| scope.spawn(rotate(number))).collect();
        running.into_iter().map(|rotation| rotation.join().unwrap()).collect()
    })
}

fn secret_of(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["data"]["secret"].take()
}

fn parallel_writes_with_one_key_are_one_change(stage: &Stage) {
    let app = stage.open.create_app();
    let responses: BTreeSet<_> = rotate_16_times_in_parallel(&app, |_| "one".to_owned()).into_iter().collect();
    let [(201, body)] = &responses.iter().collect::<Vec<_>>()[..] else { panic!("{responses:?}") };
    assert_eq!(app.call("GET", "secrets", None).unwrap()["data"]["secret"], secret_of(body));
}

fn parallel_writes_with_other_keys_are_whole(stage: &Stage) {
    let app = stage.open.create_app();
    workarounds::label_first_version(&stage.open.emulator, &app.id);
    let responses = rotate_16_times_in_parallel(&app, |number| format!("key {number}"));
    assert!(responses.iter().all(|(status, _)| [201, 409].contains(status)), "{responses:?}");
    let created = responses.iter().filter(|(status, _)| *status == 201);
    let created: BTreeSet<_> = created.map(|(_, body)| secret_of(body).to_string()).collect();
    let now = app.call("GET", "secrets", None).unwrap()["data"]["secret"].to_string();
    assert!(created.contains(&now), "one of the rotations was the last");
    let doctor = stage.open.emulator.admin(&["doctor", "--app", &app.id]);
    assert_eq!(doctor["findings"], json!([]), "a lost rotation leaves nothing behind");
}

fn rotations_work_with_permissions_enforced(stage: &Stage) {
    let app = stage.enforcing.create_app();
    app.rotate_signing_key();
    app.rotate_secret();
}

fn admin_finds_stack_by_name(stage: &Stage) {
    let app = stage.open.create_app();
    let listed = stage.open.emulator.admin_of_stack(&["app", "list"]);
    let ids: Vec<_> = listed["apps"].as_array().unwrap().iter().map(|app| &app["uuid"]).collect();
    assert!(ids.contains(&&json!(app.id)), "{listed}");
    let rotated = stage.open.emulator.admin_of_stack(&["secret", "rotate", &app.id]);
    assert!(rotated.is_object(), "the command uses the stack's secret prefix");
    stage.counts.steps.fetch_add(1, Ordering::Relaxed);
}

fn release_reaches_callers_and_is_undone(stage: &Stage) {
    let emulator = &stage.open.emulator;
    let log_levels = |versions: &[String]| -> BTreeSet<String> {
        let level = |(function, version): (&str, &String)| {
            let configuration = emulator.function(function, &format!("configuration?Qualifier={version}"));
            configuration["LoggingConfig"]["ApplicationLogLevel"].to_string()
        };
        FUNCTIONS.into_iter().zip(versions).map(level).collect()
    };
    let all_moved =
        |before: &[String], after: &[String]| before.iter().zip(after).all(|(before, after)| before != after);
    // Parameters that the command line omits keep their values.
    let publish = |log_level: &str, release: &str| {
        let command = format!("sam deploy --config-env {STAGE} {}", workarounds::arguments_of_release(release));
        let line = format!("{command} --parameter-overrides 'Release={release} LogLevel={log_level}'");
        emulator.shell(&line).unwrap_or_else(|error| panic!("{error}"));
        emulator.live_versions()
    };

    workarounds::assert_releases_are_ignored(emulator);
    let first = emulator.live_versions();
    assert_eq!(log_levels(&first), BTreeSet::from(["\"DEBUG\"".to_owned()]));
    let second = publish("INFO", "second");
    assert!(all_moved(&first, &second), "{first:?} {second:?}");
    assert_eq!(log_levels(&second), BTreeSet::from(["\"INFO\"".to_owned()]), "callers reach the new level");

    // Old and new versions share a table: each replays the other's write.
    let app = stage.open.create_app();
    let function = FUNCTIONS.iter().position(|function| *function == "post-app-secrets").unwrap();
    let [old, new] = [&first, &second].map(|versions| versions[function].as_str());
    for [writes, repeats] in [[old, new], [new, old]] {
        let event = Event::new("post-app-secrets").caller(&app.id, &app.write_key);
        let event = event.idempotency_key(format_args!("{writes} {repeats}")).json();
        let rotate = |version| read_payload(&emulator.invoke("post-app-secrets", version, &event)).0;
        let written = rotate(writes);
        assert_eq!((written.status, rotate(repeats)), (201, written));
    }

    // A rollback deploys the same build again under a new name.
    let third = publish("DEBUG", "third");
    assert!(all_moved(&second, &third), "{second:?} {third:?}");
    assert_eq!(log_levels(&third), log_levels(&first));
    app.rotate_signing_key();

    // A deployment without a release uses the one in samconfig.toml.
    emulator.deploy("").unwrap_or_else(|error| panic!("{error}"));
    assert!(all_moved(&third, &emulator.live_versions()));
}

/// Returns OPERATIONS.md's commands under that heading, for this stage.
fn operations(heading: &str) -> Vec<String> {
    let commands = readme::commands_under("docs/OPERATIONS.md", heading);
    assert!(!commands.is_empty(), "OPERATIONS.md has no commands under {heading}");
    commands.into_iter().map(|command| command.text.replace("production", STAGE)).collect()
}

fn delete_stack(emulator: &Emulator) {
    let command = format!("sam delete --config-env {STAGE}");
    assert!(operations("Remove everything").contains(&command));
    emulator.shell(&format!("{command} --no-prompts")).unwrap_or_else(|error| panic!("{error}"));
}

fn deleted_stack_leaves_table_and_secrets(stage: &Stage) {
    let emulator = &stage.open.emulator;
    let app = stage.open.create_app();
    let secret = app.call("GET", "secrets", None).unwrap();
    delete_stack(emulator);
    assert!(emulator.try_aws(&["cloudformation", "describe-stacks", "--stack-name", STACK]).is_err());
    let show = emulator.admin(&["app", "show", &app.id]);
    assert_eq!(show["app"]["uuid"], app.id, "the table still exists");

    let mut commands = operations("Deploy on an existing table");
    let deploy = commands.pop().unwrap();
    assert_eq!(deploy, format!("sam deploy --config-env {STAGE}"));
    emulator.shell(&commands.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    emulator.deploy("").unwrap_or_else(|error| panic!("{error}"));
    let app = AppClient { api: emulator.api(), ..app };
    assert_eq!(app.call("GET", "secrets", None), Ok(secret), "the app is unchanged");
    app.rotate_secret();
}

fn failed_first_deployment_can_be_repeated(stage: &Stage) {
    let emulator = &stage.open.emulator;
    let table_exists = || emulator.try_aws(&["dynamodb", "describe-table", "--table-name", TABLE]).is_ok();
    delete_stack(emulator);
    let removal = operations("Remove everything");
    emulator.shell(removal.last().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!table_exists());

    // The emulator rejects an event bus whose name is taken. It would accept a table or function whose name is taken.
    let _ = emulator.aws(&["events", "create-event-bus", "--name", "taken"]);
    let taken = "  Taken:\n    Type: AWS::Events::EventBus\n    DependsOn: Table\n    Properties: { Name: taken }\n";
    let broken = workarounds::arguments_of_changed_template("\nResources:\n", "", taken);
    let error = emulator.deploy(&broken).expect_err("a name is taken");
    assert!(error.contains("CREATE_FAILED            AWS::Events::EventBus    Taken"), "{error}");
    let events =
        emulator.aws(&["cloudformation", "describe-stack-events", "--stack-name", STACK])["StackEvents"].take();
    let of_table = |event: &&Value| event["LogicalResourceId"] == "Table";
    let statuses: Vec<_> =
        events.as_array().unwrap().iter().filter(of_table).map(|event| &event["ResourceStatus"]).collect();
    assert!(statuses.contains(&&json!("CREATE_COMPLETE")), "the table was created: {statuses:?}");
    assert!(!table_exists(), "the table was deleted again");

    delete_stack(emulator);
    emulator.deploy("").unwrap_or_else(|error| panic!("{error}"));
    let api = &emulator.api();
    emulator.create_app(api).rotate_secret();
}
