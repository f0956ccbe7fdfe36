//! The Lambda function of [`post_app_secrets::ROUTE`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::run(post_app_secrets::ROUTE, post_app_secrets::handle).await
}
