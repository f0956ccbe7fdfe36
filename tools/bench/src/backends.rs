//! The services that functions call: embedded, with the fixtures in them, behind TLS on loopback.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use shared::runtime::{Names, Services};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use userdocks_local::{embedded, fixtures};

/// The table's name.
pub const TABLE: &str = "bench";
/// What the names of all secrets begin with.
pub const SECRET_PREFIX: &str = "bench";
const REGION: &str = "us-east-1";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Both services, and what was asked of them.
pub struct Backends {
    /// DynamoDB's HTTPS endpoint.
    pub dynamodb: String,
    /// Secrets Manager's HTTPS endpoint.
    pub secrets_manager: String,
    /// Calls of DynamoDB's operations.
    pub dynamodb_calls: Arc<Calls>,
    /// Calls of Secrets Manager's operations.
    pub secrets_manager_calls: Arc<Calls>,
    plain_dynamodb: String,
}

/// What passed through one front.
#[derive(Default)]
pub struct Calls {
    count: AtomicU64,
    last: Mutex<Vec<u8>>,
}

impl Calls {
    /// How many calls there were so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A client sends each of its requests in one piece, and only a call of an operation has this header.
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

impl Backends {
    /// Starts everything on free ports and writes the certificate to trust into a file.
    pub async fn start(ca_bundle: &Path) -> Result<Self, Failure> {
        let (dynamodb, dynamodb_address) = listener().await?;
        embedded::start_dynamodb(dynamodb, None)?;
        let (secrets_manager, secrets_manager_address) = listener().await?;
        embedded::start_secrets_manager(secrets_manager, None).await?;
        provision(dynamodb_address, secrets_manager_address).await?;

        let acceptor = acceptor(ca_bundle)?;
        let (dynamodb_calls, secrets_manager_calls) = <(Arc<Calls>, Arc<Calls>)>::default();
        let dynamodb = front(acceptor.clone(), dynamodb_address, Arc::clone(&dynamodb_calls)).await?;
        let secrets_manager = front(acceptor, secrets_manager_address, Arc::clone(&secrets_manager_calls)).await?;
        let plain_dynamodb = format!("http://{dynamodb_address}");
        Ok(Self { dynamodb, secrets_manager, dynamodb_calls, secrets_manager_calls, plain_dynamodb })
    }

    /// The read units of the last call to DynamoDB, by having it done once more.
    pub async fn read_units(&self) -> Result<f64, Failure> {
        let last = self.dynamodb_calls.last.lock().map_err(|_| "poisoned")?.clone();
        let (head, body) =
            last.windows(4).position(|window| window == b"\r\n\r\n").map(|end| last.split_at(end + 4)).ok_or("no call")?;
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
        let answer: Value = request.body(call.to_string()).send().await?.json().await?;
        answer["ConsumedCapacity"][0]["CapacityUnits"].as_f64().ok_or_else(|| format!("no capacity: {answer}").into())
    }
}

async fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn provision(dynamodb: SocketAddr, secrets_manager: SocketAddr) -> Result<(), Failure> {
    let at = |address: SocketAddr| {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(Credentials::new(
                "bench", "bench", None, None, "bench",
            )))
            .endpoint_url(format!("http://{address}"))
            .build()
    };
    let dynamodb = aws_sdk_dynamodb::Client::new(&at(dynamodb));
    let names = Names { table: TABLE.to_owned(), secret_prefix: SECRET_PREFIX.to_owned() };
    let secrets_manager = aws_sdk_secretsmanager::Client::new(&at(secrets_manager));
    let services = Services::new(dynamodb.clone(), secrets_manager, names);
    services.store.create_table().await?;
    Ok(fixtures::provision(&services, &dynamodb, TABLE).await?)
}

/// A server for `localhost` whose certificate chains to an authority in the file.
fn acceptor(ca_bundle: &Path) -> Result<TlsAcceptor, Failure> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(vec![])?;
    // Not the leaf's name, which is the same default: that would look self-signed.
    authority.distinguished_name.push(DnType::CommonName, "benchmark authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(ca_bundle, authority.self_signed(&authority_key)?.pem())?;
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn front(acceptor: TlsAcceptor, service: SocketAddr, calls: Arc<Calls>) -> io::Result<String> {
    let (listener, address) = listener().await?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, calls) = (acceptor.clone(), Arc::clone(&calls));
            // A connection that breaks is its function's end.
            tokio::spawn(async move { forward(&acceptor, connection, service, &calls).await.ok() });
        }
    });
    Ok(format!("https://127.0.0.1:{}", address.port()))
}

async fn forward(acceptor: &TlsAcceptor, client: TcpStream, service: SocketAddr, calls: &Calls) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (client, service) = tokio::try_join!(acceptor.accept(client), TcpStream::connect(service))?;
    service.set_nodelay(true)?;
    let (mut requests, mut answers) = tokio::io::split(client);
    let (mut from_service, mut to_service) = service.into_split();
    let upstream = async {
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = requests.read(&mut piece).await?;
            let piece = piece.get(..length).unwrap_or_default();
            if piece.is_empty() {
                return to_service.shutdown().await;
            }
            calls.note(piece);
            to_service.write_all(piece).await?;
        }
    };
    let downstream = async { copy(&mut from_service, &mut answers).await };
    tokio::try_join!(upstream, downstream)?;
    Ok(())
}
