//! The HTTP client of both services: HTTP/1.1, TLS and a pool of connections.
//!
//! The SDK's own client also has HTTP/2, which DynamoDB does not offer and which every cold start would load.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self,
        connect::{self, CaptureConnection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

/// The longest time to connect, without the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Clones share one pool.
#[derive(Debug, Clone)]
pub struct Http1Client(legacy::Client<HttpsConnector<connect::HttpConnector>, SdkBody>);

impl Http1Client {
    #[must_use]
    pub fn new(tls: ClientConfig) -> Self {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls);
        let https = https.https_or_http().enable_http1().wrap_connector(tcp);
        Self(legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https))
    }
}

impl HttpClient for Http1Client {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http1Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>().cloned() {
            let connection = connect::capture_connection(&mut request);
            capture.set_connection_retriever(move || closable(&connection));
        }
        let response = self.0.request(request);
        HttpConnectorFuture::new(async {
            // The SDK retries this kind of error. A new connection may help, whatever happened to this one.
            let response = response.await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::io(error.into()))
        })
    }
}

/// Lets the SDK close a connection on which a call failed.
fn closable(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let close = move || {
        if let Some(connection) = connection.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(close).build())
}
