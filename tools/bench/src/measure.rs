//! The measurements. All programs run in turn in many rounds, so that other load on the machine affects them equally.

use std::{collections::BTreeMap, fs, io, io::Write, path::Path, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;
use userdocks::domain::{ApiKeyType, ApiKeyValue};
use userdocks_local::fixtures::SECRET_VERSION;
use userdocks_test_support::fixtures;

use crate::{
    Arguments, Failure,
    aws::{Aws, SECRET_PREFIX, TABLE},
    process::{Process, Program},
    quota::Quota,
};

/// Names of the programs, in the order of the table.
pub const KEYS: &str = "`get-app-keys`";
pub const SECRETS: &str = "`get-app-secrets`";
pub const FLOOR: &str = "bare `lambda_http` function";
pub const RAW_CALL: &str = "the bare call: one `BatchGetItem`, same client";
pub const RAW_CALLS: &str = "the bare calls: `BatchGetItem` and `GetSecretValue`, same client";
pub const SDK_READS: &str = "`get-app-keys`, reading through the SDK";
pub const DEFAULT_KEYS: &str = "`get-app-keys` on the SDK's defaults";
pub const DEFAULT_SECRETS: &str = "`get-app-secrets` on the SDK's defaults";
pub const NODE: &str = "Node.js, Fastify, AWS SDK v3";

/// A program and the event that it gets.
pub struct Measured {
    pub name: &'static str,
    pub program: Program,
    event: String,
    /// The file to deploy; none for a program of several files.
    file: Option<std::path::PathBuf>,
}

/// The figures of one start.
#[derive(Clone, Copy)]
pub struct Start {
    /// The time from the start to the first request for an event.
    pub ready: Duration,
    /// The time from sending the first event to its response.
    pub first: Duration,
    /// The time from the start to the first response.
    pub cold: Duration,
    /// The median time of the later requests.
    pub warm: Duration,
    /// In bytes.
    pub peak_memory: u64,
}

/// A program's figures.
pub struct Figures {
    pub name: &'static str,
    pub starts: Vec<Start>,
    /// In bytes, of the file and of its zip archive.
    pub size: Option<(u64, u64)>,
}

/// All figures of one run.
pub struct Run {
    pub programs: Vec<Figures>,
    pub requests: usize,
    /// Calls of DynamoDB and of Secrets Manager for each warm request, of `get-app-keys` and of `get-app-secrets`.
    pub calls: [(f64, f64); 2],
    /// Read units of a warm request.
    pub read_units: f64,
    /// Requests per second of processor time, one at a time and [`CONCURRENCY`] at a time.
    pub throughput: (f64, f64),
}

/// The number of concurrent requests in the measurement of concurrency.
pub const CONCURRENCY: usize = 16;

impl Run {
    pub fn of(&self, name: &str) -> Option<&Figures> {
        self.programs.iter().find(|figures| figures.name == name)
    }
}

/// Returns the programs that are compared, and `post-app-keys`. Skips the Node.js peer if it was not built.
pub fn programs(arguments: &Arguments, aws: &Aws, ca_bundle: &Path) -> Result<(Vec<Measured>, Measured), Failure> {
    let environment = environment(aws, ca_bundle)?;
    let event = |function: &str| {
        let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
        let success = if function == "post-app-keys" { "201-created.json" } else { "200-ok.json" };
        fs::read_to_string(events.join(function).join(success))
    };
    let measured = |name, file: &Path, function: &str| -> io::Result<Measured> {
        let mut environment = environment.clone();
        environment.push(("ROUTE".to_owned(), function.to_owned()));
        let program = Program { command: vec![file.display().to_string()], environment };
        Ok(Measured { name, program, event: event(function)?, file: Some(file.to_owned()) })
    };
    let bootstrap = |function: &str| arguments.functions.join(function).join("bootstrap");
    let peer = |name: &str| arguments.peers.join(name);
    let mut programs = vec![
        measured(KEYS, &bootstrap("get-app-keys"), "get-app-keys")?,
        measured(SECRETS, &bootstrap("get-app-secrets"), "get-app-secrets")?,
        measured(FLOOR, &peer("release/floor"), "get-app-keys")?,
        measured(RAW_CALL, &peer("same/raw-call"), "get-app-keys")?,
        measured(RAW_CALLS, &peer("same/raw-call"), "get-app-secrets")?,
        measured(SDK_READS, &peer("same/sdk-reads"), "get-app-keys")?,
        measured(DEFAULT_KEYS, &peer("release/sdk-defaults"), "get-app-keys")?,
        measured(DEFAULT_SECRETS, &peer("release/sdk-defaults"), "get-app-secrets")?,
    ];
    if arguments.node.exists() {
        let mut node = measured(NODE, &arguments.node, "get-app-keys")?;
        node.program.command.insert(0, "node".to_owned());
        node.file = None;
        programs.push(node);
    } else {
        eprintln!("userdocks-bench: skipped the Node.js peer, which is not built");
    }
    Ok((programs, measured("`post-app-keys`", &bootstrap("post-app-keys"), "post-app-keys")?))
}

fn environment(aws: &Aws, ca_bundle: &Path) -> Result<Vec<(String, String)>, Failure> {
    // The peers with the SDK's defaults trust the system's root certificates, so the services' one is added to a copy.
    const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
    let roots = [fs::read(SYSTEM_ROOTS).map_err(|error| format!("{SYSTEM_ROOTS}: {error}"))?, fs::read(ca_bundle)?];
    let system_roots = ca_bundle.with_extension("system");
    fs::write(&system_roots, roots.concat())?;
    let ca_bundle = ca_bundle.display().to_string();
    let api_key = ApiKeyValue::import(fixtures::READ_KEY, ApiKeyType::Read)?.hash();
    let variables = [
        ("PATH", std::env::var("PATH")?),
        ("TABLE_NAME", TABLE.to_owned()),
        ("SECRET_PREFIX", SECRET_PREFIX.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", aws.dynamodb.clone()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.secrets_manager.clone()),
        ("AWS_CA_BUNDLE", ca_bundle.clone()),
        ("SSL_CERT_FILE", system_roots.display().to_string()),
        ("NODE_EXTRA_CA_CERTS", ca_bundle),
        ("NODE_NO_WARNINGS", "1".to_owned()),
        ("BENCH_PK", format!("APP#{}", fixtures::APP)),
        ("BENCH_SECRET", aws.services.secrets.app_secret_name(fixtures::APP.parse()?)),
        ("BENCH_SECRET_VERSION", SECRET_VERSION.to_owned()),
        ("BENCH_API_KEY_SK", format!("APIKEY#{}", api_key.as_str())),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

pub fn all(
    programs: &[Measured],
    arguments: &Arguments,
    aws: &Aws,
    runtime: &tokio::runtime::Handle,
) -> Result<Run, Failure> {
    let mut starts: Vec<Vec<Start>> = programs.iter().map(|_| Vec::new()).collect();
    // The first round only fills the file cache, so it does not count.
    for round in 0..=arguments.starts {
        for (measured, starts) in programs.iter().zip(&mut starts) {
            let served = serve_start(measured, arguments.requests, None)
                .map_err(|error| format!("{}: {error}", measured.name))?;
            if round > 0 {
                starts.push(served.start);
            }
        }
        eprint!("\rstart {round} of {}", arguments.starts);
    }
    eprintln!();
    let figures = programs.iter().zip(starts).map(|(measured, starts)| {
        let size = measured.file.as_deref().map(size).transpose()?;
        Ok(Figures { name: measured.name, starts, size })
    });
    let figures = figures.collect::<Result<_, Failure>>()?;
    let (keys, secrets) = (find(programs, KEYS)?, find(programs, SECRETS)?);
    Ok(Run {
        programs: figures,
        requests: arguments.requests,
        calls: [calls(keys, arguments.requests, aws)?, calls(secrets, arguments.requests, aws)?],
        read_units: runtime.block_on(aws.read_units())?,
        throughput: (throughput(keys, 1)?, throughput(keys, CONCURRENCY)?),
    })
}

/// Returns the program of that name.
pub fn find<'a>(programs: &'a [Measured], name: &str) -> Result<&'a Measured, Failure> {
    programs
        .iter()
        .find(|measured| measured.name == name)
        .ok_or_else(|| format!("cannot find the program {name}").into())
}

/// A start, and the warm requests after it.
pub struct Served {
    pub start: Start,
    pub warm: Vec<Duration>,
    /// The processor time of one warm request.
    pub processor_time: Duration,
}

/// Starts a program and has it serve warm requests. From the moment it asks for its first event, it has the processor time
/// of a function of `memory` MB, if any.
pub fn serve_start(measured: &Measured, requests: usize, memory: Option<u32>) -> Result<Served, Failure> {
    // A group of its own: a shared one would have to pay for the time that earlier processes took.
    let quota = memory.map(Quota::new).transpose()?;
    let mut process = Process::start(&measured.program)?;
    if let Some(quota) = &quota {
        process.ready();
        quota.limit(process.id())?;
    }
    process.send(&measured.event)?;
    let first = process.response()?;
    check(first.body.as_ref(), 200)?;
    let before = process.processor_time()?;
    let mut warm = Vec::with_capacity(requests);
    for _ in 0..requests {
        process.send(&measured.event)?;
        warm.push(process.response()?.took);
    }
    let processor_time = (process.processor_time()? - before) / u32::try_from(requests)?;
    let ready = process.ready_after()?;
    let start = Start {
        ready,
        first: first.took,
        // Putting a process under its quota takes a moment.
        cold: if quota.is_some() { ready + first.took } else { process.since_start(first.at) },
        warm: median(warm.clone()),
        peak_memory: process.peak_memory()?,
    };
    Ok(Served { start, warm, processor_time })
}

/// Fails unless the response has that status.
pub fn check(response: Result<&Vec<u8>, &Vec<u8>>, status: u16) -> Result<(), Failure> {
    let body = response.map_err(|error| format!("a runtime error: {}", String::from_utf8_lossy(error)))?;
    let response: Value = serde_json::from_slice(body)?;
    if response["statusCode"] == status { Ok(()) } else { Err(format!("not {status}: {response}").into()) }
}

/// Returns the calls of DynamoDB and of Secrets Manager for each warm request.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn calls(measured: &Measured, requests: usize, aws: &Aws) -> Result<(f64, f64), Failure> {
    let mut process = Process::start(&measured.program)?;
    let mut serve = || -> io::Result<()> {
        process.send(&measured.event)?;
        process.response().map(drop)
    };
    serve()?;
    let count = || (aws.dynamodb_calls.count(), aws.secrets_manager_calls.count());
    let before = count();
    for _ in 0..requests {
        serve()?;
    }
    let after = count();
    let each = |before: u64, after: u64| (after - before) as f64 / requests as f64;
    Ok((each(before.0, after.0), each(before.1, after.1)))
}

/// Returns the requests per second of the function's processor time, with `at_a_time` requests in flight.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn throughput(measured: &Measured, at_a_time: usize) -> Result<f64, Failure> {
    const REQUESTS: usize = 5000;
    let mut process = Process::start(&measured.program.with_concurrency(at_a_time))?;
    serve(&mut process, &measured.event, 10 * at_a_time, at_a_time)?;
    let before = process.processor_time()?;
    serve(&mut process, &measured.event, REQUESTS, at_a_time)?;
    Ok(REQUESTS as f64 / (process.processor_time()? - before).as_secs_f64())
}

