use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::Config;
use crate::{secrets::Secrets, store::Store};

/// What handlers work with; built once per process.
#[derive(Debug)]
pub struct Services {
    /// Apps and API keys.
    pub store: Store,
    /// Apps' secrets and private keys.
    pub secrets: Secrets,
}

impl Services {
    /// Clients on the given SDK configuration.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            store: Store::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            secrets: Secrets::new(aws_sdk_secretsmanager::Client::new(sdk), config.secret_prefix),
        }
    }

    /// Clients for a function: region and credentials from the environment, where Lambda puts them, and nowhere else.
    pub async fn for_function(config: Config) -> Self {
        let sdk = sdk_defaults()
            .region(EnvironmentVariableRegionProvider::new())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .timeout_config(timeouts())
            .load()
            .await;
        Self::new(&sdk, config)
    }

    /// Clients of which every call fails.
    #[cfg(test)]
    pub fn unreachable() -> Self {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        Self::new(&sdk, Config { table: "table".to_owned(), secret_prefix: "prefix".to_owned() })
    }
}

/// The SDK's configuration as far as functions and tools share it: one HTTP client for both services, on rustls with aws-lc.
pub fn sdk_defaults() -> ConfigLoader {
    let http_client =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
}

/// Short enough that a dead backend is noticed inside a route's deadline, with time for a second attempt.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_millis(1500))
        .operation_timeout(Duration::from_secs(3))
        .build()
}
