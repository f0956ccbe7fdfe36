use std::{env, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use userdocks_local::LocalError;

use crate::{
    logs,
    settings::{self, Settings, url},
};

/// The functions behind their HTTP API: `cargo lambda watch`, with the functions that it starts.
pub struct Api {
    process: Child,
    group: Pid,
    showing_logs: JoinHandle<()>,
}

/// Says where to get cargo-lambda if it is not there.
pub async fn find_cargo_lambda() -> Result<(), LocalError> {
    let found = Command::new("cargo-lambda").args(["lambda", "--version"]).stdout(Stdio::null()).status().await;
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(LocalError(
            "cargo-lambda is not on the PATH: start with `make run`, or install it from https://www.cargo-lambda.info"
                .to_owned(),
        )),
    }
}

/// Fails where something else listens on the API's port.
pub async fn check_port(settings: &Settings) -> Result<(), LocalError> {
    let bound = TcpListener::bind(settings.api).await;
    bound.map(drop).map_err(|error| settings::unusable(settings.api, "API_PORT", &error))
}

/// Builds the functions, so that the first call of each is answered at once and a mistake is seen before.
pub async fn build_functions() -> Result<(), LocalError> {
    let mut build = Command::new("cargo");
    build.args(["build", "--bins"]).stdin(Stdio::null()).kill_on_drop(true);
    let status = build.status().await.map_err(|error| LocalError::new("cargo does not start", error))?;
    if status.success() { Ok(()) } else { Err(LocalError("the functions do not build".to_owned())) }
}

impl Api {
    /// Starts it; the functions are started when they are first called, and anew when their sources change.
    pub fn start(settings: &Settings) -> Result<Self, LocalError> {
        let mut command = Command::new("cargo-lambda");
        for (name, _) in env::vars_os().filter(|(name, _)| settings::misleads(name)) {
            command.env_remove(name);
        }
        // A proxy stays, because Cargo may have to download something.
        for name in ["NO_PROXY", "no_proxy"] {
            let others = env::var(name).map(|hosts| hosts + ",").unwrap_or_default();
            command.env(name, others + &settings.direct_hosts());
        }
        let mut process = command
            .args(["lambda", "watch", "--disable-cors"])
            .args(["--invoke-address", &settings.api.ip().to_string()])
            .args(["--invoke-port", &settings.api.port().to_string()])
            .envs(settings.client_environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // A group of its own, so that Ctrl-C reaches it through us alone and all of it can be ended.
            .process_group(0)
            .spawn()
            .map_err(|error| LocalError::new("cargo lambda watch does not start", error))?;
        let group = process.id().and_then(|id| i32::try_from(id).ok());
        let (Some(group), Some(output)) = (group, process.stdout.take()) else {
            return Err(LocalError("cargo lambda watch ended at once".to_owned()));
        };
        let showing_logs = logs::show(output, &settings.data_dir.join("functions.log"))?;
        Ok(Self { process, group: Pid::from_raw(group), showing_logs })
    }

    /// Returns when it has ended by itself, which it should not.
    pub async fn ended(&mut self) -> LocalError {
        match self.process.wait().await {
            Ok(status) => LocalError::new("cargo lambda watch ended", status),
            Err(error) => LocalError::new("cargo lambda watch", error),
        }
    }

    /// Ends it with all functions: asks first, and does not ask a second time.
    pub async fn stop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        // An error says that there is nothing left to end.
        let _ = killpg(self.group, Signal::SIGTERM);
        let _ = timeout(PATIENCE, self.process.wait()).await;
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = timeout(PATIENCE, &mut self.showing_logs).await;
    }
}

/// Returns when the route answers 200 to the request.
pub async fn answers(settings: &Settings, path: &str, headers: &[(&str, &str)]) -> Result<(), LocalError> {
    /// How often to try while the API is not listening yet.
    const PAUSE: Duration = Duration::from_millis(200);
    // What is on this machine is never behind a proxy, whatever the environment says.
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.map_err(|error| LocalError::new("HTTP client", error))?;
    loop {
        let mut request = client.get(format!("{}{path}", url(settings.api)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let body = answer.text().await.unwrap_or_default();
                return Err(LocalError(format!("GET {path} answers {status}: {body}")));
            }
            Err(error) if error.is_connect() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(LocalError::new(format_args!("GET {path}"), error)),
        }
    }
}
