//! The functions in this process. This file alone knows how a function is made of its route and its handler.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::Value;
use userdocks::{
    api::{Context, Failure, Route, Services},
    http::Response,
    runtime::Function,
};

use crate::function::INVOCATION_ID;

type Respond = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Value> + Send>> + Send + Sync>;

/// A function in this process. Its deadline is so late that a busy machine does not miss it.
pub struct InProcess(Respond);

impl InProcess {
    /// Builds a function on these services.
    #[must_use]
    pub fn new(function: &str, services: Services) -> Self {
        macro_rules! functions {
            ($($name:literal => $package:ident),*) => {
                match function {
                    $($name => Self::build($package::ROUTE, $package::handle, services),)*
                    other => panic!("no function {other}"),
                }
            };
        }
        functions! {
            "get-app-secrets" => get_app_secrets,
            "get-app-keys" => get_app_keys,
            "get-app-jwks" => get_app_jwks,
            "post-app-keys" => post_app_keys,
            "put-app-key" => put_app_key,
            "delete-app-key" => delete_app_key,
            "post-app-secrets" => post_app_secrets,
            "delete-previous-app-secret" => delete_previous_app_secret,
            "get-app-api-keys" => get_app_api_keys,
            "post-app-api-keys" => post_app_api_keys,
            "delete-app-api-key" => delete_app_api_key,
            "post-leaks" => post_leaks
        }
    }

    fn build<H, F>(route: Route, handler: H, services: Services) -> Self
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

    /// The function's response to an event, as the Runtime API would receive it.
    pub async fn respond(&self, event: &str) -> Value {
        (self.0)(event.to_owned()).await
    }
}
