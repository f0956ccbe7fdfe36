//! dynoxide's own HTTP server, behind a router that layers can be put before.

use std::{net::Ipv4Addr, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use dynoxide::Database;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use crate::LocalError;

/// dynoxide serves a listener and nothing else. It gets one for a single connection, and is not asked to accept another,
/// so that no other program reaches it this way.
pub struct DynoxideServer {
    database: Database,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    requests: SendRequest<Body>,
    /// Accepts no connection while it is not polled; the accepted one ends when it is dropped.
    _accepting: Accepting,
}

type Accepting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl DynoxideServer {
    /// A server of that database.
    pub fn new(database: Database) -> Self {
        Self { database, connection: Mutex::new(None) }
    }

    /// All requests go to dynoxide, one at a time, as its database handles them.
    pub fn into_router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    async fn send(&self, request: Request) -> Result<Response, LocalError> {
        let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot reach it", error);
        /// DynamoDB's own limit for a request.
        const MAX_BODY: usize = 16 << 20;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY).await.map_err(|error| failed(&error))?;
        let request = Request::from_parts(parts, Body::from(body));

        let mut kept = self.connection.lock().await;
        // Taken: a connection whose request was cancelled is not used again.
        let reusable = match kept.take() {
            Some(mut connection) => connection.requests.ready().await.is_ok().then_some(connection),
            None => None,
        };
        let mut connection = match reusable {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = send(&mut connection.requests, request).await?;
        *kept = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<Connection, LocalError> {
        let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot connect to it", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        let (mut requests, connected) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connected);
        let mut accepting: Accepting = Box::pin(dynoxide::server::serve_on(listener, self.database.clone()));
        // A response shows that this connection is accepted.
        tokio::select! {
            () = &mut accepting => return Err(failed(&"it ended")),
            response = send(&mut requests, Request::new(Body::empty())) => response?,
        };
        Ok(Connection { requests, _accepting: accepting })
    }
}

async fn send(requests: &mut SendRequest<Body>, request: Request) -> Result<Response, LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot read its response", error);
    let response = requests.send_request(request).await.map_err(|error| failed(&error))?;
    let (parts, body) = response.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(|error| failed(&error))?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn handle(State(server): State<Arc<DynoxideServer>>, request: Request) -> Response {
    server.send(request).await.unwrap_or_else(|error| {
        eprintln!("The embedded DynamoDB failed: {error}");
        let mut response =
            Response::new(Body::from(r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
