//! The programs as Lambda schedules them: a whole processor until they ask for their first event, and then a share of one.

use std::time::Duration;

use crate::{
    Failure,
    aws::Aws,
    measure::{FLOOR, Measured, Served, Start, check, serve_start},
    process::{Process, Program},
    quota::Quota,
};

/// Memory sizes, in MB.
const SIZES: [u32; 5] = [TARGETED, 256, 512, 1024, 1769];
/// The size that has targets, in MB.
pub const TARGETED: u32 = 128;
/// Starts of each program with each size.
const STARTS: usize = 7;
/// Warm requests of each start.
pub const REQUESTS: usize = 100;
/// Keys that `post-app-keys` generates with each size.
const GENERATED_KEYS: usize = 5;

/// All figures of one size.
pub struct Size {
    pub memory: u32,
    pub programs: Vec<Scheduled>,
    /// None if only the targets are measured.
    pub generation: Option<Generation>,
}

/// A program's figures with one size.
pub struct Scheduled {
    pub name: &'static str,
    pub starts: Vec<Start>,
    /// The times of all warm requests, ascending.
    pub warm: Vec<Duration>,
    /// The processor time of a warm request, start by start.
    pub processor_times: Vec<Duration>,
}

/// Requests to `post-app-keys`: their times, ascending, and how many missed the route's deadline.
pub struct Generation {
    pub times: Vec<Duration>,
    pub missed: usize,
}

impl Size {
    pub fn of(&self, name: &str) -> Option<&Scheduled> {
        self.programs.iter().find(|scheduled| scheduled.name == name)
    }
}

/// Measures all programs with all sizes, or with that of the targets. Returns nothing, and says so, if this machine limits
/// no processes.
pub fn all(
    programs: &[Measured],
    generation: &Measured,
    aws: &Aws,
    runtime: &tokio::runtime::Handle,
    only_targets: bool,
) -> Result<Vec<Size>, Failure> {
    // An empty function tells nothing about memory.
    let measured: Vec<_> = programs.iter().filter(|measured| measured.name != FLOOR).collect();
    let mut sizes = Vec::new();
    for memory in SIZES.into_iter().filter(|memory| !only_targets || *memory == TARGETED) {
        eprintln!("{memory} MB");
        if let Err(error) = Quota::new(memory) {
            eprintln!("This machine allows no control group ({error}): the table of memory sizes is left out.");
            return Ok(Vec::new());
        }
        let mut scheduled: Vec<_> = measured.iter().map(|measured| Scheduled::new(measured.name)).collect();
        for _ in 0..STARTS {
            for (measured, scheduled) in measured.iter().zip(&mut scheduled) {
                scheduled.add(serve_start(measured, REQUESTS, Some(memory))?);
            }
        }
        for scheduled in &mut scheduled {
            scheduled.warm.sort_unstable();
        }
        let generation = if only_targets {
            None
        } else {
            let event = runtime.block_on(aws.event_of_new_app("post-app-keys"));
            Some(Generation::measure(&generation.program, &event, memory)?)
        };
        sizes.push(Size { memory, programs: scheduled, generation });
    }
    Ok(sizes)
}

impl Scheduled {
    fn new(name: &'static str) -> Self {
        Self { name, starts: Vec::new(), warm: Vec::new(), processor_times: Vec::new() }
    }

    fn add(&mut self, served: Served) {
        self.starts.push(served.start);
        self.warm.extend(served.warm);
        self.processor_times.push(served.processor_time);
    }
}

impl Generation {
    /// Sends requests for one key after another.
    fn measure(program: &Program, event: &str, memory: u32) -> Result<Self, Failure> {
        let quota = Quota::new(memory)?;
        let mut process = Process::start(program)?;
        process.ready();
        quota.limit(process.id())?;
        let (mut times, mut missed) = (Vec::new(), 0);
        for _ in 0..GENERATED_KEYS {
            process.send(event)?;
            let response = process.response()?;
            times.push(response.took);
            missed += usize::from(check(response.body.as_ref(), 201).is_err());
        }
        times.sort_unstable();
        Ok(Self { times, missed })
    }
}
