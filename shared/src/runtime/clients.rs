use std::{env, sync::LazyLock, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    ecs::EcsCredentialsProvider,
    environment::EnvironmentVariableCredentialsProvider,
    provider_config::ProviderConfig,
    retry::RetryConfig,
    timeout::{TimeoutConfig, TimeoutConfigBuilder},
};
use aws_sdk_dynamodb::config::{SharedAsyncSleep, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, rustls_provider::CryptoMode},
};
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime_api::{
    client::{
        endpoint::SharedEndpointResolver,
        http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector, http_client_fn},
        orchestrator::HttpRequest,
    },
    shared::IntoShared,
};
use aws_smithy_types::byte_stream::ByteStream;

use super::{
    Environment, Names,
    trust::{CaBundleError, tls_context},
};
use crate::{causes::causes, secrets::Secrets, store::Store};

/// What handlers work with; built once per process.
#[derive(Debug)]
pub struct Services {
    /// Apps and API keys.
    pub store: Store,
    /// Apps' secrets and private keys. Most functions never use them, and then never pay for the client.
    pub secrets: LazyLock<Secrets, Box<dyn FnOnce() -> Secrets + Send>>,
}

impl Services {
    /// The table and the secrets of those names.
    #[must_use]
    pub fn new(
        dynamodb: aws_sdk_dynamodb::Client,
        secrets_manager: impl FnOnce() -> aws_sdk_secretsmanager::Client + Send + 'static,
        names: Names,
    ) -> Self {
        Self {
            store: Store::new(dynamodb, names.table),
            secrets: LazyLock::new(Box::new(move || Secrets::new(secrets_manager(), names.secret_prefix))),
        }
    }
}

/// A function's clients for both services, on one HTTP client: one pool of connections, one TLS set-up.
///
/// The SDK's own way to a configuration would look for profiles, SSO and metadata services, and cost a cold start 10 ms;
/// a function's environment says all there is to know.
#[derive(Debug, Clone)]
pub struct Clients {
    sdk: SdkConfig,
    connector: SharedHttpConnector,
    dynamodb_endpoint: Option<String>,
    secrets_manager_endpoint: Option<String>,
}

impl Clients {
    /// How long a connection may take, and an attempt, and all attempts of one call together: short enough that a dead
    /// backend is noticed inside a route's deadline, with time for a second attempt.
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
    const CALL_TIMEOUT: Duration = Duration::from_secs(3);

    /// Clients as the environment says, with the credentials that Lambda puts there.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` can't be trusted.
    pub fn new(environment: &Environment) -> Result<Self, CaBundleError> {
        let connector = connector(tls_context(environment.ca_bundle.as_deref())?);
        let http_client = {
            let connector = connector.clone();
            http_client_fn(move |_, _| connector.clone())
        };
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(environment.region.clone()))
            .credentials_provider(credentials(&http_client))
            .http_client(http_client)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SystemTimeSource::new())
            .retry_config(retries())
            .timeout_config(
                timeouts()
                    .operation_attempt_timeout(Self::ATTEMPT_TIMEOUT)
                    .operation_timeout(Self::CALL_TIMEOUT)
                    .build(),
            )
            .build();
        Ok(Self {
            sdk,
            connector,
            dynamodb_endpoint: environment.dynamodb_endpoint.clone(),
            secrets_manager_endpoint: environment.secrets_manager_endpoint.clone(),
        })
    }

    /// DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.sdk);
        config.set_endpoint_resolver(self.dynamodb_endpoint.as_deref().map(endpoint));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk);
        config.set_endpoint_resolver(self.secrets_manager_endpoint.as_deref().map(endpoint));
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Makes the connection to Secrets Manager, so that the first request that needs it need not wait for the handshake.
    /// An unsigned `GET /` needs no permission, costs nothing and leaves no trace in CloudTrail.
    ///
    /// # Errors
    /// Why there is no connection, for the log; the first request will then make one.
    pub async fn connect_to_secrets_manager(&self) -> Result<(), String> {
        let Some(endpoint) = &self.secrets_manager_endpoint else { return Ok(()) };
        let request = HttpRequest::get(endpoint).map_err(|error| causes(&error))?;
        let answer = self.connector.call(request).await.map_err(|error| causes(&error))?;
        // Whatever the answer is: once it is read to its end, the connection is free for the next request.
        ByteStream::new(answer.into_body()).collect().await.map_err(|error| causes(&error))?;
        Ok(())
    }
}

fn timeouts() -> TimeoutConfigBuilder {
    TimeoutConfig::builder().connect_timeout(Clients::CONNECT_TIMEOUT)
}

/// Always that address: the SDK's own resolver would parse its rules and compile their regular expressions, at every cold
/// start, to come to the same.
fn endpoint(url: &str) -> SharedEndpointResolver {
    SharedEndpointResolver::new(StaticUriEndpointResolver::uri(url))
}

/// What is safe to retry is, twice, after up to 50 ms and then 100 ms: the SDK adds jitter, and a budget for each process.
fn retries() -> RetryConfig {
    RetryConfig::standard().with_initial_backoff(Duration::from_millis(50))
}

fn connector(tls: TlsContext) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(Clients::CONNECT_TIMEOUT).build();
    Connector::builder()
        .connector_settings(settings)
        .sleep_impl(TokioSleep::new())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .build()
        .into_shared()
}

/// Lambda puts a function's credentials in its environment, or, where an instance may outlive them (SnapStart), behind a
/// local endpoint.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn credentials(http_client: &SharedHttpClient) -> SharedCredentialsProvider {
    if env::var_os("AWS_ACCESS_KEY_ID").is_none() && env::var_os("AWS_CONTAINER_CREDENTIALS_FULL_URI").is_some() {
        let provider = ProviderConfig::empty()
            .with_http_client(http_client.clone())
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(SystemTimeSource::new());
        return SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&provider).build());
    }
    SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
}
