use std::{
    env, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use userdocks_local::LocalError;

/// The region of everything local; embedded services and emulators take any.
pub const REGION: &str = "us-east-1";
/// Access key and secret key of everything local; embedded services and emulators take any.
pub const CREDENTIALS: &str = "local";

/// What the environment sets: `HOST`, `API_PORT`, `DYNAMODB_PORT`, `SECRETS_MANAGER_PORT`, `DATA_DIR`, `TABLE_NAME`,
/// `SECRET_PREFIX`; and the SDK's `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_SECRETS_MANAGER`, which name
/// another emulator to be used in place of the embedded service.
pub struct Settings {
    pub api: SocketAddr,
    pub dynamodb: Backend,
    pub secrets_manager: Backend,
    pub table: String,
    pub secret_prefix: String,
    pub data_dir: PathBuf,
}

/// Where a service answers, and where to start it if that is ours to do.
pub struct Backend {
    pub endpoint: String,
    pub embedded: Option<SocketAddr>,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, LocalError> {
        let host = variable("HOST", "127.0.0.1");
        let ip: IpAddr = host.parse().map_err(|_| LocalError::new("HOST is not an IP address", &host))?;
        let address = |name, default| -> Result<SocketAddr, LocalError> {
            let port = variable(name, default);
            Ok((ip, port.parse().map_err(|_| LocalError::new(format_args!("{name} is not a port"), &port))?).into())
        };
        let backend = |endpoint, port, default| -> Result<Backend, LocalError> {
            let address = address(port, default)?;
            match env::var(endpoint) {
                // The embedded service's own address is what DATA_DIR/environment sets, for `userdocks-admin`.
                Ok(endpoint) if !endpoint.is_empty() && endpoint != url(address) => {
                    Ok(Backend { endpoint, embedded: None })
                }
                _ => Ok(Backend { endpoint: url(address), embedded: Some(address) }),
            }
        };
        Ok(Self {
            api: address("API_PORT", "9000")?,
            dynamodb: backend("AWS_ENDPOINT_URL_DYNAMODB", "DYNAMODB_PORT", "8000")?,
            secrets_manager: backend("AWS_ENDPOINT_URL_SECRETS_MANAGER", "SECRETS_MANAGER_PORT", "8001")?,
            table: variable("TABLE_NAME", "userdocks-local"),
            secret_prefix: variable("SECRET_PREFIX", "userdocks/local"),
            data_dir: PathBuf::from(variable("DATA_DIR", ".local")),
        })
    }

    /// The environment in which functions and `userdocks-admin` find everything.
    pub fn client_environment(&self) -> [(&'static str, &str); 7] {
        [
            ("TABLE_NAME", &self.table),
            ("SECRET_PREFIX", &self.secret_prefix),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb.endpoint),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.secrets_manager.endpoint),
        ]
    }
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// How programs on this machine reach what listens there.
pub fn url(address: SocketAddr) -> String {
    let unspecified = address.ip().is_unspecified();
    let reachable = if unspecified { SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())) } else { address };
    format!("http://{reachable}")
}

/// One sentence on why an address can't be listened on.
pub fn unusable(address: SocketAddr, variable: &str, error: &io::Error) -> LocalError {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            LocalError(format!("port {} is in use; choose another with {variable}", address.port()))
        }
        _ => LocalError::new(format_args!("{address} can't be listened on"), error),
    }
}
