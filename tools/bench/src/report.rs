//! The tables of figures, the targets, and the update of the documents.

use std::{fs, path::Path, thread::available_parallelism};

use crate::{
    Failure,
    measure::{
        CONCURRENCY, DEFAULT_KEYS, DEFAULT_SECRETS, FLOOR, Figures, KEYS, NODE, RAW_CALL, Run, SECRETS, Start, median,
    },
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

/// Returns the targets whose programs were measured.
pub fn targets(run: &Run) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut ratio =
        |name: &str, of: &str, to: &str, value: fn(&Start) -> f64, base: fn(&Start) -> f64, limit, words| {
            let (Some(of), Some(to)) = (run.of(of), run.of(to)) else { return };
            // Ratios are taken round by round, because the load of the machine is similar within a round.
            let mut ratios: Vec<f64> = of.starts.iter().zip(&to.starts).map(|(of, to)| value(of) / base(to)).collect();
            ratios.sort_by(f64::total_cmp);
            let at = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or(f64::NAN);
            let spread = format!(" ({:.2}–{:.2})", at(1), at(3));
            targets.push(Target::at_most(name.to_owned(), limit, words, at(2), &spread));
        };
    let cold = |start: &Start| start.cold.as_secs_f64();
    let first = |start: &Start| start.first.as_secs_f64();
    let warm = |start: &Start| start.warm.as_secs_f64();
    for (function, default) in [(KEYS, DEFAULT_KEYS), (SECRETS, DEFAULT_SECRETS)] {
        ratio(&format!("{function}: cold start / floor"), function, FLOOR, cold, cold, 3.0, "3.00");
        ratio(
            &format!("{function}: cold start / SDK's defaults"),
            function,
            default,
            cold,
            cold,
            1.0 / 6.0,
            "0.17 (1/6)",
        );
        ratio(&format!("{function}: first invocation / its own warm"), function, function, first, warm, 2.0, "2.00");
    }
    ratio(&format!("{KEYS}: cold start / Node.js"), KEYS, NODE, cold, cold, 1.0 / 30.0, "0.03 (1/30)");
    ratio(&format!("{KEYS}: warm / the bare call"), KEYS, RAW_CALL, warm, warm, 1.15, "1.15");
    ratio(&format!("{SECRETS}: warm / {KEYS}"), SECRETS, KEYS, warm, warm, 1.10, "1.10");
    for function in [KEYS, SECRETS] {
        let Some(figures) = run.of(function) else { continue };
        targets.push(Target::at_most(format!("{function}: peak memory, MB"), 12.0, "12", peak_memory(figures), ""));
        let zipped = megabytes(figures.size.unwrap_or_default().1);
        targets.push(Target::at_most(format!("{function}: zipped, MB"), 3.5, "3.5", zipped, ""));
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
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    let rows: String = run.programs.iter().map(row).collect();
    let checks: String = targets
        .iter()
        .map(|target| {
            let mark = if target.is_met { "" } else { " **missed**" };
            format!("| {} | {}{mark} | {} |\n", target.name, target.measured, target.limit)
        })
        .collect();
    let (one, many) = run.throughput;
    format!(
        "Medians of {starts} starts of each program, in turn, with {} warm requests each. The AWS services run behind TLS on \
         loopback. The machine: {}, {processors} processors.\n\n\
         | function | ready | first invocation | cold start | warm | peak memory | binary | zipped |\n\
         |---|---|---|---|---|---|---|---|\n{rows}\n\
         Ratios are taken round by round: median (interquartile range).\n\n\
         | | measured | target, at most |\n|---|---|---|\n{checks}\n\
         Requests per second of processor time: {one:.0} one at a time, {many:.0} with {CONCURRENCY} at a time \
         ({:.2} times as many).\n",
        run.requests,
        std::env::consts::ARCH,
        many / one
    )
}

/// Returns the short table.
pub fn summary(run: &Run) -> String {
    let rows: String = [KEYS, SECRETS, FLOOR, DEFAULT_KEYS, NODE]
        .into_iter()
        .filter_map(|name| run.of(name))
        .map(|figures| {
            let (cold, warm) = (middle(figures, |start| start.cold), middle(figures, |start| start.warm));
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
        middle(figures, |start| start.ready),
        middle(figures, |start| start.first),
        middle(figures, |start| start.cold),
        middle(figures, |start| start.warm),
        peak_memory(figures),
    )
}

fn middle(figures: &Figures, value: fn(&Start) -> std::time::Duration) -> String {
    let middle = median(figures.starts.iter().map(value).collect()).as_secs_f64() * 1000.0;
    if middle < 10.0 { format!("{middle:.2} ms") } else { format!("{middle:.0} ms") }
}

/// Returns the median of all starts, in MB.
fn peak_memory(figures: &Figures) -> f64 {
    megabytes(median(figures.starts.iter().map(|start| start.peak_memory).collect()))
}

#[allow(clippy::cast_precision_loss, reason = "sizes of files and processes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Replaces the text between a document's markers, `<!-- figures: all -->` or `<!-- figures: summary -->`, and `<!-- end -->`.
pub fn write(document: &Path, run: &Run, targets: &[Target]) -> Result<(), Failure> {
    let mut text = fs::read_to_string(document)?;
    for (which, figures) in [("all", markdown(run, targets)), ("summary", summary(run))] {
        let begin = format!("<!-- figures: {which} -->\n");
        let Some(start) = text.find(&begin).map(|start| start + begin.len()) else { continue };
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.find("<!-- end -->").ok_or("cannot find the <!-- end --> of a marker")?;
        text.replace_range(start..end, &figures);
    }
    Ok(fs::write(document, text)?)
}
