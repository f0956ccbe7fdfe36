//! Functions that run in the test's process.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::Value;
use userdocks::{
    api::{Context, Failure, Route, Services},
    http::Response,
    runtime::Function,
};

use crate::{contract, function::INVOCATION_ID};

type Respond = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Value> + Send>> + Send + Sync>;

/// A function whose deadline is so late that a busy machine does not miss it.
pub struct InProcess(Respond);

impl InProcess {
    #[must_use]
    pub fn new(function: &str, services: Services) -> Self {
        (contract::Route::of(function).in_process)(services)
    }

    pub(crate) fn build<H, F>(route: Route, handler: H, services: Services) -> Self
    where
        H: Fn(Arc<Context>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response, Failure>> + Send + 'static,
    {
        let route = route.with_deadline(Duration::from_secs(600));
        let function = Arc::new(Function::new(route, handler, services));
        Self(Box::new(move |event| {
            let function = Arc::clone(&function);
            Box::pin(async move { serde_json::to_value(function.respond(&event, INVOCATION_ID).await).unwrap() })
        }))
    }

    /// Returns the response to an event as the Runtime API would receive it.
    pub async fn respond(&self, event: &str) -> Value {
        (self.0)(event.to_owned()).await
    }
}