fn serve(process: &mut Process, event: &str, requests: usize, at_a_time: usize) -> Result<(), Failure> {
    for _ in 0..at_a_time.min(requests) {
        process.send(event)?;
    }
    for served in 1..=requests {
        check(process.response()?.body.as_ref(), 200)?;
        if served + at_a_time <= requests {
            process.send(event)?;
        }
    }
    Ok(())
}

/// Runs `get-app-keys` under callgrind, once with one request and once with many more, and prints the profiles' paths. The
/// difference between them is the cost of the warm requests.
pub fn instructions(programs: &[Measured], arguments: &Arguments) -> Result<(), Failure> {
    let measured = find(programs, KEYS)?;
    for requests in [1, 1 + arguments.requests] {
        let file = format!("target/callgrind-{requests}.out");
        let mut program = measured.program.clone();
        let valgrind = ["valgrind", "--quiet", "--tool=callgrind", &format!("--callgrind-out-file={file}")];
        program.command.splice(..0, valgrind.map(str::to_owned));
        let mut process = Process::start(&program)?;
        for _ in 0..requests {
            process.send(&measured.event)?;
            check(process.response()?.body.as_ref(), 200)?;
        }
        process.end()?;
        let total = fs::read_to_string(&file)?;
        let total = total.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap_or("?").to_owned();
        println!("{total} instructions for the start and {requests} requests: callgrind_annotate {file}");
    }
    Ok(())
}

/// Returns the functions built in a folder, by name: bytes, as they are and zipped.
pub fn binaries(folder: &Path) -> Result<BTreeMap<String, (u64, u64)>, Failure> {
    let mut binaries = BTreeMap::new();
    for function in fs::read_dir(folder)? {
        let function = function?;
        let file = function.path().join("bootstrap");
        if file.is_file() {
            binaries.insert(function.file_name().to_string_lossy().into_owned(), size(&file)?);
        }
    }
    Ok(binaries)
}

/// Returns the bytes of a file, and its bytes in a zip archive.
fn size(file: &Path) -> Result<(u64, u64), Failure> {
    let bytes = fs::read(file)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    Ok((u64::try_from(bytes.len())?, u64::try_from(encoder.finish()?.len())?))
}

pub fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
