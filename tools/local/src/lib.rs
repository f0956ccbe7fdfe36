//! The parts of the local stack, for `make run` and tests: embedded DynamoDB and Secrets Manager, and demo data.

pub mod demo;
mod dynoxide_server;
pub mod embedded;
pub mod fixtures;
mod guard;
pub mod private_file;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use userdocks::aws::{Http1Client, TlsError, tls_config};

/// The region of the local stack. Embedded services and emulators accept any region.
pub const REGION: &str = "us-east-1";
/// The access key and secret key of the local stack. Embedded services and emulators accept any.
pub const CREDENTIALS: &str = "local";

/// Returns the SDK's configuration for a local service. It ignores this machine's AWS settings and proxies.
pub fn sdk_config(endpoint: &str) -> Result<SdkConfig, TlsError> {
    let credentials = Credentials::new(CREDENTIALS, CREDENTIALS, None, None, "local");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Http1Client::new(tls_config(None)?))
        .endpoint_url(endpoint)
        .build();
    Ok(sdk)
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
