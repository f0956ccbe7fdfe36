//! DynamoDB (dynoxide, on SQLite) and Secrets Manager (winterbaume, with a snapshot file) in this process, over HTTP.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use dynoxide::Database;
use tokio::{net::TcpListener, sync::Mutex};
use winterbaume_core::{MockRequest, MockService, StatefulService, default_account_id};
use winterbaume_secretsmanager::SecretsManagerService;

use crate::{LocalError, dynoxide_server::DynoxideServer, guard::Guard, private_file};

/// Serves DynamoDB until the process stops, with its data in a file. [`Guard`] rejects browsers.
///
/// # Errors
/// The file cannot be opened.
pub fn start_dynamodb(listener: TcpListener, file: &Path) -> Result<(), LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new(format_args!("cannot open {}", file.display()), error);
    // SQLite creates its other files with the permissions of this one.
    private_file::open(file).map_err(|error| failed(&error))?;
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(suffix);
        private_file::secure(Path::new(&beside)).map_err(|error| failed(&error))?;
    }
    let database = Database::new(&file.to_string_lossy()).map_err(|error| failed(&error))?;
    let guard = Guard::new(&listener).map_err(|error| failed(&error))?;
    let router = guard.protect(DynoxideServer::new(database).into_router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Serves DynamoDB in memory until the process stops. For tests and benchmarks, without the cost of the guard.
///
/// # Errors
/// The database cannot be created.
pub fn start_dynamodb_in_memory(listener: TcpListener) -> Result<(), LocalError> {
    let database = Database::memory().map_err(|error| LocalError::new("cannot open the embedded DynamoDB", error))?;
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(())
}

/// Serves Secrets Manager until the process stops. Each change is in the file before its response is sent. [`Guard`] rejects
/// browsers.
///
/// # Errors
/// The file cannot be read.
pub async fn start_secrets_manager(listener: TcpListener, file: Option<PathBuf>) -> Result<(), LocalError> {
    let service = SecretsManagerService::new();
    if let Some(file) = &file {
        restore(&service, file).await?;
    }
    let state = Arc::new(SecretsManager { service, file, writing: Mutex::new(()) });
    let guard = Guard::new(&listener).map_err(|error| LocalError::new("cannot start Secrets Manager", error))?;
    let router = guard.protect(Router::new().fallback(handle).with_state(state));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

struct SecretsManager {
    service: SecretsManagerService,
    file: Option<PathBuf>,
    writing: Mutex<()>,
}

/// winterbaume assumes this region if a request's host is not AWS's.
const REGION: &str = "us-east-1";

async fn restore(service: &SecretsManagerService, file: &Path) -> Result<(), LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new(format_args!("cannot read {}", file.display()), error);
    let snapshot = match private_file::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    service.restore(default_account_id(), REGION, snapshot).await.map_err(|error| failed(&error))
}

async fn handle(State(state): State<Arc<SecretsManager>>, request: Request) -> Response {
    match state.respond(request).await {
        Ok(response) => response,
        Err(error) => {
            eprintln!("userdocks-local: the embedded Secrets Manager failed: {error}");
            let mut response = Response::new(Body::from(r#"{"__type":"InternalServiceError"}"#));
            *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

impl SecretsManager {
    async fn respond(&self, request: Request) -> Result<Response, LocalError> {
        /// Bytes. A value has at most 64 KiB, and the rest of a request is small.
        const MAX_SECRETS_MANAGER_BODY: usize = 1 << 20;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_SECRETS_MANAGER_BODY)
            .await
            .map_err(|error| LocalError::new("cannot read the request", error))?;
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let reads = ["GetSecretValue", "ListSecret", "DescribeSecret"].iter().any(|action| target.contains(action));
        let reply = self
            .service
            .handle(MockRequest {
                method: parts.method.to_string(),
                uri: parts.uri.to_string(),
                headers: parts.headers,
                body,
            })
            .await;
        if reply.status == 200 && !reads {
            self.save().await?;
        }
        let mut response = Response::new(Body::from(reply.body));
        *response.headers_mut() = reply.headers;
        *response.status_mut() = axum::http::StatusCode::from_u16(reply.status)
            .map_err(|error| LocalError::new("cannot use the status", error))?;
        Ok(response)
    }

    async fn save(&self) -> Result<(), LocalError> {
        let Some(file) = &self.file else { return Ok(()) };
        let _one_at_a_time = self.writing.lock().await;
        let snapshot = self.service.snapshot(default_account_id(), REGION).await;
        let bytes =
            serde_json::to_vec(&snapshot).map_err(|error| LocalError::new("cannot write the snapshot", error))?;
        private_file::replace(file, &bytes)
    }
}
