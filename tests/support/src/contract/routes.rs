use userdocks::api::Services;

use crate::in_process::InProcess;

/// A route of the API.
pub struct Route {
    pub function: &'static str,
    pub method: &'static str,
    /// The path as the template has it.
    pub path: &'static str,
    /// The type of API key that the route requires; `None` if it is public.
    pub key_type: Option<&'static str>,
    pub(crate) in_process: fn(Services) -> InProcess,
}

macro_rules! routes {
    ($($package:ident $function:literal $method:literal $path:literal $key_type:expr;)*) => {
        /// All routes. Everything else in the test kit that lists routes or functions derives from this list.
        pub const ROUTES: [Route; [$($function),*].len()] = [$(Route {
            function: $function,
            method: $method,
            path: $path,
            key_type: $key_type,
            in_process: |services| InProcess::build($package::ROUTE, $package::handle, services),
        }),*];

        /// The functions of all routes, in their order.
        pub const FUNCTIONS: [&str; ROUTES.len()] = [$($function),*];
    };
}

routes! {
    get_app_secrets "get-app-secrets" "GET" "/api/v1/apps/{appId}/secrets" Some("read");
    get_app_keys "get-app-keys" "GET" "/api/v1/apps/{appUuid}/keys" Some("read");
    get_app_jwks "get-app-jwks" "GET" "/api/v1/apps/{appUuid}/jwks.json" None;
    post_app_keys "post-app-keys" "POST" "/api/v1/apps/{appUuid}/keys" Some("write");
    put_app_key "put-app-key" "PUT" "/api/v1/apps/{appUuid}/keys/{keyUuid}" Some("write");
    delete_app_key "delete-app-key" "DELETE" "/api/v1/apps/{appUuid}/keys/{keyUuid}" Some("write");
    post_app_secrets "post-app-secrets" "POST" "/api/v1/apps/{appId}/secrets" Some("write");
    delete_previous_app_secret
        "delete-previous-app-secret" "DELETE" "/api/v1/apps/{appId}/secrets/previous" Some("write");
    get_app_api_keys "get-app-api-keys" "GET" "/api/v1/apps/{appUuid}/api-keys" Some("read");
    post_app_api_keys "post-app-api-keys" "POST" "/api/v1/apps/{appUuid}/api-keys" Some("write");
    delete_app_api_key "delete-app-api-key" "DELETE" "/api/v1/apps/{appUuid}/api-keys/{apiKeyUuid}" Some("write");
    post_leaks "post-leaks" "POST" "/api/v1/leaks" None;
}

impl Route {
    /// Returns the route of a function.
    #[must_use]
    pub fn of(function: &str) -> &'static Self {
        ROUTES.iter().find(|route| route.function == function).unwrap_or_else(|| panic!("no function {function}"))
    }

    /// Returns the route of a `routeKey`, such as `GET /path`.
    #[must_use]
    pub fn of_key(key: &str) -> &'static Self {
        let found = key
            .split_once(' ')
            .and_then(|(method, path)| ROUTES.iter().find(|route| route.method == method && route.path == path));
        found.unwrap_or_else(|| panic!("no route {key}"))
    }
}

/// Returns the functions that require a read key.
#[must_use]
pub fn reading_functions() -> Vec<&'static str> {
    ROUTES.iter().filter(|route| route.key_type == Some("read")).map(|route| route.function).collect()
}

/// Returns the functions that require a write key.
#[must_use]
pub fn writing_functions() -> Vec<&'static str> {
    ROUTES.iter().filter(|route| route.key_type == Some("write")).map(|route| route.function).collect()
}
