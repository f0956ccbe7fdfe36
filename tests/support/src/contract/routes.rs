/// A route of the API.
pub struct Route {
    /// Its function.
    pub function: &'static str,
    /// Its HTTP method.
    pub method: &'static str,
    /// Its path, as the template has it.
    pub path: &'static str,
    /// The type of API key that it requires; none if it is public.
    pub key_type: Option<&'static str>,
}

const fn route(
    function: &'static str,
    method: &'static str,
    path: &'static str,
    key_type: Option<&'static str>,
) -> Route {
    Route { function, method, path, key_type }
}

/// All routes.
pub const ROUTES: [Route; 12] = [
    route("get-app-secrets", "GET", "/api/v1/apps/{appId}/secrets", Some("read")),
    route("get-app-keys", "GET", "/api/v1/apps/{appUuid}/keys", Some("read")),
    route("get-app-jwks", "GET", "/api/v1/apps/{appUuid}/jwks.json", None),
    route("post-app-keys", "POST", "/api/v1/apps/{appUuid}/keys", Some("write")),
    route("put-app-key", "PUT", "/api/v1/apps/{appUuid}/keys/{keyUuid}", Some("write")),
    route("delete-app-key", "DELETE", "/api/v1/apps/{appUuid}/keys/{keyUuid}", Some("write")),
    route("post-app-secrets", "POST", "/api/v1/apps/{appId}/secrets", Some("write")),
    route("delete-previous-app-secret", "DELETE", "/api/v1/apps/{appId}/secrets/previous", Some("write")),
    route("get-app-api-keys", "GET", "/api/v1/apps/{appUuid}/api-keys", Some("read")),
    route("post-app-api-keys", "POST", "/api/v1/apps/{appUuid}/api-keys", Some("write")),
    route("delete-app-api-key", "DELETE", "/api/v1/apps/{appUuid}/api-keys/{apiKeyUuid}", Some("write")),
    route("post-leaks", "POST", "/api/v1/leaks", None),
];

impl Route {
    /// The route of a function.
    #[must_use]
    pub fn of(function: &str) -> &'static Self {
        ROUTES.iter().find(|route| route.function == function).unwrap_or_else(|| panic!("no function {function}"))
    }

    /// The route of a `routeKey`, such as `GET /path`.
    #[must_use]
    pub fn of_key(key: &str) -> &'static Self {
        let found = key
            .split_once(' ')
            .and_then(|(method, path)| ROUTES.iter().find(|route| route.method == method && route.path == path));
        found.unwrap_or_else(|| panic!("no route {key}"))
    }
}

/// The functions of all routes.
pub const FUNCTIONS: [&str; 12] = [
    "get-app-secrets",
    "get-app-keys",
    "get-app-jwks",
    "post-app-keys",
    "put-app-key",
    "delete-app-key",
    "post-app-secrets",
    "delete-previous-app-secret",
    "get-app-api-keys",
    "post-app-api-keys",
    "delete-app-api-key",
    "post-leaks",
];

/// The functions of the routes that a read key opens.
pub const READING: [&str; 3] = ["get-app-secrets", "get-app-keys", "get-app-api-keys"];
