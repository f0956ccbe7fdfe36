//! DynamoDB (dynoxide, on SQLite) and Secrets Manager (winterbaume, with a snapshot), in this process, behind their HTTP protocols.

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

/// Serves DynamoDB with its data in the file until the process ends, to programs only: see [`Guard`].
///
/// # Errors
/// The file can't be opened.
pub fn start_dynamodb(listener: TcpListener, file: &Path) -> Result<(), LocalError> {
    let failed = |error: &dyn std::fmt::Display| LocalError::new(format_args!("cannot open {}", file.display()), error);
    // SQLite gives its other files the permissions of the first.
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

/// Serves DynamoDB in memory until the process ends: for tests and measurements, without the guard and what it costs.
///
/// # Errors
/// There is no memory for it.
pub fn start_dynamodb_in_memory(listener: TcpListener) -> Result<(), LocalError> {
    let database = Database::memory().map_err(|error| LocalError::new("cannot open the embedded DynamoDB", error))?;
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(())
}

/// Serves Secrets Manager until the process ends, to programs only: see [`Guard`]. Every change is in the file before its
/// response.
///
/// # Errors
/// The file can't be read.
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

/// The region that winterbaume takes a request for, whose host is not AWS's.
const REGION: &str = "us-east-1";

async fn restore(service: &SecretsManagerService, file: &Path) -> Result<(), LocalError> {
    let failed =
        |error: &dyn std::fmt::Display| LocalError::new(format_args!("{} can't be read", file.display()), error);
    let snapshot = match private_file::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    service.restore(default_account_id(), REGION, snapshot).await.map_err(|error| failed(&error))
}

async fn handle(State(state): State<Arc<SecretsManager>>, request: Request) -> Response {
    match state.answer(request).await {
        Ok(response) => response,
        Err(error) => {
            eprintln!("The embedded Secrets Manager failed: {error}");
            let mut response = Response::new(Body::from(r#"{"__type":"InternalServiceError"}"#));
            *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

impl SecretsManager {
    async fn answer(&self, request: Request) -> Result<Response, LocalError> {
        /// Secrets Manager takes 64 KiB of value; the rest of a request is small.
        const MAX_BODY: usize = 1 << 20;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY).await.map_err(|error| LocalError::new("request", error))?;
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let reads = ["GetSecretValue", "ListSecret", "DescribeSecret"].iter().any(|action| target.contains(action));
        let answer = self
            .service
            .handle(MockRequest {
                method: parts.method.to_string(),
                uri: parts.uri.to_string(),
                headers: parts.headers,
                body,
            })
            .await;
        if answer.status == 200 && !reads {
            self.save().await?;
        }
        let mut response = Response::new(Body::from(answer.body));
        *response.headers_mut() = answer.headers;
        *response.status_mut() =
            axum::http::StatusCode::from_u16(answer.status).map_err(|error| LocalError::new("answer", error))?;
        Ok(response)
    }

    async fn save(&self) -> Result<(), LocalError> {
        let Some(file) = &self.file else { return Ok(()) };
        let _one_at_a_time = self.writing.lock().await;
        let snapshot = self.service.snapshot(default_account_id(), REGION).await;
        let bytes = serde_json::to_vec(&snapshot).map_err(|error| LocalError::new("snapshot", error))?;
        private_file::replace(file, &bytes)
    }
}
