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

/// The functions behind an HTTP API: a `cargo lambda watch` process and the functions that it starts.
pub struct Api {
    process: Child,
    group: Pid,
    showing_logs: JoinHandle<()>,
}

/// Checks that cargo-lambda is installed.
pub async fn find_cargo_lambda() -> Result<(), LocalError> {
    let found = Command::new("cargo-lambda").args(["lambda", "--version"]).stdout(Stdio::null()).status().await;
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(LocalError(
            "cannot run cargo-lambda: it is not on the PATH; use `make run`, or install it from https://www.cargo-lambda.info"
                .to_owned(),
        )),
    }
}

/// Checks that the API's port is free.
pub async fn check_port(settings: &Settings) -> Result<(), LocalError> {
    let bound = TcpListener::bind(settings.api).await;
    bound.map(drop).map_err(|error| settings::cannot_listen(settings.api, "API_PORT", &error))
}

/// Builds the functions, so that the first request of each need not wait and a compile error is reported at the start.
pub async fn build_functions() -> Result<(), LocalError> {
    let mut build = Command::new("cargo");
    build.args(["build", "--bins"]).stdin(Stdio::null()).kill_on_drop(true);
    let status = build.status().await.map_err(|error| LocalError::new("cannot start cargo", error))?;
    if status.success() {
        Ok(())
    } else {
        Err(LocalError("cannot build the functions: see the compiler's errors above".to_owned()))
    }
}

impl Api {
    /// Starts `cargo lambda watch`. It starts each function on its first request, and again after a change of its sources.
    pub fn start(settings: &Settings) -> Result<Self, LocalError> {
        let mut command = Command::new("cargo-lambda");
        for (name, _) in env::vars_os().filter(|(name, _)| settings::overrides_settings(name)) {
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
            // Its own process group: only this process gets Ctrl-C, and it can stop all processes of the group.
            .process_group(0)
            .spawn()
            .map_err(|error| LocalError::new("cannot start cargo lambda watch", error))?;
        let group = process.id().and_then(|id| i32::try_from(id).ok());
        let (Some(group), Some(output)) = (group, process.stdout.take()) else {
            return Err(LocalError("cannot start cargo lambda watch: it stopped at once".to_owned()));
        };
        let showing_logs = logs::show(output, &settings.data_dir.join("functions.log"))?;
        Ok(Self { process, group: Pid::from_raw(group), showing_logs })
    }

    /// Waits until the process stops unexpectedly.
    pub async fn ended(&mut self) -> LocalError {
        match self.process.wait().await {
            Ok(status) => LocalError::new("cargo lambda watch has stopped", status),
            Err(error) => LocalError::new("cannot wait for cargo lambda watch", error),
        }
    }

    /// Stops the process and all functions, first with SIGTERM, then with SIGKILL.
    pub async fn stop(&mut self) {
        const STOP_TIMEOUT: Duration = Duration::from_secs(5);
        // An error means that the processes have already stopped.
        let _ = killpg(self.group, Signal::SIGTERM);
        let _ = timeout(STOP_TIMEOUT, self.process.wait()).await;
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = timeout(STOP_TIMEOUT, &mut self.showing_logs).await;
    }
}

/// Waits until the API listens, sends a request, and checks that the response has status 200.
pub async fn check_response(settings: &Settings, path: &str, headers: &[(&str, &str)]) -> Result<(), LocalError> {
    /// The pause between attempts while the API does not listen yet.
    const PAUSE: Duration = Duration::from_millis(200);
    // The environment may name a proxy, but the API is on this machine.
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.map_err(|error| LocalError::new("cannot create an HTTP client", error))?;
    loop {
        let mut request = client.get(format!("{}{path}", url(settings.api)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_default();
                return Err(LocalError(format!("cannot use the API: GET {path} returned {status} {body}")));
            }
            Err(error) if error.is_connect() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(LocalError::new(format_args!("cannot send GET {path}"), error)),
        }
    }
}
