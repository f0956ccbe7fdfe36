//! The Lambda function of [`get_app_jwks::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), get_app_jwks::ROUTE, get_app_jwks::handle)
}
