//! Runs a handler as a Lambda function: start, warm-up, loop, logs, and a response to every event.

mod core_dumps;
mod function;
mod logs;
mod warm_up;

use std::{convert::Infallible, env, ffi::OsStr, io, process::ExitCode, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

pub use self::{core_dumps::disable_core_dumps, function::Function, logs::start as start_logs};
use crate::{
    api::{Context, Failure, Route, Services},
    aws::{Clients, Configuration, ConfigurationError, TlsError},
    http::Response,
};

/// Runs a function until Lambda stops it. `function_crate` is the log target of the function's own lines.
pub fn run<H, F>(function_crate: &'static str, route: Route, handler: H) -> ExitCode
where
    H: Fn(Arc<Context>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Failure>> + Send,
{
    let core_dumps = disable_core_dumps();
    logs::start(function_crate);
    if let Err(error) = core_dumps {
        tracing::warn!(cause = %error, "cannot disable core dumps");
    }
    let concurrency = env::var_os("AWS_LAMBDA_MAX_CONCURRENCY");
    let runtime = tokio_runtime(concurrency.as_deref());
    let stopped = runtime.map_err(StartError::from).and_then(|runtime| runtime.block_on(serve(route, handler)));
    match stopped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "function stopped");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the Tokio runtime: {0}")]
    Tokio(#[from] io::Error),
    #[error("cannot call the Lambda runtime API: {0}")]
    RuntimeApi(lambda_runtime::Error),
}

/// Returns a runtime with one thread, for the fastest cold start. With Lambda Managed Instances, which send several
/// requests at a time, it has one thread for each processor.
fn tokio_runtime(concurrency: Option<&OsStr>) -> io::Result<Runtime> {
    let is_concurrent = concurrency.is_some_and(|requests| requests != "1");
    let mut builder = if is_concurrent { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}

async fn serve<H, F>(route: Route, handler: H) -> Result<(), StartError>
where
    H: Fn(Arc<Context>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Failure>> + Send,
{
    let configuration = Configuration::from_environment()?;
    let clients = Clients::new(&configuration)?;
    let services = Services::new(clients.dynamodb(), clients.secrets_manager(), configuration.resources);
    let function = Arc::new(Function::new(route, handler, services));
    function.warm_up().await;
    let respond = move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move {
            // The event holds the presented API key.
            let text = Zeroizing::new(Box::<str>::from(event.payload));
            Ok::<_, Infallible>(function.respond(&text, &event.context.request_id).await)
        }
    };
    lambda_runtime::run_concurrent(service_fn(respond)).await.map_err(StartError::RuntimeApi)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::RuntimeFlavor;

    use super::*;

    #[test]
    fn only_concurrent_requests_need_threads() {
        for (concurrency, flavor) in [
            (None, RuntimeFlavor::CurrentThread),
            (Some("1"), RuntimeFlavor::CurrentThread),
            (Some("16"), RuntimeFlavor::MultiThread),
        ] {
            let runtime = tokio_runtime(concurrency.map(OsStr::new)).unwrap();
            assert_eq!(runtime.handle().runtime_flavor(), flavor, "{concurrency:?}");
        }
    }
}
