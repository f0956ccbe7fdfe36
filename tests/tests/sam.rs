//! The functions as `sam build` makes them, in containers, through every way of `sam local`, against the local stack.
//! `make test-sam` builds them and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{collections::HashSet, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use userdocks_test_support::{
    contract::{Fixture, read_payload},
    http::{self, Request},
    readme,
    rotation::App,
    sam::{self, Server, logical_id},
    stack::Stack,
    trial::trial,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    // A container serves one request at a time.
    arguments.test_threads = Some(1);
    let data = tempfile::tempdir().unwrap();
    let stack = Stack::start_for_containers(data.path());
    let parameters = ["--parameter-overrides", &sam::parameters(&stack)];
    let (lambda, api) = (Server::start("start-lambda", &parameters), Server::start("start-api", &parameters));
    let local = Arc::new(Local { stack, lambda, api });
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&local)));
    Arc::into_inner(local).expect("no test runs any more").stack.stop();
    conclusion.exit_code()
}

/// The local stack, and SAM's emulators with the functions in containers.
struct Local {
    stack: Stack,
    lambda: Server,
    api: Server,
}

type Test = fn(&Local);

const TESTS: [(&str, Test); 4] = [
    ("a signing key is rotated without a gap", a_signing_key_is_rotated),
    ("a secret is rotated without a gap", a_secret_is_rotated),
    ("without endpoints functions call AWS", without_endpoints_functions_call_aws),
    // The last, because it builds anew.
    ("the README's sam commands work", the_readmes_commands_work),
];

fn trials(local: Option<&Arc<Local>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut invoked = HashSet::new();
    for fixture in Fixture::all().into_iter().map(Arc::new) {
        let mut answered = |way: &str, answer: fn(&Fixture, &Local)| {
            let of_trial = Arc::clone(&fixture);
            let name = format!("sam local {way}: {} {}", fixture.function, fixture.case);
            trials.push(trial(local, name, move |local| answer(&of_trial, local)));
        };
        // Each makes a container of its own and takes seconds: one for each status of each function.
        if invoked.insert((fixture.function.clone(), fixture.case[..3].to_owned())) {
            answered("invoke", invoke);
        }
        answered("start-lambda", call_start_lambda);
        if Request::of(&fixture).is_some() {
            answered("start-api", call_start_api);
        }
    }
    trials.extend(TESTS.into_iter().map(|(name, test)| trial(local, name.to_owned(), test)));
    trials
}

fn invoke(fixture: &Fixture, local: &Local) {
    fixture.assert_answered(read_payload(&sam::invoke(&fixture.function, &fixture.case, &local.stack)).0);
}

fn call_start_lambda(fixture: &Fixture, local: &Local) {
    let answer = http::invoke(&local.lambda.endpoint, &logical_id(&fixture.function), fixture);
    fixture.assert_answered(read_payload(&answer).0);
}

fn call_start_api(fixture: &Fixture, local: &Local) {
    let mut answer = Request::of(fixture).unwrap().send(&local.api.endpoint);
    if answer.status == 304 {
        // SAM's web server takes it out of every answer without a body.
        answer.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        answer.headers.sort();
    }
    fixture.assert_answered(answer);
}

fn app(local: &Local) -> App<'_> {
    let (id, read_key, write_key) = local.stack.create_app();
    App { api: &local.api.endpoint, id, read_key, write_key }
}

fn a_signing_key_is_rotated(local: &Local) {
    app(local).rotate_signing_key();
}

fn a_secret_is_rotated(local: &Local) {
    app(local).rotate_secret();
}

/// The endpoints are parameters of the template; where they are not given, it names AWS's own.
fn without_endpoints_functions_call_aws(_: &Local) {
    let overrides = ["--parameter-overrides", "Environment=no-endpoints Architecture=x86_64"];
    let server = Server::start("start-lambda", &[&["GetAppSecrets"], &overrides[..]].concat());
    let environments = sam::environments("get-app-secrets");
    let is_ours = |environment: &&Vec<String>| environment.contains(&"TABLE_NAME=userdocks-no-endpoints".to_owned());
    let environment = environments.iter().find(is_ours).expect("a container of this server's");
    for service in ["dynamodb", "secretsmanager"] {
        // SAM's AWS::URLSuffix is "localhost", where AWS's is "amazonaws.com".
        let endpoint = format!("=https://{service}.us-east-1.localhost");
        assert!(environment.iter().any(|variable| variable.ends_with(&endpoint)), "{environment:?}");
    }
    drop(server);
}

fn the_readmes_commands_work(local: &Local) {
    // What deploys is never run.
    let is_local = |text: &str| {
        let finishes = text.starts_with("sam build ") || text.starts_with("sam local invoke ");
        finishes && text.contains(" --config-env local") && !text.contains("&&")
    };
    let commands: Vec<_> = readme::commands().into_iter().filter(|command| is_local(&command.text)).collect();
    assert!(commands.len() > 1, "{commands:?}");
    for typed in commands {
        let mut line = typed.text;
        if line.starts_with("sam local") {
            // Another stack may run at the ports that samconfig.toml names.
            let parameters = sam::parameters(&local.stack);
            line += &format!(" --parameter-overrides '{parameters}' {}", sam::image_arguments().concat());
        }
        let output = sam::command("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
