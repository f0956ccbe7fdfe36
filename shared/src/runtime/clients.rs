use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, ecs::EcsCredentialsProvider, provider_config::ProviderConfig,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{SharedAsyncSleep, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, rustls_provider::CryptoMode},
};
use aws_smithy_runtime::client::{
    orchestrator::endpoints::StaticUriEndpointResolver,
    retries::{RetryPartition, TokenBucket},
};
use aws_smithy_runtime_api::{
    client::{
        endpoint::SharedEndpointResolver,
        http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn},
    },
    shared::IntoShared,
};

use super::{
    Endpoint, Environment, Names,
    trust::{CaBundleError, tls_context},
};
use crate::{
    aws_json::{AwsJson, Protocol, RetryBudget},
    secrets::Secrets,
    store::Store,
};

/// What handlers work with; built once per process.
#[derive(Debug)]
pub struct Services {
    /// Apps and API keys.
    pub store: Store,
    /// Apps' secrets and private keys.
    pub secrets: Secrets,
}

impl Services {
    /// The table and the secrets of those names, on the SDK alone.
    #[must_use]
    pub fn new(
        dynamodb: aws_sdk_dynamodb::Client,
        secrets_manager: aws_sdk_secretsmanager::Client,
        names: Names,
    ) -> Self {
        Self {
            store: Store::new(|| dynamodb, None, names.table),
            secrets: Secrets::new(|| secrets_manager, None, &names.secret_prefix),
        }
    }
}

/// A function's ways to both services, on one HTTP client: one pool of connections, one TLS set-up.
///
/// The SDK's own way to a configuration would look for profiles, SSO and metadata services, and cost a cold start 10 ms;
/// a function's environment says all there is to know.
#[derive(Debug, Clone)]
pub struct Clients {
    sdk: SdkConfig,
    connector: SharedHttpConnector,
    credentials: Option<Credentials>,
    dynamodb_endpoint: Option<Endpoint>,
    secrets_manager_endpoint: Option<Endpoint>,
    retries: RetryPartition,
}

impl Clients {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

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
            .credentials_provider(match &environment.credentials {
                Some(credentials) => SharedCredentialsProvider::new(credentials.clone()),
                None => container_credentials(&http_client),
            })
            .http_client(http_client)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SystemTimeSource::new())
            .retry_config(RetryConfig::standard().with_initial_backoff(AwsJson::FIRST_RETRY_WITHIN))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(AwsJson::ATTEMPT_TIMEOUT)
                    .operation_timeout(AwsJson::CALL_TIMEOUT)
                    .build(),
            )
            .build();
        Ok(Self {
            sdk,
            connector,
            credentials: environment.credentials.clone(),
            dynamodb_endpoint: environment.dynamodb_endpoint.clone(),
            secrets_manager_endpoint: environment.secrets_manager_endpoint.clone(),
            retries: RetryPartition::custom("functions").token_bucket(retry_budget()).build(),
        })
    }

    /// The table and the secrets of those names.
    #[must_use]
    pub fn services(&self, names: Names) -> Services {
        let (dynamodb, secrets_manager) = (self.clone(), self.clone());
        let endpoint = self.dynamodb_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
        Services {
            store: Store::new(move || dynamodb.dynamodb(), self.direct_dynamodb(), names.table).with_endpoint(endpoint),
            secrets: Secrets::new(
                move || secrets_manager.secrets_manager(),
                self.direct_secrets_manager(),
                &names.secret_prefix,
            ),
        }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.sdk).retry_partition(self.retries.clone());
        config.set_endpoint_resolver(self.dynamodb_endpoint.as_ref().map(resolver));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk).retry_partition(self.retries.clone());
        config.set_endpoint_resolver(self.secrets_manager_endpoint.as_ref().map(resolver));
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// DynamoDB without the SDK, where the environment names its endpoint and has credentials that last.
    #[must_use]
    pub fn direct_dynamodb(&self) -> Option<AwsJson> {
        self.direct(Protocol::DYNAMODB, self.dynamodb_endpoint.as_ref())
    }

    fn direct_secrets_manager(&self) -> Option<AwsJson> {
        self.direct(Protocol::SECRETS_MANAGER, self.secrets_manager_endpoint.as_ref())
    }

    fn direct(&self, protocol: Protocol, endpoint: Option<&Endpoint>) -> Option<AwsJson> {
        let (endpoint, credentials, region) = (endpoint?, self.credentials.clone()?, self.sdk.region()?);
        Some(AwsJson::new(
            protocol,
            endpoint.as_str().to_owned(),
            region.to_string(),
            credentials,
            self.connector.clone(),
        ))
    }
}

/// The same for the SDK's calls as for those without it; its own would allow a hundred retries before it ran out.
fn retry_budget() -> TokenBucket {
    TokenBucket::builder()
        .capacity(RetryBudget::FULL.into())
        .retry_cost(RetryBudget::RETRY.into())
        .timeout_retry_cost(RetryBudget::RETRY.into())
        .throttling_retry_cost(RetryBudget::RETRY.into())
        .success_reward(1.0)
        .build()
}

/// Always that address: the SDK's own resolver would parse its rules and compile their regular expressions, at every cold
/// start, to come to the same.
fn resolver(endpoint: &Endpoint) -> SharedEndpointResolver {
    SharedEndpointResolver::new(StaticUriEndpointResolver::uri(endpoint.as_str()))
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

/// Where an instance may outlive its credentials (SnapStart), Lambda hands them out at a local endpoint.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn container_credentials(http_client: &SharedHttpClient) -> SharedCredentialsProvider {
    let provider = ProviderConfig::empty()
        .with_http_client(http_client.clone())
        .with_sleep_impl(TokioSleep::new())
        .with_time_source(SystemTimeSource::new());
    SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&provider).build())
}
