//! The Lambda function of [`post_leaks::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(env!("CARGO_CRATE_NAME"), post_leaks::ROUTE, post_leaks::handle)
}
