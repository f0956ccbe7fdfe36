//! The functions that `sam build` builds, in containers with each command of `sam local`, on the local stack. `make test-sam`
//! builds them and runs these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::HashSet,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use userdocks_test_support::{
    app_client::AppClient,
    contract::{Fixture, read_payload},
    http::{self, Request},
    readme,
    sam::{self, Server, logical_id},
    shared_trials::{run, trial},
    stack::Stack,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One for each command of `sam local`.
    arguments.test_threads.get_or_insert(3);
    run(&arguments, Local::start, trials, |local| drop(local.stack.stop()))
}

/// The local stack and SAM's emulators.
struct Local {
    /// A container serves one request at a time.
    lambda: Mutex<Server>,
    api: Mutex<Server>,
    /// Taken for each change, because concurrent changes of an app may get a 409.
    changes: Mutex<()>,
    /// Stands for the built functions, which a test rebuilds.
    functions: RwLock<()>,
    stack: Stack,
    _data: TempDir,
}

impl Local {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let stack = Stack::start_for_containers(data.path());
        let parameters = ["--parameter-overrides", &sam::parameters(&stack)];
        let [lambda, api] =
            ["start-lambda", "start-api"].map(|command| Mutex::new(Server::start(command, &parameters)));
        Self { lambda, api, changes: Mutex::new(()), functions: RwLock::new(()), stack, _data: data }
    }

    /// Creates an app and uses it through SAM's API Gateway.
    fn with_app(&self, test: fn(&AppClient)) {
        with(&self.api, |server| test(&AppClient { api: server.endpoint.clone(), ..self.stack.create_app() }));
    }
}

/// Uses a server while no other trial does.
fn with<T>(server: &Mutex<Server>, run: impl FnOnce(&Server) -> T) -> T {
    run(&server.lock().unwrap_or_else(PoisonError::into_inner))
}

type Test = fn(&Local);

/// They start and stop servers, and the last one rebuilds the functions. So they run in order, after the fixtures.
const TESTS: [(&str, Test); 4] = [
    ("signing key is rotated without gap", |local| local.with_app(AppClient::rotate_signing_key)),
    ("secret is rotated without gap", |local| local.with_app(AppClient::rotate_secret)),
    ("functions without endpoints call AWS", functions_without_endpoints_call_aws),
    ("sam commands of README work", commands_of_readme_work),
];

fn trials(local: Option<&Arc<Local>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut invoked = HashSet::new();
    for fixture in Fixture::all().into_iter().map(Arc::new) {
        let mut add = |way: &str, send: fn(&Fixture, &Local)| {
            let of_trial = Arc::clone(&fixture);
            let name = format!("sam local {way}: {} {}", fixture.function, fixture.case);
            let changes = of_trial.status() < 300 && !of_trial.function.starts_with("get-");
            trials.push(trial(local, name, move |local| {
                let _functions = local.functions.read().unwrap_or_else(PoisonError::into_inner);
                let _change = changes.then(|| local.changes.lock().unwrap_or_else(PoisonError::into_inner));
                send(&of_trial, local);
            }));
        };
        // A new container takes seconds, so only one fixture for each status of each function is sent.
        if fixture.is_repeatable() && invoked.insert((fixture.function.clone(), fixture.case[..3].to_owned())) {
            add("invoke", invoke);
        }
        add("start-lambda", call_start_lambda);
        if fixture.is_repeatable() && Request::of(&fixture).is_some() {
            add("start-api", call_start_api);
        }
    }
    trials.push(trial(local, "rotations, functions without endpoints, commands of README".to_owned(), |local| {
        let _functions = local.functions.write().unwrap_or_else(PoisonError::into_inner);
        for (name, test) in TESTS {
            println!("{name}");
            test(local);
        }
    }));
    trials
}

fn invoke(fixture: &Fixture, local: &Local) {
    fixture.assert_response(read_payload(&sam::invoke(&fixture.function, &fixture.case, &local.stack)).0);
}

fn call_start_lambda(fixture: &Fixture, local: &Local) {
    let function = logical_id(&fixture.function);
    let response = with(&local.lambda, |server| http::invoke(&server.endpoint, &function, fixture));
    fixture.assert_response(read_payload(&response).0);
}

fn call_start_api(fixture: &Fixture, local: &Local) {
    let mut response = with(&local.api, |server| Request::of(fixture).unwrap().send(&server.endpoint));
    if response.status == 304 {
        // SAM's web server removes the header from every response without a body.
        response.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        response.headers.sort();
    }
    fixture.assert_response(response);
}

/// The template's endpoint parameters default to AWS's endpoints.
fn functions_without_endpoints_call_aws(_: &Local) {
    let overrides = ["--parameter-overrides", "Environment=no-endpoints Architecture=x86_64"];
    let server = Server::start("start-lambda", &[&["GetAppSecrets"], &overrides[..]].concat());
    let environments = sam::environments("get-app-secrets");
    let is_ours = |environment: &&Vec<String>| environment.contains(&"TABLE_NAME=userdocks-no-endpoints".to_owned());
    let environment = environments.iter().find(is_ours).expect("this server has a container");
    for service in ["dynamodb", "secretsmanager"] {
        // AWS::URLSuffix is "localhost" in SAM and "amazonaws.com" on AWS.
        let endpoint = format!("=https://{service}.us-east-1.localhost");
        assert!(environment.iter().any(|variable| variable.ends_with(&endpoint)), "{environment:?}");
    }
    drop(server);
}

fn commands_of_readme_work(local: &Local) {
    // Commands that deploy are left out.
    let is_local = |text: &str| {
        let finishes = text.starts_with("sam build ") || text.starts_with("sam local invoke ");
        finishes && text.contains(" --config-env local") && !text.contains("&&")
    };
    let commands: Vec<_> = readme::commands().into_iter().filter(|command| is_local(&command.text)).collect();
    assert!(commands.len() > 1, "{commands:?}");
    for typed in commands {
        let mut line = typed.text;
        if line.starts_with("sam local") {
            // Another stack may use the ports in samconfig.toml.
            let parameters = sam::parameters(&local.stack);
            line += &format!(" --parameter-overrides '{parameters}' {}", sam::image_arguments().concat());
        }
        let output = sam::command("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
