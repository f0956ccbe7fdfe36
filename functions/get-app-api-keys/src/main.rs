//! The Lambda function of [`get_app_api_keys::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), get_app_api_keys::ROUTE, get_app_api_keys::handle)
}
