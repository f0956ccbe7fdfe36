//! The AWS services for the benchmark: embedded, with the fixtures' apps, over TLS on loopback.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use userdocks::{
    api::Services,
    aws::{DynamoDb, Resources, SecretsManager},
};
use userdocks_local::{fixtures, sdk_config};
use userdocks_test_support::{app::TestApp, aws::start_embedded, tls::Authority};

use crate::Failure;

pub const TABLE: &str = "bench";
pub const SECRET_PREFIX: &str = "bench";

/// DynamoDB and Secrets Manager, and the counts of their calls.
pub struct Aws {
    /// The HTTPS endpoint of DynamoDB.
    pub dynamodb: String,
    /// The HTTPS endpoint of Secrets Manager.
    pub secrets_manager: String,
    pub dynamodb_calls: Arc<Calls>,
    pub secrets_manager_calls: Arc<Calls>,
    plain_dynamodb: String,
    /// The library's access to both, without TLS.
    pub services: Arc<Services>,
}

/// The calls of one service.
#[derive(Default)]
pub struct Calls {
    count: AtomicU64,
    last: Mutex<Vec<u8>>,
}

impl Calls {
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts a call. Clients send each request in one piece, and only calls of operations have this header.
    fn note(&self, piece: &[u8]) {
        const HEADER: &[u8] = b"x-amz-target: ";
        if piece.windows(HEADER.len()).any(|window| window == HEADER) {
            self.count.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut last) = self.last.lock() {
                piece.clone_into(&mut last);
            }
        }
    }
}

impl Aws {
    /// Starts both services on free ports, and writes their root certificate to a file.
    pub async fn start(ca_bundle: &Path) -> Result<Self, Failure> {
        let (dynamodb_address, secrets_manager_address) = start_embedded().await?;
        let services = provision(dynamodb_address, secrets_manager_address).await?;

        let authority = Authority::new();
        std::fs::write(ca_bundle, &authority.pem)?;
        let (dynamodb_calls, secrets_manager_calls) = <(Arc<Calls>, Arc<Calls>)>::default();
        let counting = |calls: &Arc<Calls>| {
            let calls = Arc::clone(calls);
            Arc::new(move |piece: &[u8]| calls.note(piece))
        };
        Ok(Self {
            dynamodb: authority.front(dynamodb_address, counting(&dynamodb_calls)).await?.endpoint,
            secrets_manager: authority.front(secrets_manager_address, counting(&secrets_manager_calls)).await?.endpoint,
            dynamodb_calls,
            secrets_manager_calls,
            plain_dynamodb: format!("http://{dynamodb_address}"),
            services: Arc::new(services),
        })
    }

    /// Returns an event of a function with the API key of a new app.
    pub async fn event_of_new_app(&self, function: &str) -> String {
        TestApp::create(&self.services).await.event(function).to_string()
    }

    /// Repeats the last call of DynamoDB and returns its read units.
    pub async fn read_units(&self) -> Result<f64, Failure> {
        let last = self.dynamodb_calls.last.lock().map_err(|_| "poisoned")?.clone();
        let (head, body) = last
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|end| last.split_at(end + 4))
            .ok_or("no call")?;
        let mut call: Value = serde_json::from_slice(body)?;
        call["ReturnConsumedCapacity"] = json!("TOTAL");
        let mut request = reqwest::Client::builder().no_proxy().build()?.post(&self.plain_dynamodb);
        for line in String::from_utf8_lossy(head).lines().skip(1) {
            if let Some((name, value)) = line.split_once(": ")
                && !["content-length", "host"].contains(&name)
            {
                request = request.header(name, value);
            }
        }
        let response: Value = request.body(call.to_string()).send().await?.json().await?;
        response["ConsumedCapacity"][0]["CapacityUnits"]
            .as_f64()
            .ok_or_else(|| format!("no capacity: {response}").into())
    }
}

async fn provision(dynamodb: SocketAddr, secrets_manager: SocketAddr) -> Result<Services, Failure> {
    let at = |address: SocketAddr| sdk_config(&format!("http://{address}"));
    let dynamodb = aws_sdk_dynamodb::Client::new(&at(dynamodb)?);
    let resources = Resources { table: TABLE.to_owned(), secret_prefix: SECRET_PREFIX.parse()?, secrets_kms_key: None };
    let secrets_manager = aws_sdk_secretsmanager::Client::new(&at(secrets_manager)?);
    let secrets_manager = SecretsManager::from_sdk(secrets_manager, None);
    let services = Services::new(DynamoDb::from_sdk(dynamodb.clone(), None), secrets_manager, resources);
    services.store.create_table().await?;
    fixtures::provision(&services, &dynamodb, TABLE).await?;
    Ok(services)
}
