//! The clients of both services: the SDK's, and the one read of each service that requests wait for.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, LazyLock},
};

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    types::KeysAndAttributes,
};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    batch_get_item::{self, BatchGetItemOutput, Item},
    canned::Canned,
    causes::{is_throttling, sdk_cause},
    signed_calls::{CallError, SignedCalls},
};

pub type DynamoDb = Service<aws_sdk_dynamodb::Client>;
pub type SecretsManager = Service<aws_sdk_secretsmanager::Client>;

/// A client of an AWS service. The SDK's client is built at its first use, because most cold starts never use it.
#[derive(Debug)]
pub struct Service<Client> {
    client: Arc<LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>>,
    reads: Reads,
    endpoint: Option<String>,
}

#[derive(Debug, Clone)]
enum Reads {
    Signed(Arc<SignedCalls>),
    Sdk,
}

impl<Client: Send + 'static> Service<Client> {
    /// Reads with the SDK. `endpoint` is the client's, for error messages; `None` is AWS's own.
    pub fn from_sdk(client: Client, endpoint: Option<String>) -> Self {
        Self::new(move || client, None, endpoint)
    }

    /// Reads with signed calls if there are any, else with the SDK.
    pub fn new(
        client: impl FnOnce() -> Client + Send + 'static,
        signed_calls: Option<SignedCalls>,
        endpoint: Option<String>,
    ) -> Self {
        let client: Box<dyn FnOnce() -> Client + Send> = Box::new(client);
        let reads = signed_calls.map_or(Reads::Sdk, |calls| Reads::Signed(Arc::new(calls)));
        Self { client: Arc::new(LazyLock::new(client)), reads, endpoint }
    }
}

impl<Client: Send + Sync + 'static> Service<Client> {
    fn rehearsed(&self, response: Canned, client_with: fn(&Client, Canned) -> Client) -> Self {
        match &self.reads {
            Reads::Signed(calls) => {
                let client = Arc::clone(&self.client);
                let calls = calls.rehearsal(response);
                Self::new(move || client_with(&client, response), Some(calls), self.endpoint.clone())
            }
            Reads::Sdk => self.clone(),
        }
    }
}

impl<Client> Service<Client> {
    /// Returns the SDK's client, for everything except [`Service::batch_get_item`] and [`Service::get_secret_value`].
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the endpoint for error messages.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("AWS's own endpoint")
    }

    /// Opens a connection, so that the first read does not wait for the handshake. Does nothing if reads use the SDK.
    pub async fn connect(&self) -> Result<(), CallError> {
        match &self.reads {
            Reads::Signed(calls) => calls.connect().await,
            Reads::Sdk => Ok(()),
        }
    }
}

impl DynamoDb {
    /// Returns a service of which every call gets this response and stays in the process. If reads use the SDK, returns
    /// the service itself, because only a real call opens their connection.
    #[must_use]
    pub fn rehearsal(&self, response: &'static str) -> Self {
        self.rehearsed(Canned(response), |client, canned| {
            aws_sdk_dynamodb::Client::from_conf(client.config().to_builder().http_client(canned).build())
        })
    }

    /// Reads the items of up to 100 keys, strongly consistent.
    pub async fn batch_get_item(&self, table: &str, keys: &[Item]) -> Result<BatchGetItemOutput, FailedCall> {
        match &self.reads {
            Reads::Signed(calls) => {
                let request = batch_get_item::request(table, keys).map_err(FailedCall::malformed)?;
                let response = calls.call("BatchGetItem", &request).await?;
                BatchGetItemOutput::from_json(&response).map_err(FailedCall::malformed)
            }
            Reads::Sdk => {
                let keys = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true).build();
                let keys = keys.map_err(FailedCall::other)?;
                let response = send(self.client.batch_get_item().request_items(table, keys).send()).await?;
                let unprocessed = response.unprocessed_keys.unwrap_or_default();
                Ok(BatchGetItemOutput {
                    items: response.responses.unwrap_or_default().into_values().flatten().collect(),
                    unprocessed_keys: unprocessed.into_values().flat_map(|table| table.keys).collect(),
                })
            }
        }
    }
}

impl SecretsManager {
    /// See [`DynamoDb::rehearsal`].
    #[must_use]
    pub fn rehearsal(&self, response: &'static str) -> Self {
        self.rehearsed(Canned(response), |client, canned| {
            aws_sdk_secretsmanager::Client::from_conf(client.config().to_builder().http_client(canned).build())
        })
    }

    /// Reads one version of a secret; `None` if it is binary.
    ///
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    pub async fn get_secret_value(&self, name: &str, version: &str) -> Result<Option<Zeroizing<String>>, FailedCall> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Response {
            secret_string: Option<String>,
        }
        match &self.reads {
            Reads::Signed(calls) => {
                let request = json!({"SecretId": name, "VersionId": version}).to_string();
                let response = Zeroizing::new(calls.call("GetSecretValue", &request).await?);
                // The error's own text may quote the secret.
                serde_json::from_slice(&response)
                    .map(|Response { secret_string }| secret_string.map(Zeroizing::new))
                    .map_err(|error| {
                        FailedCall::malformed(format_args!("line {}, column {}", error.line(), error.column()))
                    })
            }
            Reads::Sdk => {
                let response = send(self.client.get_secret_value().secret_id(name).version_id(version).send()).await?;
                Ok(response.secret_string.map(Zeroizing::new))
            }
        }
    }
}

impl<Client> Clone for Service<Client> {
    fn clone(&self) -> Self {
        Self { client: Arc::clone(&self.client), reads: self.reads.clone(), endpoint: self.endpoint.clone() }
    }
}

/// A failed call, signed or by the SDK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct FailedCall {
    /// The code of an error response.
    pub code: Option<String>,
    /// The whole cause. It never contains the request.
    pub cause: String,
}

impl FailedCall {
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.code.as_deref().is_some_and(is_throttling)
    }

    fn malformed(cause: impl std::fmt::Display) -> Self {
        Self { code: None, cause: format!("the AWS response is malformed: {cause}") }
    }

    fn other(cause: impl std::fmt::Display) -> Self {
        Self { code: None, cause: cause.to_string() }
    }
}

impl From<CallError> for FailedCall {
    fn from(error: CallError) -> Self {
        Self { code: error.code().map(str::to_owned), cause: error.to_string() }
    }
}

impl<E: Error + ProvideErrorMetadata + 'static> From<SdkError<E>> for FailedCall {
    fn from(error: SdkError<E>) -> Self {
        Self { code: error.code().map(str::to_owned), cause: sdk_cause(&error) }
    }
}

/// Sends a request of the SDK. Boxes the future, because the SDK's future types are deeply nested.
pub fn send<'a, T, E>(
    sending: impl Future<Output = Result<T, SdkError<E>>> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Result<T, FailedCall>> + Send + 'a>>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    Box::pin(async move { Ok(sending.await?) })
}
