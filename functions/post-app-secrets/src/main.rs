//! The Lambda function of [`post_app_secrets::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(post_app_secrets::ROUTE, post_app_secrets::handle)
}
