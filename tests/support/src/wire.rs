//! The wire between functions and their services, which can be cut in several ways and mended again.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// How the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Whole.
    Whole,
    /// Nobody listens.
    Refused,
    /// Connections are accepted, and nothing ever comes back.
    Silent,
    /// Connections are reset at the first byte.
    Reset,
    /// Connections are reset in the middle of the first answer.
    ResetInAnswer,
}

impl Wire {
    /// Every way in which it can be cut.
    pub const CUT: [Self; 4] = [Self::Refused, Self::Silent, Self::Reset, Self::ResetInAnswer];
}

/// A port that leads to a service as long as the wire is whole.
pub struct Port {
    address: SocketAddr,
    /// Keeps the port from others while nobody listens.
    _reserved: TcpSocket,
    service: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Port {
    /// A whole wire to the service.
    pub async fn to(service: SocketAddr) -> Self {
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = reserved.local_addr().unwrap();
        let mut port = Self { address, _reserved: reserved, service, serving: None };
        port.set(Wire::Whole).await;
        port
    }

    /// The URL of the service at the near end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The system may take a moment to let go of the port.
    async fn listen(&self) -> TcpListener {
        let mut moments = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..1000 {
            if let Ok(listener) = TcpListener::bind(self.address).await {
                return listener;
            }
            moments.tick().await;
        }
        panic!("{} is taken", self.address)
    }

    /// Changes the wire, for the connections that there are and for new ones.
    pub async fn set(&mut self, wire: Wire) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // The listener and its connections are gone when the task is.
            let _ = serving.await;
        }
        if wire != Wire::Refused {
            let listener = self.listen().await;
            self.serving = Some(tokio::spawn(serve(listener, self.service, wire)));
        }
    }
}

async fn serve(listener: TcpListener, service: SocketAddr, wire: Wire) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A connection that breaks is its client's matter.
        connections.spawn(async move { carry(client, service, wire).await.ok() });
    }
}

async fn carry(mut client: TcpStream, service: SocketAddr, wire: Wire) -> std::io::Result<()> {
    let mut piece = [0; 1 << 16];
    match wire {
        Wire::Whole => {
            let mut service = TcpStream::connect(service).await?;
            copy_bidirectional(&mut client, &mut service).await.map(drop)
        }
        Wire::Refused | Wire::Silent => std::future::pending().await,
        Wire::Reset => {
            let _ = client.read(&mut piece).await?;
            client.set_zero_linger()
        }
        Wire::ResetInAnswer => {
            let mut service = TcpStream::connect(service).await?;
            let asked = client.read(&mut piece).await?;
            service.write_all(&piece[..asked]).await?;
            let answered = service.read(&mut piece).await?;
            client.write_all(&piece[..answered.min(60)]).await?;
            client.set_zero_linger()
        }
    }
}
