//! The Lambda function of [`get_app_secrets::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), get_app_secrets::ROUTE, get_app_secrets::handle)
}
