//! The local stack's parts, for `make run` and for tests: embedded DynamoDB and Secrets Manager, and data to try.

pub mod demo;
mod dynoxide_server;
pub mod embedded;
pub mod fixtures;
mod guard;
pub mod private_file;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The region of everything local; embedded services and emulators take any.
pub const REGION: &str = "us-east-1";
/// Access key and secret key of everything local; embedded services and emulators take any.
pub const CREDENTIALS: &str = "local";

/// The SDK's configuration for a local service. It reads none of this machine's AWS settings and uses no proxy.
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

/// Why the local stack does not start or go on, in a sentence for the developer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalError(pub String);

impl LocalError {
    /// What failed, and why.
    pub fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}
