//! The local stack as `make run` starts it.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{SETTINGS, binary, project, sam};

/// A running stack with data of its own.
pub struct Stack {
    process: Child,
    data: PathBuf,
    emulator: Option<String>,
    /// What the `READY` line says.
    pub ready: Value,
    /// Everything that was printed before it.
    pub printed: String,
    printing: Mutex<Receiver<String>>,
}

impl Stack {
    /// Starts a stack on free ports, and waits until it is ready; with an emulator at that endpoint in place of
    /// both embedded services, if one is given.
    #[must_use]
    pub fn start(data: &Path, emulator: Option<&str>) -> Self {
        let services = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];
        let endpoints = emulator.into_iter().flat_map(|endpoint| services.map(|name| (name, endpoint)));
        Self::start_with(command(data).envs(endpoints), data, emulator)
    }

    /// Starts a stack that containers find as `host.docker.internal`.
    #[must_use]
    pub fn start_for_containers(data: &Path) -> Self {
        Self::start_with(command(data).env("HOST", sam::host_gateway().to_string()), data, None)
    }

    /// Starts a stack with variables of the test's own.
    #[must_use]
    pub fn start_in_environment(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_with(command(data).envs(environment.iter().copied()), data, None)
    }

    /// Starts a stack of another project's functions.
    #[must_use]
    pub fn start_in(project: &Path, environment: &[(&str, &Path)], data: &Path) -> Self {
        Self::start_with(command(data).current_dir(project).envs(environment.iter().copied()), data, None)
    }

    /// Starts the stack again on the ports that it had, in a shell that has read its `environment` file.
    #[must_use]
    pub fn start_again(data: &Path, before: &Value) -> Self {
        let address = |name: &str| before[name].as_str().unwrap();
        let port = |name: &str| address(name).rsplit_once(':').unwrap().1.to_owned();
        let mut command = command(data);
        command
            .env("API_PORT", port("api"))
            .env("DYNAMODB_PORT", port("dynamodb"))
            .env("SECRETS_MANAGER_PORT", port("secretsManager"))
            .env("AWS_ENDPOINT_URL_DYNAMODB", address("dynamodb"))
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", address("secretsManager"));
        Self::start_with(&mut command, data, None)
    }

    fn start_with(command: &mut Command, data: &Path, emulator: Option<&str>) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let ready = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the stack ended: {:?}", process.wait());
            if let Some(ready) = line.strip_prefix("READY ") {
                break serde_json::from_str(ready).unwrap();
            }
            printed.push_str(&line);
        };
        let (sender, printing) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let emulator = emulator.map(str::to_owned);
        Self { process, data: data.to_owned(), emulator, ready, printed, printing: Mutex::new(printing) }
    }

    /// Waits until a line with all of these texts is printed, of those that nobody has waited for yet; what it is.
    pub fn wait_for_line(&self, texts: &[&str]) -> String {
        /// Several compilers may be at work.
        const PATIENCE: Duration = Duration::from_secs(300);
        let printing = self.printing.lock().unwrap();
        loop {
            let line =
                printing.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: no line with {texts:?}"));
            if texts.iter().all(|text| line.contains(text)) {
                return line;
            }
        }
    }

    /// The API's address.
    #[must_use]
    pub fn api(&self) -> &str {
        self.ready["api"].as_str().unwrap()
    }

    /// Where its data is kept.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The endpoint of the emulator that stands in for both embedded services, if one does.
    #[must_use]
    pub fn emulator(&self) -> Option<String> {
        self.emulator.clone()
    }

    /// Runs `userdocks-admin` against the stack, the way its printed line says.
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
        // A command that does not read its input may end before it is written.
        let _ = std::io::Write::write_all(&mut process.stdin.take().unwrap(), standard_input.as_bytes());
        process.wait_with_output().unwrap()
    }

    /// A new app: its id, a read key and a write key.
    #[must_use]
    pub fn create_app(&self) -> (String, String, String) {
        let output = self.admin(&["--output", "json", "app", "create", "--name", "Test"], "");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let created: Value = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys = &created["apiKeys"];
        (text(&created["app"]["uuid"]), text(&keys[0]["value"]), text(&keys[1]["value"]))
    }

    /// Ends the stack as Ctrl-C does; it must end well.
    pub fn stop(mut self) {
        self.interrupt().unwrap();
        assert!(self.process.wait().unwrap().success(), "Ctrl-C is a good end");
    }

    fn interrupt(&self) -> nix::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGINT)
    }
}

impl Drop for Stack {
    /// After a test that failed, so that nothing goes on running.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = self.interrupt();
            let _ = self.process.wait();
        }
    }
}

/// Starts a stack that can't come up, and returns how it ended.
#[must_use]
pub fn fails_to_start(data: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let mut process = command(data).envs(environment.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = String::new();
    process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (process.wait().unwrap().success(), errors)
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(binary("userdocks-local"));
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
        .current_dir(project())
        .env("DATA_DIR", data)
        .env("API_PORT", free_port().to_string())
        .env("DYNAMODB_PORT", free_port().to_string())
        .env("SECRETS_MANAGER_PORT", free_port().to_string())
        .stdin(Stdio::null());
    command
}

/// A port that nothing listens on.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
