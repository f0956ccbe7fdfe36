//! The parts of the local stack, for `make run` and tests: embedded DynamoDB and Secrets Manager, and demo data.

pub mod demo;
mod dynoxide_server;
pub mod embedded;
pub mod fixtures;
mod guard;
pub mod private_file;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The region of the local stack. Embedded services and emulators accept any region.
pub const REGION: &str = "us-east-1";
/// The access key and secret key of the local stack. Embedded services and emulators accept any.
pub const CREDENTIALS: &str = "local";

/// Returns the SDK's configuration for a local service. It ignores this machine's AWS settings and proxies.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let http_client =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let credentials = Credentials::new(CREDENTIALS, CREDENTIALS, None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .endpoint_url(endpoint)
        .build()
}

/// The reason why the local stack cannot start or continue.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalError(pub String);

impl LocalError {
    /// Returns an error for a failed action and its cause.
    pub fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}
