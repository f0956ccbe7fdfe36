//! `make bench`: how fast the functions are, against a function that does nothing and against what a user would otherwise have.
#![allow(clippy::indexing_slicing, reason = "on `serde_json::Value`, where it can't panic")]

mod aws;
mod measure;
mod process;
mod quota;
mod report;
mod scheduled;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::aws::Aws;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the functions and their peers, interleaved, and writes the figures where the documents have their markers.
#[derive(Parser)]
struct Arguments {
    /// The folder with a folder for each function, as `cargo lambda build` makes it
    #[arg(long)]
    functions: PathBuf,
    /// The target folder of the peers
    #[arg(long)]
    peers: PathBuf,
    /// The peer in Node.js; left out where it was not built
    #[arg(long)]
    node: PathBuf,
    /// How many times each program is started
    #[arg(long, default_value_t = 31)]
    starts: usize,
    /// How many warm requests each start serves
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Fails where a target is missed, and writes nothing
    #[arg(long)]
    check: bool,
    /// Counts the instructions of a start and of a warm request of `get-app-keys` with callgrind, and nothing else
    #[arg(long)]
    callgrind: bool,
    /// The documents to write to
    documents: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target is met, or nobody asked.
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
    let figures = measure::all(&programs, arguments, &aws, runtime.handle())?;
    let sizes = scheduled::all(&programs, &generation, &aws, runtime.handle())?;
    let mut targets = report::targets(&figures);
    targets.extend(report::targets_under_quota(&sizes));
    println!("{}\n{}", report::markdown(&figures, &targets), report::sizes(&sizes));
    if arguments.check {
        for missed in targets.iter().filter(|target| !target.is_met()) {
            eprintln!("Missed: {}", missed.name);
        }
        return Ok(targets.iter().all(report::Target::is_met));
    }
    for document in &arguments.documents {
        report::write(document, &figures, &targets, &sizes)?;
    }
    Ok(true)
}
