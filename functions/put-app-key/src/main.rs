//! The Lambda function of [`put_app_key::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), put_app_key::ROUTE, put_app_key::handle)
}
