//! The tables of figures, the targets, and the update of the documents.

use std::{collections::BTreeMap, fs, path::PathBuf, thread::available_parallelism, time::Duration};

use crate::{
    Failure,
    load::{FunctionLoads, Load},
    measure::{
        CONCURRENCY, DEFAULT_KEYS, DEFAULT_SECRETS, FLOOR, Figures, KEYS, NODE, RAW_CALL, RAW_CALLS, Run, SECRETS,
        Start, median,
    },
    scheduled::{Generation, REQUESTS, Size, TARGETED},
};

/// An upper limit for a figure.
pub struct Target {
    pub name: String,
    /// The limit as text.
    pub limit: &'static str,
    measured: String,
    is_met: bool,
}

impl Target {
    pub fn is_met(&self) -> bool {
        self.is_met
    }

    fn at_most(name: String, limit: f64, limit_in_words: &'static str, measured: f64, spread: &str) -> Self {
        let measured_in_words = format!("{measured:.2}{spread}");
        Self { name, limit: limit_in_words, measured: measured_in_words, is_met: measured <= limit }
    }
}

type Value = fn(&Start) -> f64;

const COLD: Value = |start| start.cold.as_secs_f64();
const FIRST: Value = |start| start.first.as_secs_f64();
const WARM: Value = |start| start.warm.as_secs_f64();

/// Returns the target for the ratio of two values, each with the starts that it is taken from.
fn ratio(
    name: String,
    (of, value): (&[Start], Value),
    (to, base): (&[Start], Value),
    limit: f64,
    limit_in_words: &'static str,
) -> Target {
    // Ratios are taken round by round, because the load of the machine is similar within a round.
    let mut ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| value(of) / base(to)).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or(f64::NAN);
    Target::at_most(name, limit, limit_in_words, at(2), &format!(" ({:.2}–{:.2})", at(1), at(3)))
}

/// Returns the targets whose programs were measured.
pub fn targets(run: &Run) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |name: &str, of: &str, to: &str, value: Value, base: Value, limit, words| {
        if let (Some(of), Some(to)) = (run.of(of), run.of(to)) {
            targets.push(ratio(name.to_owned(), (&of.starts, value), (&to.starts, base), limit, words));
        }
    };
    for (function, calls, default, floors, floors_in_words) in
        [(KEYS, RAW_CALL, DEFAULT_KEYS, 3.0, "3.00"), (SECRETS, RAW_CALLS, DEFAULT_SECRETS, 4.0, "4.00")]
    {
        add(&format!("{function}: cold start / its bare calls'"), function, calls, COLD, COLD, 1.05, "1.05");
        add(&format!("{function}: cold start / floor"), function, FLOOR, COLD, COLD, floors, floors_in_words);
        add(
            &format!("{function}: cold start / SDK's defaults"),
            function,
            default,
            COLD,
            COLD,
            1.0 / 6.0,
            "0.17 (1/6)",
        );
        add(&format!("{function}: first invocation / its own warm"), function, function, FIRST, WARM, 2.0, "2.00");
    }
    add(&format!("{KEYS}: cold start / Node.js"), KEYS, NODE, COLD, COLD, 1.0 / 30.0, "0.03 (1/30)");
    add(&format!("{KEYS}: warm / the bare call"), KEYS, RAW_CALL, WARM, WARM, 1.15, "1.15");
    add(&format!("{SECRETS}: warm / {KEYS}"), SECRETS, KEYS, WARM, WARM, 1.10, "1.10");
    for function in [KEYS, SECRETS] {
        let Some(figures) = run.of(function) else { continue };
        targets.push(Target::at_most(format!("{function}: peak memory, MB"), 12.0, "12", peak_memory(figures), ""));
        let zipped = megabytes(figures.size.unwrap_or_default().1);
        targets.push(Target::at_most(format!("{function}: zipped, MB"), 3.0, "3.0", zipped, ""));
    }
    for (function, (dynamodb, secrets_manager)) in [KEYS, SECRETS].into_iter().zip(run.calls) {
        targets.push(Target::at_most(format!("{function}: DynamoDB calls per warm request"), 1.0, "1", dynamodb, ""));
        let name = format!("{function}: Secrets Manager calls per warm request");
        targets.push(Target::at_most(name, 0.0, "0", secrets_manager, ""));
    }
    targets.push(Target::at_most("read units per warm request".to_owned(), 2.0, "2", run.read_units, ""));
    targets
}

/// Returns the tables of figures and targets, with a description of the measurement.
pub fn markdown(run: &Run, targets: &[Target]) -> String {
    let starts = run.programs.first().map_or(0, |figures| figures.starts.len());
    let rows: String = run.programs.iter().map(row).collect();
    let (one, many) = run.throughput;
    format!(
        "Medians of {starts} starts of each program, in turn, with {} warm requests each. The AWS services run behind TLS on \
         loopback. {}.\n\n\
         | function | ready | first invocation | cold start | warm | peak memory | binary | zipped |\n\
         |---|---|---|---|---|---|---|---|\n{rows}\n\
         Ratios are taken round by round: median (interquartile range).\n\n\
         {}\n\
         Requests per second of processor time: {one:.0} one at a time, {many:.0} with {CONCURRENCY} at a time \
         ({:.2} times as many).\n",
        run.requests,
        machine(),
        target_table(targets),
        many / one
    )
}

