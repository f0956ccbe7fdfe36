//! SAM's local Lambda and API Gateway, with the functions in containers, on a running local stack.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrIn};
use serde_json::Value;

use crate::{
    port::ReservedPort,
    program::{Program, Stream},
    project,
    stack::Stack,
};

/// Returns a function's logical id in the template.
#[must_use]
pub fn logical_id(function: &str) -> String {
    let capitalised = |word: &str| word[..1].to_uppercase() + &word[1..];
    function.split('-').map(capitalised).collect()
}

/// Returns a command without the stack's variables, which would take precedence over `samconfig.toml`.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = crate::command(program);
    command.current_dir(project()).stdin(Stdio::null()).env("AWS_REGION", "us-east-1");
    command
}

/// Returns the arguments of `sam local` for the functions' image. An installed image is not pulled again.
#[must_use]
pub fn image_arguments() -> &'static [&'static str] {
    let image = "public.ecr.aws/lambda/provided:al2023-x86_64";
    let found = Command::new("docker").args(["image", "inspect", image]).output().unwrap();
    if found.status.success() { &["--skip-pull-image"] } else { &[] }
}

/// Returns the address that containers reach as `host.docker.internal`: that of Docker's bridge, or loopback if Docker runs
/// on another machine.
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

/// Returns the template's parameters for functions in containers that call the stack at its ports.
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

/// Runs `sam local invoke` against the stack and returns the response.
#[must_use]
pub fn invoke(function: &str, case: &str, stack: &Stack) -> Value {
    let event = format!("events/{function}/{case}.json");
    let output = command("sam")
        .args(["local", "invoke", &logical_id(function), "--config-env", "local", "--event", &event])
        .args(["--parameter-overrides", &parameters(stack)])
        .args(image_arguments())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| {
        panic!("{function} {case} printed {printed:?}: {error}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// A running `sam local start-lambda` or `sam local start-api` with a container for each function. Dropping it removes the
/// containers.
pub struct Server {
    /// The server's URL.
    pub endpoint: String,
    _program: Program,
    _port: ReservedPort,
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    #[must_use]
    pub fn start(subcommand: &str, arguments: &[&str]) -> Self {
        let port = ReservedPort::new();
        let mut command = command("sam");
        command
            .args(["local", subcommand, "--config-env", "local", "--warm-containers", "EAGER"])
            .args(["--port", &port.number().to_string()])
            .args(image_arguments())
            .args(arguments);
        let endpoint = format!("http://127.0.0.1:{}", port.number());
        let listens = format!("Running on {endpoint}");
        let started = Program::start(&mut command, Stream::Error, |line| line.contains(&listens).then_some(()));
        Self { endpoint, _program: started.program.stopped_with_sigterm(), _port: port }
    }
}

/// Returns the environments of a function's running containers.
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
