//! A TCP proxy whose connections can fail and recover.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::port::ReservedPort;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// Connections are refused.
    Refused,
    /// Connections are accepted, but no byte is ever sent back.
    Silent,
    /// Connections are reset at the first byte.
    Reset,
    /// Connections are reset in the middle of the first response.
    ResetInResponse,
    /// Connections are closed at once.
    Closed,
    /// Connections send bytes that are not HTTP.
    NoHttp,
}

impl TcpFault {
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::Silent, Self::Reset, Self::ResetInResponse, Self::Closed, Self::NoHttp];
}

pub struct TcpProxy {
    port: ReservedPort,
    service: SocketAddr,
    accepted: Arc<AtomicUsize>,
    serving: Option<JoinHandle<()>>,
}

impl TcpProxy {
    /// Starts a proxy that forwards to the service.
    pub async fn start(service: SocketAddr) -> Self {
        let mut proxy = Self { port: ReservedPort::new(), service, accepted: Arc::default(), serving: None };
        proxy.restore().await;
        proxy
    }

    /// Returns the proxy's URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Returns the number of connections that were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }

    /// Closes all connections and makes new ones fail.
    pub async fn fail(&mut self, fault: TcpFault) {
        self.serve(Some(fault)).await;
    }

    /// Closes all connections and forwards new ones.
    pub async fn restore(&mut self) {
        self.serve(None).await;
    }

    async fn serve(&mut self, fault: Option<TcpFault>) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Waits until the task has closed the listener and its connections.
            let _ = serving.await;
        }
        if fault != Some(TcpFault::Refused) {
            let listener = self.listen().await;
            self.serving = Some(tokio::spawn(serve(listener, self.service, Arc::clone(&self.accepted), fault)));
        }
    }

    /// Listens on the port again. The system may take a moment to release it.
    async fn listen(&self) -> TcpListener {
        let mut moments = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..1000 {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", self.port.number())).await {
                return listener;
            }
            moments.tick().await;
        }
        panic!("cannot listen on port {}: it stays in use", self.port.number())
    }
}

async fn serve(listener: TcpListener, service: SocketAddr, accepted: Arc<AtomicUsize>, fault: Option<TcpFault>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Relaxed);
        // The client sees a broken connection.
        connections.spawn(async move { forward(client, service, fault).await.ok() });
    }
}

async fn forward(mut client: TcpStream, service: SocketAddr, fault: Option<TcpFault>) -> std::io::Result<()> {
    let mut piece = [0; 1 << 16];
    match fault {
        None => {
            let mut service = TcpStream::connect(service).await?;
            copy_bidirectional(&mut client, &mut service).await.map(drop)
        }
        Some(TcpFault::Refused | TcpFault::Silent) => std::future::pending().await,
        Some(TcpFault::Reset) => {
            let _ = client.read(&mut piece).await?;
            client.set_zero_linger()
        }
        Some(TcpFault::Closed) => Ok(()),
        Some(TcpFault::NoHttp) => client.write_all(b"220 ready\r\n").await,
        Some(TcpFault::ResetInResponse) => {
            let mut service = TcpStream::connect(service).await?;
            let length = client.read(&mut piece).await?;
            service.write_all(&piece[..length]).await?;
            let length = service.read(&mut piece).await?;
            client.write_all(&piece[..length.min(60)]).await?;
            client.set_zero_linger()
        }
    }
}
