//! The stack that `make run` starts: the contract over HTTP, the operator's commands, and restarts. `EMULATOR=moto` replaces
//! the embedded services with moto.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod admin;
mod api;
mod clients;
mod running;
mod schemathesis;
mod verifiers;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use userdocks_test_support::{
    command,
    contract::{Fixture, read_payload},
    http::{self, Request},
    port::ReservedPort,
    program::{Program, Stream},
    shared_trials::{run, trial},
    stack::Stack,
};

fn main() -> ExitCode {
    run(&Arguments::from_args(), Shared::start, trials, |shared| drop(shared.stack.stop()))
}

struct Shared {
    stack: Stack,
    _moto: Option<Moto>,
    _data: TempDir,
}

impl Shared {
    fn start() -> Self {
        let moto = (std::env::var("EMULATOR").as_deref() == Ok("moto")).then(Moto::start);
        let data = tempfile::tempdir().unwrap();
        let stack = Stack::start(data.path(), moto.as_ref().map(|moto| moto.endpoint.as_str()));
        Self { stack, _moto: moto, _data: data }
    }
}

/// A running moto[server], which `make test-moto` installs.
struct Moto {
    endpoint: String,
    _program: Program,
    _port: ReservedPort,
}

impl Moto {
    fn start() -> Self {
        let port = ReservedPort::new();
        let mut command = command("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.number().to_string()]);
        let endpoint = format!("http://127.0.0.1:{}", port.number());
        let listens = format!("Running on {endpoint}");
        let started = Program::start(&mut command, Stream::Error, |line| line.contains(&listens).then_some(()));
        Self { endpoint, _program: started.program, _port: port }
    }
}

type Test = fn(&Stack);

const TESTS: [(&str, Test); 29] = [
    ("printed curl lines work as pasted", running::printed_curl_lines_work),
    ("request prints a line and logs one", running::request_prints_line_and_logs_one),
    ("header names are case-insensitive", running::header_names_are_case_insensitive),
    ("unknown route or method is 404 of gateway", running::unknown_route_is_404_of_gateway),
    ("cargo lambda invoke accepts fixtures", running::cargo_lambda_invoke_accepts_fixtures),
    ("app create creates complete app", admin::app_create_creates_complete_app),
    ("app create with id is idempotent", admin::app_create_is_idempotent),
    ("app list and show", admin::app_list_and_show),
    ("app list in parts", admin::app_list_in_parts),
    ("app export and import", admin::app_export_and_import),
    ("doctor", admin::doctor),
    ("app disable, enable and delete", admin::app_disable_enable_delete),
    ("api-key issue, list and revoke", admin::api_key_issue_list_revoke),
    ("api-key import", admin::api_key_import),
    ("secret set and rotate", admin::secret_set_and_rotate),
    ("signing-key import and list", admin::signing_key_import_and_list),
    ("signing-key create, activate and revoke", admin::signing_key_create_activate_revoke),
    ("secret rotate with overlap and end-overlap", admin::secret_overlap),
    ("api-key rotate", admin::api_key_rotate),
    ("corrupt record is named and hides no other", admin::corrupt_record_hides_no_other),
    ("verifiers of other projects do not notice rotation", verifiers::verifiers_do_not_notice_rotation),
    ("boto3 finds data where it is documented", clients::boto3_reads_data),
    ("fetch runs printed examples", clients::fetch_runs_printed_examples),
    ("schemathesis finds nothing with credentials", schemathesis::finds_nothing_with_credentials),
    ("schemathesis finds nothing without credentials", schemathesis::finds_nothing_without_credentials),
    ("usage errors and failures have exit codes", admin::exit_codes),
    ("table create", admin::table_create),
    ("restart keeps data", running::restart_keeps_data),
    ("failed start prints one sentence", running::failed_start_prints_one_sentence),
];

fn trials(shared: Option<&Arc<Shared>>) -> Vec<Trial> {
    let fixtures = Fixture::all().into_iter().map(|fixture| {
        let name = format!("{} {}", fixture.function, fixture.case);
        trial(shared, name, move |shared: &Shared| send_fixture(&fixture, &shared.stack))
    });
    let tests = TESTS
        .into_iter()
        .map(|(name, test)| trial(shared, name.to_owned(), move |shared: &Shared| test(&shared.stack)));
    fixtures.chain(tests).collect()
}

/// Sends a fixture as an event and as an HTTP request.
fn send_fixture(fixture: &Fixture, stack: &Stack) {
    let (response, _) = read_payload(&http::invoke(stack.api(), &fixture.function, fixture));
    fixture.assert_response(response);
    if let Some(request) = Request::of(fixture).filter(|_| fixture.is_repeatable()) {
        fixture.assert_response(request.send(stack.api()));
    }
}
