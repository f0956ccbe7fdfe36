//! MiniStack (<https://github.com/ministackorg/ministack>), an emulator of AWS without containers, and the stack that SAM
//! deploys to it.

use std::{
    env,
    fs::{self, Permissions, read_to_string},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use reqwest::{
    Method,
    blocking::{RequestBuilder, Response},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use userdocks::{
    api::Services,
    aws::{DynamoDb, Resources, SecretsManager},
};
use userdocks_local::fixtures;

use crate::{
    app_client::AppClient,
    aws::sdk_config,
    binary,
    contract::FUNCTIONS,
    http::client,
    port::ReservedPort,
    program::{Program, Stream},
    project, readme,
};

pub mod workarounds;

pub const STAGE: &str = "staging";
pub const STACK: &str = "userdocks-staging";
pub const TABLE: &str = "userdocks-staging";

/// Access key and secret key of the account's root.
const ROOT: &str = "test";

pub struct Emulator {
    /// The endpoint of all services.
    pub endpoint: String,
    folder: TempDir,
    runtime: Runtime,
    sdk: SdkConfig,
    _program: Program,
    _port: ReservedPort,
}

impl Emulator {
    /// Starts an emulator on a free port and waits until it listens. It allows every call unless `enforces_permissions`.
    #[must_use]
    pub fn start(enforces_permissions: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_aws_cli(folder.path());
        let port = ReservedPort::new();
        // `make ministack` installs it.
        let mut command = Command::new(tools("ministack/bin").join("ministack"));
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("STATE_DIR", folder.path())
            .env("S3_DATA_DIR", folder.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.number().to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("AUTH", enforces_permissions.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null());
        let endpoint = format!("http://127.0.0.1:{}", port.number());
        let listens = format!("Running on {endpoint}");
        let started = Program::start(&mut command, Stream::Error, |line| line.contains(&listens).then_some(()));
        // The emulator knows the account's root by these credentials.
        let root = SharedCredentialsProvider::new(Credentials::new(ROOT, ROOT, None, None, "emulator"));
        let sdk = sdk_config(&endpoint).to_builder().credentials_provider(root).build();
        let runtime = Runtime::new().unwrap();
        Self { endpoint, folder, runtime, sdk, _program: started.program, _port: port }
    }

    /// Returns a command of the developer's shell, with the emulator in place of AWS.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = crate::command(program);
        let admin = binary("userdocks-admin").parent().unwrap().to_owned();
        let places = [self.folder.path().to_owned(), admin, tools("bin"), tools("ministack/bin")];
        let path = env::var_os("PATH").unwrap();
        let path = env::join_paths(places.into_iter().chain(env::split_paths(&path)));
        command
            .current_dir(project())
            .stdin(Stdio::null())
            .env("PATH", path.unwrap())
            .env("HOME", self.folder.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", ROOT)
            .env("AWS_SECRET_ACCESS_KEY", ROOT)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_PAGER", "")
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.5");
        command
    }

    /// Runs a line in the developer's shell and returns its output.
    ///
    /// # Errors
    /// The output and the errors of a line that fails.
    pub fn shell(&self, line: &str) -> Result<String, String> {
        let output = self.command("sh").args(["-ec", line]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = text(&output.stdout);
        if output.status.success() { Ok(printed) } else { Err(format!("{line}: {printed}{}", text(&output.stderr))) }
    }

    /// Runs the AWS CLI and returns its output as JSON.
    ///
    /// # Errors
    /// The cause of a call that fails.
    pub fn try_aws(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.command("aws").args(arguments).args(["--output", "json"]).output().unwrap();
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
        }
        Err(format!("aws {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs the AWS CLI, which must succeed, and returns its output as JSON.
    #[must_use]
    pub fn aws(&self, arguments: &[&str]) -> Value {
        self.try_aws(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Builds a call without the AWS CLI, which takes a second to start.
    fn request(&self, service: &str, method: Method, path: &str) -> RequestBuilder {
        let scope = format!("Credential={ROOT}/20260101/us-east-1/{service}/aws4_request");
        // The emulator does not check the signatures of the account's root.
        let signed = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        client().request(method, format!("{}{path}", self.endpoint)).header("authorization", signed)
    }

    /// Calls API Gateway's API.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        succeeded(self.request("apigateway", Method::POST, path).json(body)).json().unwrap()
    }

    /// Calls IAM's API.
    pub fn iam(&self, action: &str, parameters: &[(&str, &str)]) {
        let form = [&[("Action", action), ("Version", "2010-05-08")], parameters].concat();
        let _ = succeeded(self.request("iam", Method::POST, "/").form(&form));
    }

    /// Reads a function's resource from Lambda's API.
    #[must_use]
    pub fn function(&self, function: &str, resource: &str) -> Value {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/{resource}");
        succeeded(self.request("lambda", Method::GET, &path)).json().unwrap()
    }

    /// Invokes a version of a function and returns its payload.
    #[must_use]
    pub fn invoke(&self, function: &str, version: &str, event: &Value) -> Value {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/invocations?Qualifier={version}");
        succeeded(self.request("lambda", Method::POST, &path).json(event)).json().unwrap()
    }

    /// Deploys the stage with the README's command, more arguments, and the parameters that the emulator needs.
    ///
    /// # Errors
    /// The output and the errors of a deployment that fails.
    pub fn deploy(&self, arguments: &str) -> Result<String, String> {
        let command = readme::command(&format!("sam deploy --config-env {STAGE}"));
        let endpoint = &self.endpoint;
        self.shell(&format!(
            "{command} {arguments} --parameter-overrides '{} Architecture=x86_64 Alarms=off \
             DynamoDbEndpoint={endpoint} SecretsManagerEndpoint={endpoint}'",
            configured_overrides()
        ))
    }

    /// Returns the physical ids of the stack's resources by logical id.
    #[must_use]
    pub fn resources(&self) -> Value {
        self.aws(&["cloudformation", "describe-stack-resources", "--stack-name", STACK])["StackResources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| (resource["LogicalResourceId"].as_str().unwrap(), resource["PhysicalResourceId"].clone()))
            .collect()
    }

    /// Creates the routes of the stack's API and returns its URL.
    #[must_use]
    pub fn api(&self) -> String {
        let api = workarounds::create_routes(self);
        format!("{}/_aws/execute-api/{api}/$default", self.endpoint)
    }

    /// Creates the fixtures' apps.
    pub fn create_fixtures(&self) {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.sdk);
        let secrets_manager = aws_sdk_secretsmanager::Client::new(&self.sdk);
        let secret_prefix = format!("userdocks/{STAGE}").parse().unwrap();
        let resources = Resources { table: TABLE.to_owned(), secret_prefix, secrets_kms_key: None };
        let secrets_manager = SecretsManager::from_sdk(secrets_manager, None);
        let services = Services::new(DynamoDb::from_sdk(dynamodb.clone(), None), secrets_manager, resources);
        self.runtime.block_on(fixtures::provision(&services, &dynamodb, TABLE)).unwrap();
    }

    /// Runs `userdocks-admin` on the stack and returns its output.
    #[must_use]
    pub fn admin(&self, arguments: &[&str]) -> Value {
        let mut command = self.command("userdocks-admin");
        command.env("TABLE_NAME", TABLE).env("SECRET_PREFIX", format!("userdocks/{STAGE}"));
        printed(&command.args(["--output", "json"]).args(arguments).output().unwrap())
    }

    /// Runs `userdocks-admin` with only the name of the stack and returns its output.
    #[must_use]
    pub fn admin_of_stack(&self, arguments: &[&str]) -> Value {
        let mut command = self.command("userdocks-admin");
        printed(&command.args(["--stack", STACK, "--output", "json"]).args(arguments).output().unwrap())
    }

    /// Creates an app and returns a client with its keys.
    #[must_use]
    pub fn create_app(&self, api: &str) -> AppClient {
        AppClient::created(api, &self.admin(&["app", "create", "--name", "Test"]))
    }

    /// Issues an API key of that type for an app and returns its value.
    #[must_use]
    pub fn issue_key(&self, app: &str, kind: &str) -> String {
        self.admin(&["api-key", "issue", app, "--type", kind])["apiKey"]["value"].as_str().unwrap().to_owned()
    }

    /// Returns the functions' log lines of level WARN and ERROR. `since` is in milliseconds since 1970.
    #[must_use]
    pub fn warnings(&self, since: u128) -> Vec<Value> {
        let request = self.request("logs", Method::POST, "/").header("x-amz-target", "Logs_20140328.FilterLogEvents");
        let body = json!({"logGroupName": format!("/aws/lambda/{STACK}"), "startTime": since}).to_string();
        let request = request.header("content-type", "application/x-amz-json-1.1").body(body);
        let found: Value = succeeded(request).json().unwrap();
        assert!(found["nextToken"].is_null(), "more lines than one response holds");
        let lines = found["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap());
        let parsed = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["level"] == "WARN" || line["level"] == "ERROR").collect()
    }

    /// Returns the version of each function that its alias `live` points to.
    #[must_use]
    pub fn live_versions(&self) -> Vec<String> {
        let version =
            |function| self.function(function, "aliases/live")["FunctionVersion"].as_str().unwrap().to_owned();
        FUNCTIONS.map(version).to_vec()
    }
}

/// Replaces the AWS CLI's own script, which does not start from a path with a space.
fn write_aws_cli(folder: &Path) {
    let (script, python) = (folder.join("aws"), tools("ministack/bin/python"));
    fs::write(&script, format!("#!/bin/sh\nexec '{}' -m awscli \"$@\"\n", python.display())).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
}

fn succeeded(request: RequestBuilder) -> Response {
    let response = request.send().unwrap();
    let (status, url) = (response.status(), response.url().to_owned());
    if !status.is_success() {
        panic!("{url}: {status} {}", response.text().unwrap());
    }
    response
}

/// Returns the output of a command that must have succeeded.
fn printed(output: &Output) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else")
}

fn tools(folder: &str) -> PathBuf {
    project().join(".tools").join(folder)
}

/// Returns the stage's parameters in `samconfig.toml`, which `--parameter-overrides` would replace.
fn configured_overrides() -> String {
    let configuration = read_to_string(project().join("samconfig.toml")).unwrap();
    let (_, section) = configuration.split_once(&format!("[{STAGE}.deploy.parameters]")).unwrap();
    let (_, overrides) = section.split_once("parameter_overrides = \"").unwrap();
    overrides.lines().next().unwrap().strip_suffix('"').unwrap().replace("\\\"", "\"")
}
