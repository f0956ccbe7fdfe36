use aws_config::{
    BehaviorVersion, Region, SdkConfig, ecs::EcsCredentialsProvider, provider_config::ProviderConfig,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{SharedAsyncSleep, SharedCredentialsProvider};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_runtime::client::{
    orchestrator::endpoints::StaticUriEndpointResolver,
    retries::{RetryPartition, TokenBucket},
};
use aws_smithy_runtime_api::client::{endpoint::SharedEndpointResolver, http::SharedHttpConnector};

use super::{
    configuration::Configuration,
    endpoint::Endpoint,
    http_client::Http1Client,
    retry_budget::RetryBudget,
    service::{DynamoDb, SecretsManager, Service},
    signed_calls::{Protocol, SignedCalls},
    trust::{TlsError, tls_config},
};

/// Clients of both services, with one pool of connections and one TLS set-up.
///
/// They are built from the function's environment only. The SDK's own loader would look for profiles, SSO and metadata
/// services at each cold start.
#[derive(Debug, Clone)]
pub struct Clients {
    sdk: SdkConfig,
    http_client: Http1Client,
    credentials: Option<Credentials>,
    dynamodb_endpoint: Option<Endpoint>,
    secrets_manager_endpoint: Option<Endpoint>,
    retries: RetryPartition,
}

impl Clients {
    /// Fails if `AWS_CA_BUNDLE` is not usable.
    pub fn new(configuration: &Configuration) -> Result<Self, TlsError> {
        let http_client = Http1Client::new(tls_config(configuration.ca_bundle.as_deref())?);
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(configuration.region.clone()))
            .credentials_provider(match &configuration.credentials {
                Some(credentials) => SharedCredentialsProvider::new(credentials.clone()),
                None => container_credentials(&http_client),
            })
            .http_client(http_client.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SystemTimeSource::new())
            .retry_config(RetryConfig::standard().with_initial_backoff(SignedCalls::FIRST_RETRY_WITHIN))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(SignedCalls::ATTEMPT_TIMEOUT)
                    .operation_timeout(SignedCalls::CALL_TIMEOUT)
                    .build(),
            )
            .build();
        Ok(Self {
            sdk,
            http_client,
            credentials: configuration.credentials.clone(),
            dynamodb_endpoint: configuration.dynamodb_endpoint.clone(),
            secrets_manager_endpoint: configuration.secrets_manager_endpoint.clone(),
            retries: RetryPartition::custom("functions").token_bucket(retry_budget()).build(),
        })
    }

    #[must_use]
    pub fn dynamodb(&self) -> DynamoDb {
        let clients = self.clone();
        let endpoint = self.dynamodb_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
        Service::new(move || clients.dynamodb_sdk(), self.signed_dynamodb(), endpoint)
    }

    #[must_use]
    pub fn secrets_manager(&self) -> SecretsManager {
        let clients = self.clone();
        let endpoint = self.secrets_manager_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
        let signed_calls = self.signed_calls(Protocol::SECRETS_MANAGER, self.secrets_manager_endpoint.as_ref());
        Service::new(move || clients.secrets_manager_sdk(), signed_calls, endpoint)
    }

    fn dynamodb_sdk(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.sdk).retry_partition(self.retries.clone());
        config.set_endpoint_resolver(self.dynamodb_endpoint.as_ref().map(resolver));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn secrets_manager_sdk(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk).retry_partition(self.retries.clone());
        config.set_endpoint_resolver(self.secrets_manager_endpoint.as_ref().map(resolver));
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Returns signed calls of DynamoDB, if the environment names its endpoint and has credentials that never expire.
    #[must_use]
    pub fn signed_dynamodb(&self) -> Option<SignedCalls> {
        self.signed_calls(Protocol::DYNAMODB, self.dynamodb_endpoint.as_ref())
    }

    fn signed_calls(&self, protocol: Protocol, endpoint: Option<&Endpoint>) -> Option<SignedCalls> {
        let (endpoint, credentials, region) = (endpoint?, self.credentials.clone()?, self.sdk.region()?);
        Some(SignedCalls::new(
            protocol,
            endpoint.as_str().to_owned(),
            region.to_string(),
            credentials,
            SharedHttpConnector::new(self.http_client.clone()),
        ))
    }
}

/// Gives the SDK's calls the budget of signed calls. The SDK's own would allow a hundred retries.
fn retry_budget() -> TokenBucket {
    TokenBucket::builder()
        .capacity(RetryBudget::FULL.into())
        .retry_cost(RetryBudget::RETRY.into())
        .timeout_retry_cost(RetryBudget::RETRY.into())
        .throttling_retry_cost(RetryBudget::RETRY.into())
        .success_reward(1.0)
        .build()
}

/// Resolves to a fixed endpoint. The SDK's resolver would parse rules and compile regular expressions at every cold
/// start.
fn resolver(endpoint: &Endpoint) -> SharedEndpointResolver {
    SharedEndpointResolver::new(StaticUriEndpointResolver::uri(endpoint.as_str()))
}

/// Reads credentials from Lambda's local endpoint, which exists if an instance may outlive its credentials (SnapStart).
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn container_credentials(http_client: &Http1Client) -> SharedCredentialsProvider {
    let provider = ProviderConfig::empty()
        .with_http_client(http_client.clone())
        .with_sleep_impl(TokioSleep::new())
        .with_time_source(SystemTimeSource::new());
    SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&provider).build())
}
