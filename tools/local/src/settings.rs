use std::{
    env,
    ffi::OsStr,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use axum::http::Uri;
use userdocks::aws::Endpoint;
use userdocks_local::{CREDENTIALS, LocalError, REGION};

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
    host: String,
    pub embedded: Option<SocketAddr>,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, LocalError> {
        let host = variable("HOST", "127.0.0.1")?;
        let ip: IpAddr = host.parse().map_err(|_| LocalError::new("HOST is not an IP address", &host))?;
        let address = |name, default| -> Result<SocketAddr, LocalError> {
            let port = variable(name, default)?;
            Ok((ip, port.parse().map_err(|_| LocalError::new(format_args!("{name} is not a port"), &port))?).into())
        };
        let backend = |name, port, default| -> Result<Backend, LocalError> {
            let address = address(port, default)?;
            // The embedded service's own address is what DATA_DIR/environment sets, for `userdocks-admin`.
            let endpoint = variable(name, &url(address))?;
            endpoint.parse::<Endpoint>().map_err(|error| LocalError::new(format_args!("cannot use {name}"), error))?;
            let host = host_of(&endpoint);
            let embedded = (endpoint == url(address)).then_some(address);
            Ok(Backend { endpoint, host, embedded })
        };
        Ok(Self {
            api: address("API_PORT", "9000")?,
            dynamodb: backend("AWS_ENDPOINT_URL_DYNAMODB", "DYNAMODB_PORT", "8000")?,
            secrets_manager: backend("AWS_ENDPOINT_URL_SECRETS_MANAGER", "SECRETS_MANAGER_PORT", "8001")?,
            table: variable("TABLE_NAME", "userdocks-local")?,
            secret_prefix: variable("SECRET_PREFIX", "userdocks/local")?,
            data_dir: PathBuf::from(variable("DATA_DIR", ".local")?),
        })
    }

    /// The environment in which functions and `userdocks-admin` find everything, and nothing of the machine's own.
    pub fn client_environment(&self) -> [(&'static str, &str); 9] {
        [
            ("TABLE_NAME", &self.table),
            ("SECRET_PREFIX", &self.secret_prefix),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb.endpoint),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.secrets_manager.endpoint),
        ]
    }

    /// The hosts that no proxy stands before, in the form of `NO_PROXY`.
    pub fn direct_hosts(&self) -> String {
        format!("localhost,127.0.0.1,::1,{},{},{}", self.api.ip(), self.dynamodb.host, self.secrets_manager.host)
    }

    /// A shell script that makes the variables of [`Settings::client_environment`] the only ones that count.
    pub fn script(&self) -> String {
        // Without an argument, zsh's `unset` fails.
        let unset = "unset AWS_PROFILE SECRETS_KMS_KEY_ID USERDOCKS_STACK \
                     $(env | sed -n '/^AWS_LC_/d; s/^\\(AWS_[A-Z0-9_]*\\)=.*/\\1/p')\n";
        let exports = self.client_environment().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let no_proxy = format!(
            "no_proxy=\"${{no_proxy:-${{NO_PROXY-}}}}\"\nno_proxy=\"${{no_proxy:+$no_proxy,}}\"{}\n\
             NO_PROXY=\"$no_proxy\"\nexport no_proxy NO_PROXY\n",
            quoted(&self.direct_hosts())
        );
        format!("{unset}{}{no_proxy}", exports.concat())
    }
}

/// Whether a variable could lead the functions, or what starts them, away from what [`Settings`] say. `AWS_LC_` are settings
/// of a library's build.
pub fn misleads(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_foreign =
        ["AWS_", "CARGO_LAMBDA_"].iter().any(|prefix| name.starts_with(prefix)) || name == "SECRETS_KMS_KEY_ID";
    is_foreign && !name.starts_with("AWS_LC_")
}

/// One word of a shell's command line.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn variable(name: &str, default: &str) -> Result<String, LocalError> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err(LocalError(format!("{name} is not valid UTF-8"))),
    }
}

fn host_of(endpoint: &str) -> String {
    let uri = endpoint.parse::<Uri>().unwrap_or_default();
    uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
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
