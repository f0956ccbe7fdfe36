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

/// Settings from environment variables: `HOST`, `API_PORT`, `DYNAMODB_PORT`, `SECRETS_MANAGER_PORT`, `DATA_DIR`, `TABLE_NAME`
/// and `SECRET_PREFIX`. `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` replace an embedded service with
/// another emulator.
pub struct Settings {
    pub api: SocketAddr,
    pub dynamodb: Service,
    pub secrets_manager: Service,
    pub table: String,
    pub secret_prefix: String,
    pub data_dir: PathBuf,
}

/// The address of DynamoDB or Secrets Manager.
pub struct Service {
    pub endpoint: String,
    host: String,
    /// The address to listen on, if the service is embedded.
    pub embedded: Option<SocketAddr>,
}

impl Settings {
    pub fn from_environment() -> Result<Self, LocalError> {
        let host = variable("HOST", "127.0.0.1")?;
        let ip: IpAddr =
            host.parse().map_err(|_| LocalError(format!("cannot use HOST {host:?}: it is not an IP address")))?;
        let address = |name, default| -> Result<SocketAddr, LocalError> {
            let port = variable(name, default)?;
            Ok((
                ip,
                port.parse().map_err(|_| LocalError(format!("cannot use {name} {port:?}: it is not a port number")))?,
            )
                .into())
        };
        let service = |name, port, default| -> Result<Service, LocalError> {
            let address = address(port, default)?;
            // DATA_DIR/environment sets the variable to the embedded service's address, for `userdocks-admin`.
            let endpoint = variable(name, &url(address))?;
            endpoint.parse::<Endpoint>().map_err(|error| LocalError::new(format_args!("cannot use {name}"), error))?;
            let host = host_of(&endpoint);
            let embedded = (endpoint == url(address)).then_some(address);
            Ok(Service { endpoint, host, embedded })
        };
        Ok(Self {
            api: address("API_PORT", "9000")?,
            dynamodb: service("AWS_ENDPOINT_URL_DYNAMODB", "DYNAMODB_PORT", "8000")?,
            secrets_manager: service("AWS_ENDPOINT_URL_SECRETS_MANAGER", "SECRETS_MANAGER_PORT", "8001")?,
            table: variable("TABLE_NAME", "userdocks-local")?,
            secret_prefix: variable("SECRET_PREFIX", "userdocks/local")?,
            data_dir: PathBuf::from(variable("DATA_DIR", ".local")?),
        })
    }

    /// Returns the variables that functions and `userdocks-admin` need. They replace all AWS settings of this machine.
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

    /// Returns the value of `NO_PROXY`: the hosts to which requests must not go through a proxy.
    pub fn direct_hosts(&self) -> String {
        format!("localhost,127.0.0.1,::1,{},{},{}", self.api.ip(), self.dynamodb.host, self.secrets_manager.host)
    }

    /// Returns a shell script that sets the variables of [`Settings::client_environment`] and unsets other AWS settings.
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

/// Returns whether a variable could override [`Settings`] in the functions or in `cargo lambda watch`. `AWS_LC_`
/// variables are build settings of a library.
pub fn overrides_settings(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_foreign =
        ["AWS_", "CARGO_LAMBDA_"].iter().any(|prefix| name.starts_with(prefix)) || name == "SECRETS_KMS_KEY_ID";
    is_foreign && !name.starts_with("AWS_LC_")
}

/// Returns the text as one quoted word for a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn variable(name: &str, default: &str) -> Result<String, LocalError> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err(LocalError(format!("cannot use {name}: it is not valid UTF-8"))),
    }
}

fn host_of(endpoint: &str) -> String {
    let uri = endpoint.parse::<Uri>().unwrap_or_default();
    uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// Returns the URL for programs on this machine.
pub fn url(address: SocketAddr) -> String {
    let unspecified = address.ip().is_unspecified();
    let reachable = if unspecified { SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())) } else { address };
    format!("http://{reachable}")
}

pub fn cannot_listen(address: SocketAddr, variable: &str, error: &io::Error) -> LocalError {
    match error.kind() {
        io::ErrorKind::AddrInUse => LocalError(format!(
            "cannot listen on port {}: it is in use; set {variable} to another port",
            address.port()
        )),
        _ => LocalError::new(format_args!("cannot listen on {address}"), error),
    }
}
