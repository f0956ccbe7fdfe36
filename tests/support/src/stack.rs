//! The local stack, as `make run` starts it.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, mpsc::Receiver},
};

use serde_json::Value;
use userdocks_local::sdk_config;

use crate::{
    SETTINGS,
    app_client::AppClient,
    binary,
    port::ReservedPort,
    program::{PATIENCE, Program, Started, Stream},
    project, sam,
};

/// A running stack with its own data folder.
pub struct Stack {
    program: Program,
    ports: Ports,
    data: PathBuf,
    emulator: Option<String>,
    /// The JSON in the `READY` line.
    pub ready: Value,
    /// The output before that line.
    pub printed: String,
    lines: Mutex<Receiver<String>>,
}

impl Stack {
    /// Starts a stack on free ports and waits until it is ready. An emulator at the given endpoint replaces both embedded
    /// services.
    #[must_use]
    pub fn start(data: &Path, emulator: Option<&str>) -> Self {
        let services = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];
        let endpoints = emulator.into_iter().flat_map(|endpoint| services.map(|name| (name, endpoint)));
        let mut stack = Self::start_with(data, Ports::default(), |command| command.envs(endpoints));
        stack.emulator = emulator.map(str::to_owned);
        stack
    }

    /// Starts a stack that containers reach as `host.docker.internal`.
    #[must_use]
    pub fn start_for_containers(data: &Path) -> Self {
        let host = sam::host_gateway().to_string();
        Self::start_with(data, Ports::default(), |command| command.env("HOST", host))
    }

    /// Starts a stack with more environment variables.
    #[must_use]
    pub fn start_in_environment(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_with(data, Ports::default(), |command| command.envs(environment.iter().copied()))
    }

    /// Starts a stack with the functions of another copy of the project.
    #[must_use]
    pub fn start_in(project: &Path, environment: &[(&str, &Path)], data: &Path) -> Self {
        Self::start_with(data, Ports::default(), |command| {
            command.current_dir(project).envs(environment.iter().copied())
        })
    }

    /// Starts a stopped stack again on its ports, in a shell that has read its `environment` file.
    #[must_use]
    pub fn start_again(data: &Path, before: &Value, ports: Ports) -> Self {
        let address = |name: &str| before[name].as_str().unwrap();
        Self::start_with(data, ports, |command| {
            command
                .env("AWS_ENDPOINT_URL_DYNAMODB", address("dynamodb"))
                .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", address("secretsManager"))
        })
    }

    fn start_with(data: &Path, ports: Ports, configure: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = command(data, &ports);
        let find = |line: &str| line.strip_prefix("READY ").map(|ready| serde_json::from_str(ready).unwrap());
        let started = Program::start(configure(&mut command), Stream::Output, find);
        let Started { program, ready, printed, lines } = started;
        let (data, lines) = (data.to_owned(), Mutex::new(lines));
        Self { program, ports, data, emulator: None, ready, printed, lines }
    }

    /// Waits for a line with all of these texts and returns it. Each line is returned once.
    pub fn wait_for_line(&self, texts: &[&str]) -> String {
        let lines = self.lines.lock().unwrap();
        loop {
            let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line with {texts:?}: {error}"));
            if texts.iter().all(|text| line.contains(text)) {
                return line;
            }
        }
    }

    /// Returns the API's URL.
    #[must_use]
    pub fn api(&self) -> &str {
        self.ready["api"].as_str().unwrap()
    }

    /// Returns the data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the endpoint of the emulator that replaces both embedded services.
    #[must_use]
    pub fn emulator(&self) -> Option<String> {
        self.emulator.clone()
    }

    /// Runs `userdocks-admin` on the stack with the environment that the stack prints.
    #[must_use]
    pub fn admin(&self, arguments: &[&str], standard_input: &str) -> Output {
        let script = ". \"$1\" && shift && exec \"$@\"";
        let mut process = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(self.data.join("environment"))
            .arg(binary("userdocks-admin"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Fails if the command ends without reading its input.
        let _ = std::io::Write::write_all(&mut process.stdin.take().unwrap(), standard_input.as_bytes());
        process.wait_with_output().unwrap()
    }

    /// Creates an app and returns a client with its keys.
    #[must_use]
    pub fn create_app(&self) -> AppClient {
        let output = self.admin(&["--output", "json", "app", "create", "--name", "Test"], "");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let created = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
        AppClient::created(self.api(), &created)
    }

    /// Returns the SDK's configuration for a service, by its name in the `READY` line.
    #[must_use]
    pub fn sdk_config(&self, service: &str) -> aws_config::SdkConfig {
        sdk_config(self.ready[service].as_str().unwrap()).unwrap()
    }

    /// Interrupts the stack, which must succeed, and returns its ports.
    pub fn stop(self) -> Ports {
        assert!(self.program.stop().success(), "the stack fails when it is interrupted");
        self.ports
    }
}

#[derive(Default)]
pub struct Ports {
    api: ReservedPort,
    dynamodb: ReservedPort,
    secrets_manager: ReservedPort,
}

/// Starts a stack that cannot start. Returns whether it succeeded, and its errors.
#[must_use]
pub fn fails_to_start(data: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = command(data, &Ports::default());
    let mut process = command.envs(environment.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = String::new();
    process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (process.wait().unwrap().success(), errors)
}

fn command(data: &Path, ports: &Ports) -> Command {
    let mut command = Command::new(binary("userdocks-local"));
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
        .current_dir(project())
        .env("DATA_DIR", data)
        .env("API_PORT", ports.api.number().to_string())
        .env("DYNAMODB_PORT", ports.dynamodb.number().to_string())
        .env("SECRETS_MANAGER_PORT", ports.secrets_manager.number().to_string())
        .stdin(Stdio::null());
    command
}
