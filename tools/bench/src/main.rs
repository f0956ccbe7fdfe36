//! `make bench`: compares the functions with an empty function, the SDK's defaults and Node.js.
//!
//! `make load`: measures throughput and latencies of the functions under load.
#![allow(clippy::indexing_slicing, reason = "a read of a `serde_json::Value` cannot panic")]

mod apps;
mod aws;
mod load;
mod measure;
mod process;
mod quota;
mod report;
mod scheduled;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::aws::Aws;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Benchmark the functions and their peers, and write the figures between the documents' markers
#[derive(Parser)]
#[command(after_help = "Example:\n  userdocks-bench --functions target/lambda --peers target/bench-peers \
                  --node target/bench-peers/node/function.cjs --check")]
struct Arguments {
    /// Output folder of `cargo lambda build`
    #[arg(long)]
    functions: PathBuf,
    /// Output folder of `cargo lambda build --arm64`; the sizes are skipped if it does not exist
    #[arg(long, default_value = "target/lambda-arm64")]
    arm64: PathBuf,
    /// Target folder of the peers
    #[arg(long)]
    peers: PathBuf,
    /// File of the Node.js peer; skipped if it does not exist
    #[arg(long)]
    node: PathBuf,
    /// Number of starts of each program
    #[arg(long, default_value_t = 31)]
    starts: usize,
    /// Number of warm requests for each start
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Exit with code 1 if a target is missed, and write nothing
    #[arg(long)]
    check: bool,
    /// Only count the instructions of a start and of warm requests of `get-app-keys` with callgrind
    #[arg(long)]
    callgrind: bool,
    /// Only measure throughput and latencies under load; exit with code 1 and write nothing if a response is wrong
    #[arg(long, conflicts_with_all = ["check", "callgrind"])]
    load: bool,
    /// Seconds of each load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Minutes of the last load, which shows whether memory or descriptors are lost
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    minutes: u64,
    /// Documents to write the figures into
    documents: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("userdocks-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark. Returns false if targets are checked and one is missed, or if a response under load is wrong.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let folder = tempfile::tempdir()?;
    let ca_bundle = folder.path().join("authority.pem");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let aws = runtime.block_on(Aws::start(&ca_bundle))?;
    let (programs, generation) = measure::programs(arguments, &aws, &ca_bundle)?;
    if arguments.callgrind {
        measure::instructions(&programs, arguments)?;
        return Ok(true);
    }
    if arguments.load {
        let loads = load::all(&programs, arguments, &aws, runtime.handle())?;
        let table = report::load(&loads);
        println!("{table}");
        let is_right = loads.iter().all(load::FunctionLoads::is_right);
        if is_right {
            report::write(&arguments.documents, &[("load", table)])?;
        }
        return Ok(is_right);
    }
    let figures = measure::all(&programs, arguments, &aws, runtime.handle())?;
    let mut targets = report::targets(&figures);
    // The second part takes minutes.
    println!("{}", report::markdown(&figures, &targets));
    let sizes = scheduled::all(&programs, &generation, &aws, runtime.handle(), arguments.check)?;
    let targets_under_quota = report::targets_under_quota(&sizes);
    let sizes = report::sizes(&sizes);
    println!("{}\n{sizes}", report::target_table(&targets_under_quota));
    targets.extend(targets_under_quota);
    if arguments.check {
        for missed in targets.iter().filter(|target| !target.is_met()) {
            eprintln!("missed target: {}", missed.name);
        }
        return Ok(targets.iter().all(report::Target::is_met));
    }
    let (all, summary) = (report::markdown(&figures, &targets), report::summary(&figures));
    let mut figures = vec![("all", all), ("sizes", sizes), ("summary", summary)];
    if arguments.arm64.is_dir() {
        figures.push(("arm64", report::binaries(&measure::binaries(&arguments.arm64)?)));
    }
    report::write(&arguments.documents, &figures)?;
    Ok(true)
}
