//! The functions that `sam build` builds, in containers with each command of `sam local`, on the local stack. `make test-sam`
//! builds them and runs these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{collections::HashSet, process::ExitCode, sync::Arc};

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
    // A container serves one request at a time.
    run(Arguments::from_args(), true, Local::start, trials, |local| drop(local.stack.stop()))
}

/// The local stack and SAM's emulators.
struct Local {
    lambda: Server,
    api: Server,
    stack: Stack,
    _data: TempDir,
}

impl Local {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let stack = Stack::start_for_containers(data.path());
        let parameters = ["--parameter-overrides", &sam::parameters(&stack)];
        let (lambda, api) = (Server::start("start-lambda", &parameters), Server::start("start-api", &parameters));
        Self { lambda, api, stack, _data: data }
    }

    /// Creates an app and returns a client of SAM's API Gateway.
    fn create_app(&self) -> AppClient {
        AppClient { api: self.api.endpoint.clone(), ..self.stack.create_app() }
    }
}

type Test = fn(&Local);

const TESTS: [(&str, Test); 4] = [
    ("signing key is rotated without gap", |local| local.create_app().rotate_signing_key()),
    ("secret is rotated without gap", |local| local.create_app().rotate_secret()),
    ("functions without endpoints call AWS", functions_without_endpoints_call_aws),
    // The last test, because it rebuilds the functions.
    ("sam commands of README work", commands_of_readme_work),
];

fn trials(local: Option<&Arc<Local>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut invoked = HashSet::new();
    for fixture in Fixture::all().into_iter().map(Arc::new) {
        let mut add = |way: &str, send: fn(&Fixture, &Local)| {
            let of_trial = Arc::clone(&fixture);
            let name = format!("sam local {way}: {} {}", fixture.function, fixture.case);
            trials.push(trial(local, name, move |local| send(&of_trial, local)));
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
    trials.extend(TESTS.into_iter().map(|(name, test)| trial(local, name.to_owned(), test)));
    trials
}

fn invoke(fixture: &Fixture, local: &Local) {
    fixture.assert_response(read_payload(&sam::invoke(&fixture.function, &fixture.case, &local.stack)).0);
}

fn call_start_lambda(fixture: &Fixture, local: &Local) {
    let response = http::invoke(&local.lambda.endpoint, &logical_id(&fixture.function), fixture);
    fixture.assert_response(read_payload(&response).0);
}

fn call_start_api(fixture: &Fixture, local: &Local) {
    let mut response = Request::of(fixture).unwrap().send(&local.api.endpoint);
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
