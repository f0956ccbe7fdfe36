//! The Lambda function of [`delete_app_api_key::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), delete_app_api_key::ROUTE, delete_app_api_key::handle)
}
