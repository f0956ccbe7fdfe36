//! The Lambda function of [`post_app_secrets::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), post_app_secrets::ROUTE, post_app_secrets::handle)
}