/// Returns the table of targets.
pub fn target_table(targets: &[Target]) -> String {
    let rows: String = targets
        .iter()
        .map(|target| {
            let mark = if target.is_met { "" } else { " **missed**" };
            format!("| {} | {}{mark} | {} |\n", target.name, target.measured, target.limit)
        })
        .collect();
    format!("| | measured | target, at most |\n|---|---|---|\n{rows}")
}

fn machine() -> String {
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    format!("The machine: {}, {processors} processors", std::env::consts::ARCH)
}

/// Returns the targets under a quota, if it was measured.
pub fn targets_under_quota(sizes: &[Size]) -> Vec<Target> {
    let mut targets = Vec::new();
    let Some(size) = sizes.iter().find(|size| size.memory == TARGETED) else { return targets };
    for (function, default) in [(KEYS, DEFAULT_KEYS), (SECRETS, DEFAULT_SECRETS)] {
        let (Some(of), Some(to)) = (size.of(function), size.of(default)) else { continue };
        let name = |ratio: &str| format!("{function} with {TARGETED} MB: {ratio}");
        let defaults = name("first invocation / SDK's defaults");
        targets.push(ratio(defaults, (&of.starts, FIRST), (&to.starts, FIRST), 0.01, "0.01 (1/100)"));
        let own = name("first invocation / its own warm");
        targets.push(ratio(own, (&of.starts, FIRST), (&of.starts, WARM), 2.5, "2.50"));
    }
    targets
}

/// Returns the tables of memory sizes.
pub fn sizes(sizes: &[Size]) -> String {
    let Some(first) = sizes.first() else {
        return "Not measured: the machine of this run allows no control group.\n".to_owned();
    };
    let rows: String = first
        .programs
        .iter()
        .flat_map(|program| sizes.iter().filter_map(|size| scheduled_row(size, program.name)))
        .collect();
    let generations: String = sizes
        .iter()
        .filter_map(|size| {
            let Generation { times, missed } = size.generation.as_ref()?;
            let (median, longest) = (seconds(at(times, 0.5)), seconds(at(times, 1.0)));
            Some(format!("| {} MB | {median} | {longest} | {missed} of {} |\n", size.memory, times.len()))
        })
        .collect();
    format!(
        "{} fresh starts of each, in turn, with {} warm requests each; medians, and p99 of all warm requests.\n\n\
         | function | memory | ready | first invocation | cold start | warm p50 | warm p99 | processor time, warm | \
         a million requests, arm64 | x86_64 |\n\
         |---|---|---|---|---|---|---|---|---|---|\n{rows}\n\
         | `post-app-keys` | median | longest | missed the deadline of 25 s |\n|---|---|---|---|\n{generations}",
        first.programs.first().map_or(0, |program| program.starts.len()),
        REQUESTS,
    )
}

fn scheduled_row(size: &Size, name: &str) -> Option<String> {
    let program = size.of(name)?;
    let middle = |value| middle(&program.starts, value);
    let p50 = at(&program.warm, 0.5);
    Some(format!(
        "| {name} | {} MB | {} | {} | {} | {} | {} | {} | ${:.2} | ${:.2} |\n",
        size.memory,
        middle(|start| start.ready),
        middle(|start| start.first),
        middle(|start| start.cold),
        in_milliseconds(p50),
        in_milliseconds(at(&program.warm, 0.99)),
        in_milliseconds(median(program.processor_times.clone())),
        cost(size.memory, p50, GB_SECOND_ARM64),
        cost(size.memory, p50, GB_SECOND_X86_64),
    ))
}

/// USD in us-east-1 (<https://aws.amazon.com/lambda/pricing/>).
const GB_SECOND_ARM64: f64 = 0.000_013_333_4;
const GB_SECOND_X86_64: f64 = 0.000_016_666_7;
const MILLION_REQUESTS: f64 = 0.20;
/// A round trip to DynamoDB on AWS, which loopback does not have.
const ROUND_TRIP: Duration = Duration::from_millis(4);

/// Returns Lambda's price of a million warm requests. It bills whole milliseconds.
fn cost(memory: u32, warm: Duration, gb_second: f64) -> f64 {
    let billed = ((warm + ROUND_TRIP).as_secs_f64() * 1000.0).ceil() / 1000.0;
    MILLION_REQUESTS + 1e6 * billed * f64::from(memory) / 1024.0 * gb_second
}

