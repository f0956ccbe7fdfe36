//! SAM's own local Lambda and API Gateway, with the functions in containers, against a running local stack.

use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
};

use nix::{
    ifaddrs::getifaddrs,
    sys::{
        signal::{Signal, kill},
        socket::SockaddrIn,
    },
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    project,
    stack::{Stack, free_port},
};

/// What the template names the function.
#[must_use]
pub fn logical_id(function: &str) -> String {
    let capitalised = |word: &str| word[..1].to_uppercase() + &word[1..];
    function.split('-').map(capitalised).collect()
}

/// `sam`, in a shell that knows nothing of the stack: what that knows would win over `samconfig.toml`.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = crate::command(program);
    command.current_dir(project()).stdin(Stdio::null()).env("AWS_REGION", "us-east-1");
    command
}

/// What `sam local` is told where the image that functions run in is there already, so that no registry is asked for it.
#[must_use]
pub fn image_arguments() -> &'static [&'static str] {
    let image = "public.ecr.aws/lambda/provided:al2023-x86_64";
    let found = Command::new("docker").args(["image", "inspect", image]).output().unwrap();
    if found.status.success() { &["--skip-pull-image"] } else { &[] }
}

/// The address at which this machine is `host.docker.internal` for containers: that of Docker's bridge, or if the bridge is
/// on a machine of Docker's own, any address of this machine.
#[must_use]
pub fn host_gateway() -> IpAddr {
    let format = r#"{{index .Options "com.docker.network.bridge.name"}}"#;
    let output = Command::new("docker").args(["network", "inspect", "bridge", "--format", format]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bridge = String::from_utf8(output.stdout).unwrap();
    let of_bridge = getifaddrs().unwrap().filter(|interface| interface.interface_name == bridge.trim());
    let mut addresses = of_bridge.filter_map(|interface| interface.address?.as_sockaddr_in().map(SockaddrIn::ip));
    addresses.next().unwrap_or(Ipv4Addr::LOCALHOST).into()
}

/// The template's parameters for functions in containers that call the stack, whatever its ports.
#[must_use]
pub fn parameters(stack: &Stack) -> String {
    let endpoint = |service: &str| {
        let port = stack.ready[service].as_str().unwrap().rsplit_once(':').unwrap().1;
        format!("http://host.docker.internal:{port}")
    };
    let (dynamodb, secrets_manager) = (endpoint("dynamodb"), endpoint("secretsManager"));
    format!(
        "Environment=local Architecture=x86_64 DynamoDbEndpoint={dynamodb} SecretsManagerEndpoint={secrets_manager}"
    )
}

/// One `sam local invoke` against the stack: the answer.
#[must_use]
pub fn invoke(function: &str, case: &str, stack: &Stack) -> Value {
    let event = format!("events/{function}/{case}.json");
    let output = command("sam")
        .args(["local", "invoke", &logical_id(function), "--config-env", "local", "--event", &event])
        .args(["--parameter-overrides", &parameters(stack)])
        .args(image_arguments())
        .output()
        .unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| {
        panic!("{function} {case} answers {answer:?}: {error}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// A running `sam local start-lambda` or `sam local start-api`, with a container for each function.
pub struct Server {
    process: Child,
    /// Where it answers.
    pub endpoint: String,
}

impl Server {
    /// Starts it on a free port, with arguments of the test's own, and waits until it listens.
    #[must_use]
    pub fn start(subcommand: &str, arguments: &[&str]) -> Self {
        let port = free_port().to_string();
        let mut process = command("sam")
            .args(["local", subcommand, "--config-env", "local", "--warm-containers", "EAGER", "--port", &port])
            .args(image_arguments())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stderr.take().unwrap());
        let mut printed = String::new();
        let endpoint = format!("http://127.0.0.1:{port}");
        while !printed.contains(&format!("Running on {endpoint}")) {
            assert_ne!(output.read_line(&mut printed).unwrap(), 0, "sam local {subcommand} ended:\n{printed}");
        }
        // Whoever prints into a closed pipe ends: the functions' logs have to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { process, endpoint }
    }
}

impl Drop for Server {
    /// As Ctrl-C does, so that its containers are removed.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGINT);
        let _ = self.process.wait();
    }
}

/// The environments of the running containers of a function.
#[must_use]
pub fn environments(function: &str) -> Vec<Vec<String>> {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let label = format!("label=sam.cli.function.name={}", logical_id(function));
    let containers = docker(&["ps", "--quiet", "--filter", &label]);
    let inspect = ["inspect", "--format", "{{json .Config.Env}}"];
    let inspected = docker(&[&inspect[..], &containers.split_whitespace().collect::<Vec<_>>()].concat());
    inspected.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
