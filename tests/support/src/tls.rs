//! TLS in front of a plain HTTP service, with its own certificate authority.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        NamedGroup, ServerConfig,
        crypto::aws_lc_rs::{default_provider, kx_group},
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// Receives each part that a client sends.
pub type Observer = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A certificate authority and its certificate for `localhost`.
pub struct Authority {
    /// The certificate that clients have to trust.
    pub pem: String,
    config: ServerConfig,
}

impl Authority {
    /// Creates an authority whose servers accept every key exchange of rustls.
    #[must_use]
    pub fn new() -> Self {
        Self::with(default_provider())
    }

    /// Creates an authority whose servers accept only a post-quantum key exchange.
    #[must_use]
    pub fn post_quantum() -> Self {
        let mut provider = default_provider();
        provider.kx_groups = vec![kx_group::X25519MLKEM768];
        Self::with(provider)
    }

    fn with(provider: tokio_rustls::rustls::crypto::CryptoProvider) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        // With the default name, the certificate for `localhost` would have the same name and look self-signed.
        authority.distinguished_name.push(DnType::CommonName, "test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self { pem, config }
    }

    /// Starts a server that forwards to `service`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn front(&self, service: SocketAddr, observer: Observer) -> io::Result<Front> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let front = Front {
            endpoint: format!("https://localhost:{}", listener.local_addr()?.port()),
            key_exchanges: Arc::default(),
            attempts: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(Arc::new(self.config.clone()));
        let (key_exchanges, attempts) = (Arc::clone(&front.key_exchanges), Arc::clone(&front.attempts));
        tokio::spawn(async move {
            // Connects before the client does, so that the client waits for TLS only.
            while let Ok(service) = TcpStream::connect(service).await
                && let Ok((client, _)) = listener.accept().await
            {
                attempts.fetch_add(1, Ordering::SeqCst);
                let connection = Connection {
                    acceptor: acceptor.clone(),
                    key_exchanges: Arc::clone(&key_exchanges),
                    observer: Arc::clone(&observer),
                };
                // The client sees a broken connection.
                tokio::spawn(async move { connection.forward(client, service).await.ok() });
            }
        });
        Ok(front)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A service behind TLS.
pub struct Front {
    /// The server's URL.
    pub endpoint: String,
    key_exchanges: Arc<Mutex<Vec<NamedGroup>>>,
    attempts: Arc<AtomicUsize>,
}

impl Front {
    /// Returns the key exchange of each connection so far.
    #[must_use]
    pub fn key_exchanges(&self) -> Vec<NamedGroup> {
        self.key_exchanges.lock().unwrap().clone()
    }

    /// Returns the number of connections so far, including incomplete handshakes.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    key_exchanges: Arc<Mutex<Vec<NamedGroup>>>,
    observer: Observer,
}

impl Connection {
    async fn forward(self, client: TcpStream, service: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        service.set_nodelay(true)?;
        let client = self.acceptor.accept(client).await?;
        let group = client.get_ref().1.negotiated_key_exchange_group().unwrap();
        self.key_exchanges.lock().unwrap().push(group.name());
        let (mut requests, mut responses) = tokio::io::split(client);
        let (mut from_service, mut to_service) = service.into_split();
        let upstream = async {
            let mut piece = vec![0; 1 << 16];
            loop {
                let length = requests.read(&mut piece).await?;
                if length == 0 {
                    return to_service.shutdown().await;
                }
                (self.observer)(&piece[..length]);
                to_service.write_all(&piece[..length]).await?;
            }
        };
        tokio::try_join!(upstream, copy(&mut from_service, &mut responses))?;
        Ok(())
    }
}
