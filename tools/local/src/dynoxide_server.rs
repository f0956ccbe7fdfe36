//! dynoxide's HTTP server behind a router, so that layers can be added.

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

/// A server of a database. dynoxide can only serve a listener, so it gets one that accepts a single connection. No other
/// program can connect to that listener.
pub struct DynoxideServer {
    database: Database,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    requests: SendRequest<Body>,
    /// Accepts no other connection, because it is not polled again. The accepted connection closes when this is dropped.
    _accepting: Accepting,
}

type Accepting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl DynoxideServer {
    pub fn new(database: Database) -> Self {
        Self { database, connection: Mutex::new(None) }
    }

    /// Returns a router that passes all requests to dynoxide, one at a time.
    pub fn into_router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    async fn send(&self, request: Request) -> Result<Response, LocalError> {
        let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot read the request", error);
        /// DynamoDB's limit for a request, in bytes.
        const MAX_DYNAMODB_BODY: usize = 16 << 20;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_DYNAMODB_BODY).await.map_err(|error| failed(&error))?;
        let request = Request::from_parts(parts, Body::from(body));

        let mut kept = self.connection.lock().await;
        // Taken, so that a connection is not used again if its request is cancelled.
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
        let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot connect to the embedded DynamoDB", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        let (mut requests, connected) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connected);
        let mut accepting: Accepting = Box::pin(dynoxide::server::serve_on(listener, self.database.clone()));
        // A response proves that the connection is accepted.
        tokio::select! {
            () = &mut accepting => return Err(failed(&"its server has stopped")),
            response = send(&mut requests, Request::new(Body::empty())) => response?,
        };
        Ok(Connection { requests, _accepting: accepting })
    }
}

async fn send(requests: &mut SendRequest<Body>, request: Request) -> Result<Response, LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new("cannot read the embedded DynamoDB's response", error);
    let response = requests.send_request(request).await.map_err(|error| failed(&error))?;
    let (parts, body) = response.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(|error| failed(&error))?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn handle(State(server): State<Arc<DynoxideServer>>, request: Request) -> Response {
    server.send(request).await.unwrap_or_else(|error| {
        eprintln!("userdocks-local: {error}");
        let mut response =
            Response::new(Body::from(r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
