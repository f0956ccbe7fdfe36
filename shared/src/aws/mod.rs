//! Configuration, clients, trusted certificates, reads, best-effort work, and the causes of failed AWS calls.

mod batch_get_item;
mod best_effort;
mod canned;
mod causes;
mod clients;
mod configuration;
mod endpoint;
mod http_client;
mod retry_budget;
mod service;
mod signed_calls;
mod trust;

pub use self::{
    batch_get_item::{BatchGetItemOutput, Item},
    best_effort::{Background, failure_within},
    clients::Clients,
    configuration::{Configuration, ConfigurationError, Resources},
    endpoint::{Endpoint, MalformedEndpoint},
    http_client::Http1Client,
    service::{DynamoDb, FailedCall, SecretsManager, Service, send},
    signed_calls::{CallError, Protocol, SignedCalls},
    trust::{TlsError, tls_config},
};
