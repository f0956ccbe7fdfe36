//! The Lambda function of [`get_app_secrets::ROUTE`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::run(get_app_secrets::ROUTE, get_app_secrets::handle).await
}
