//! The Lambda function of [`delete_previous_app_secret::ROUTE`].

use std::process::ExitCode;

fn main() -> ExitCode {
    userdocks::runtime::run(
        env!("CARGO_CRATE_NAME"),
        delete_previous_app_secret::ROUTE,
        delete_previous_app_secret::handle,
    )
}