/// Returns the value at a part of ascending values: 0.5 for the median.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
fn at(ascending: &[Duration], part: f64) -> Duration {
    let index = (ascending.len().saturating_sub(1) as f64 * part).round() as usize;
    ascending.get(index).copied().unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Returns the table of binaries.
pub fn binaries(binaries: &BTreeMap<String, (u64, u64)>) -> String {
    let rows: String = binaries
        .iter()
        .map(|(name, (size, zipped))| {
            format!("| `{name}` | {:.1} MB | {:.1} MB |\n", megabytes(*size), megabytes(*zipped))
        })
        .collect();
    format!("| function, arm64 | binary | zipped |\n|---|---|---|\n{rows}")
}

/// Returns the short table.
pub fn summary(run: &Run) -> String {
    let rows: String = [KEYS, SECRETS, FLOOR, DEFAULT_KEYS, NODE]
        .into_iter()
        .filter_map(|name| run.of(name))
        .map(|figures| {
            let (cold, warm) =
                (middle(&figures.starts, |start| start.cold), middle(&figures.starts, |start| start.warm));
            format!("| {} | {cold} | {warm} | {:.1} MB |\n", figures.name, peak_memory(figures))
        })
        .collect();
    format!("| | cold start | warm request | peak memory |\n|---|---|---|---|\n{rows}")
}

fn row(figures: &Figures) -> String {
    let size = figures.size.map_or("| – | – |".to_owned(), |(size, zipped)| {
        format!("| {:.1} MB | {:.1} MB |", megabytes(size), megabytes(zipped))
    });
    format!(
        "| {} | {} | {} | {} | {} | {:.1} MB {size}\n",
        figures.name,
        middle(&figures.starts, |start| start.ready),
        middle(&figures.starts, |start| start.first),
        middle(&figures.starts, |start| start.cold),
        middle(&figures.starts, |start| start.warm),
        peak_memory(figures),
    )
}

fn middle(starts: &[Start], value: fn(&Start) -> Duration) -> String {
    in_milliseconds(median(starts.iter().map(value).collect()))
}

fn in_milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.2} ms") } else { format!("{milliseconds:.0} ms") }
}

/// Returns the median of all starts, in MB.
fn peak_memory(figures: &Figures) -> f64 {
    megabytes(median(figures.starts.iter().map(|start| start.peak_memory).collect()))
}

#[allow(clippy::cast_precision_loss, reason = "sizes of files and processes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Returns the tables of the loads.
pub fn load(functions: &[FunctionLoads]) -> String {
    let rows: String = functions.iter().flat_map(|of| of.loads.iter().map(|load| load_row(of.name, load))).collect();
    let endurance: String = functions.iter().filter_map(endurance_row).collect();
    let changes: usize = functions.iter().map(|function| function.changes).sum();
    format!(
        "The functions handle up to {CONCURRENCY} requests at a time. During the run, secrets were rotated {changes} times, \
         and {changes} API keys were revoked. {}.\n\n\
         | function | load | requests | per second | p50 | p99 | p99.9 | longest | errors by status | stale | wrong |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n{rows}\n\
         | function | memory after a minute | at the end | descriptors, first minute | last minute |\n\
         |---|---|---|---|---|\n{endurance}",
        machine(),
    )
}

fn load_row(function: &str, load: &Load) -> String {
    let errors: Vec<String> = load
        .statuses
        .iter()
        .filter(|(status, _)| *status != "200")
        .map(|(status, count)| format!("{status}: {count}"))
        .collect();
    let time = |part| in_milliseconds(at(&load.latencies, part));
    format!(
        "| {function} | {} | {} | {:.0} | {} | {} | {} | {} | {} | {} | {} |\n",
        load.name,
        load.latencies.len(),
        load.rate,
        time(0.5),
        time(0.99),
        time(0.999),
        time(1.0),
        if errors.is_empty() { "none".to_owned() } else { errors.join(", ") },
        load.stale,
        load.wrong,
    )
}

fn endurance_row(function: &FunctionLoads) -> Option<String> {
    let load = function.loads.last()?;
    let (early, late) = (load.first_minute(), load.last_minute());
    Some(format!(
        "| {} | {:.2} MB | {:.2} MB | {} to {} | {} to {} |\n",
        function.name,
        megabytes(early.memory),
        megabytes(late.memory),
        early.fewest_descriptors,
        early.most_descriptors,
        late.fewest_descriptors,
        late.most_descriptors,
    ))
}

/// Replaces the text between the documents' markers, such as `<!-- figures: summary -->` and `<!-- end -->`. `figures` are
/// the markers' names and the new texts.
pub fn write(documents: &[PathBuf], figures: &[(&str, String)]) -> Result<(), Failure> {
    for document in documents {
        let mut text = fs::read_to_string(document)?;
        for (which, figures) in figures {
            let begin = format!("<!-- figures: {which} -->\n");
            let Some(start) = text.find(&begin).map(|start| start + begin.len()) else { continue };
            let rest = text.get(start..).unwrap_or_default();
            let end = start + rest.find("<!-- end -->").ok_or("cannot find the <!-- end --> of a marker")?;
            text.replace_range(start..end, figures);
        }
        fs::write(document, text)?;
    }
    Ok(())
}
