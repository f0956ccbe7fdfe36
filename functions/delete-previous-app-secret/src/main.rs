//! The Lambda function of [`delete_previous_app_secret::ROUTE`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::run(delete_previous_app_secret::ROUTE, delete_previous_app_secret::handle).await
}
