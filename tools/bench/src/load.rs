//! Throughput and latencies of a function that handles concurrent requests, while secrets rotate and API keys are revoked.
//!
//! Events arrive in an open loop, at a fixed rate, whether or not the function keeps up. A latency counts from the moment
//! the event was due, so it includes the wait for a busy function.
//!
//! `wrk` and `oha` do not fit. They do not check the responses, and they need an HTTP server, which a function on Lambda is
//! not.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use userdocks_test_support::runtime_api::EventSender;

use crate::{
    Arguments, Failure,
    apps::{Apps, Request, Violation, lock},
    aws::Aws,
    measure::{CONCURRENCY, KEYS, Measured, SECRETS, find},
    process::{Process, Program},
};

const MINUTE: Duration = Duration::from_secs(60);

/// All loads of one process of a function, in order. The last one is the longest.
pub struct FunctionLoads {
    pub name: &'static str,
    pub loads: Vec<Load>,
    /// Rotations, and as many revocations, during the loads.
    pub changes: usize,
}

/// The figures of one load.
pub struct Load {
    pub name: String,
    /// Responses per second.
    pub rate: f64,
    /// Ascending.
    pub latencies: Vec<Duration>,
    /// The number of responses with each status; `none` for a runtime error.
    pub statuses: BTreeMap<String, usize>,
    /// Responses that show the state before a change that was committed before the request.
    pub stale: usize,
    /// Responses that violate the contract in another way.
    pub wrong: usize,
    /// One for each second.
    usage: Vec<Usage>,
}

/// The memory and descriptors of a process at one moment.
struct Usage {
    /// The time since the load began.
    at: Duration,
    /// Resident, in bytes.
    memory: u64,
    descriptors: usize,
}

/// The memory and descriptors of a process in one minute.
pub struct Minute {
    /// At its end, resident, in bytes.
    pub memory: u64,
    pub fewest_descriptors: usize,
    pub most_descriptors: usize,
}

impl FunctionLoads {
    /// Returns whether all responses are right and no descriptors are lost.
    pub fn is_right(&self) -> bool {
        self.loads.iter().all(|load| load.stale == 0 && load.wrong == 0)
            && self.loads.last().is_some_and(|load| !load.has_lost_descriptors())
    }
}

impl Load {
    pub fn first_minute(&self) -> Minute {
        Minute::new(self.usage.iter().take_while(|usage| usage.at <= MINUTE))
    }

    pub fn last_minute(&self) -> Minute {
        let end = self.usage.last().map_or(Duration::ZERO, |usage| usage.at);
        Minute::new(self.usage.iter().skip_while(|usage| usage.at + MINUTE < end))
    }

    /// Returns whether the lowest number of descriptors in the last minute is above the highest in the first. Pools of
    /// connections make single numbers differ.
    fn has_lost_descriptors(&self) -> bool {
        self.last_minute().fewest_descriptors > self.first_minute().most_descriptors
    }
}

impl Minute {
    fn new<'a>(usage: impl Iterator<Item = &'a Usage> + Clone) -> Self {
        let descriptors = usage.clone().map(|usage| usage.descriptors);
        Self {
            memory: usage.last().map_or(0, |usage| usage.memory),
            fewest_descriptors: descriptors.clone().min().unwrap_or(0),
            most_descriptors: descriptors.max().unwrap_or(0),
        }
    }
}

/// Measures `get-app-keys` and `get-app-secrets`.
pub fn all(
    programs: &[Measured],
    arguments: &Arguments,
    aws: &Aws,
    runtime: &tokio::runtime::Handle,
) -> Result<Vec<FunctionLoads>, Failure> {
    let mut measured = Vec::new();
    for (name, function) in [(KEYS, "get-app-keys"), (SECRETS, "get-app-secrets")] {
        let program = &find(programs, name)?.program;
        let apps = Arc::new(runtime.block_on(Apps::create(&aws.services, function))?);
        let changing = runtime.spawn({
            let apps = Arc::clone(&apps);
            async move { apps.change().await }
        });
        let loads = loads(program, &apps, arguments)?;
        apps.stop();
        let changes = runtime.block_on(changing)??;
        if loads.last().is_some_and(Load::has_lost_descriptors) {
            eprintln!("{name} has lost descriptors");
        }
        measured.push(FunctionLoads { name, loads, changes });
    }
    Ok(measured)
}

/// Runs the closed loop, and then loads that are parts of its rate.
fn loads(program: &Program, apps: &Arc<Apps>, arguments: &Arguments) -> Result<Vec<Load>, Failure> {
    const WARM_UP: Duration = Duration::from_secs(1);
    let mut process = Process::start(&program.with_concurrency(CONCURRENCY))?;
    let seconds = Duration::from_secs(arguments.seconds);
    closed_loop(&mut process, apps, WARM_UP)?;
    let most = closed_loop(&mut process, apps, seconds)?;
    let rate = most.rate;
    let mut loads = vec![most];
    let minutes = MINUTE * u32::try_from(arguments.minutes)?;
    let words = format!("50 %, {} minutes", arguments.minutes);
    for (part, duration, name) in
        [(0.1, seconds, "10 %"), (0.5, seconds, "50 %"), (0.9, seconds, "90 %"), (0.5, minutes, &words)]
    {
        eprintln!("{name} of {rate:.0} requests per second");
        loads.push(open_loop(&mut process, apps, rate * part, duration, name)?);
    }
    Ok(loads)
}

/// Keeps [`CONCURRENCY`] requests in flight.
fn closed_loop(process: &mut Process, apps: &Arc<Apps>, duration: Duration) -> Result<Load, Failure> {
    let sender = Sender::new(process, apps);
    let mut receiver = Receiver::new(&sender, format!("{CONCURRENCY} in flight"));
    let mut number = 0;
    let mut send = || {
        number += 1;
        sender.send(apps.request(number)?, Instant::now())
    };
    for _ in 0..CONCURRENCY {
        send()?;
    }
    let mut in_flight = CONCURRENCY;
    while in_flight > 0 {
        receiver.receive(process)?;
        if receiver.start.elapsed() < duration {
            send()?;
        } else {
            in_flight -= 1;
        }
    }
    receiver.finish(process)
}

/// Sends requests at a fixed rate, per second.
fn open_loop(
    process: &mut Process,
    apps: &Arc<Apps>,
    rate: f64,
    duration: Duration,
    name: &str,
) -> Result<Load, Failure> {
    let interval = Duration::from_secs_f64(1.0 / rate);
    let requests = u32::try_from(duration.as_nanos() / interval.as_nanos())?;
    let sender = Sender::new(process, apps);
    let mut receiver = Receiver::new(&sender, name.to_owned());
    let start = receiver.start;
    let sending = thread::spawn(move || -> Result<(), Failure> {
        // Without this, the kernel may wake the thread 50 µs late.
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_timerslack(1)?;
        for number in 0..requests {
            let request = sender.apps.request(usize::try_from(number)?)?;
            let due = start + interval * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            sender.send(request, due)?;
        }
        Ok(())
    });
    for _ in 0..requests {
        receiver.receive(process)?;
    }
    sending.join().map_err(|_| "the sender panicked")??;
    receiver.finish(process)
}

/// Requests without a response, with the moments at which they were due.
type Pending = Arc<Mutex<HashMap<String, (Request, Instant)>>>;

struct Sender {
    apps: Arc<Apps>,
    events: EventSender,
    pending: Pending,
}

impl Sender {
    fn new(process: &Process, apps: &Arc<Apps>) -> Self {
        Self { apps: Arc::clone(apps), events: process.event_sender(), pending: Pending::default() }
    }

    fn send(&self, request: Request, due: Instant) -> Result<(), Failure> {
        let (id, event) = (request.id.clone(), request.event.clone());
        lock(&self.pending).insert(id.clone(), (request, due));
        Ok(self.events.send(&id, &event)?)
    }
}

struct Receiver {
    apps: Arc<Apps>,
    pending: Pending,
    start: Instant,
    load: Load,
}

impl Receiver {
    fn new(sender: &Sender, name: String) -> Self {
        let (latencies, statuses, usage) = <(Vec<_>, BTreeMap<_, _>, Vec<_>)>::default();
        let load = Load { name, rate: 0.0, latencies, statuses, stale: 0, wrong: 0, usage };
        Self { apps: Arc::clone(&sender.apps), pending: Arc::clone(&sender.pending), start: Instant::now(), load }
    }

    /// Waits for the next response, and checks it.
    fn receive(&mut self, process: &mut Process) -> Result<(), Failure> {
        let outcome = process.response()?;
        let pending = lock(&self.pending).remove(&outcome.id);
        let (request, due) = pending.ok_or("a response to no request")?;
        self.load.latencies.push(outcome.at.saturating_duration_since(due));
        let response: Value = match &outcome.body {
            Ok(body) => serde_json::from_slice(body).unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let status = response["statusCode"].as_u64().map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.load.statuses.entry(status).or_default() += 1;
        if let Err(violation) = self.apps.check(&request, &outcome, &response) {
            let (count, words) = match violation {
                Violation::Stale(words) => (&mut self.load.stale, words),
                Violation::Other(words) => (&mut self.load.wrong, words),
            };
            *count += 1;
            /// Violations of each kind that are shown.
            const SHOWN: usize = 3;
            if *count <= SHOWN {
                let body = outcome.body.as_ref().unwrap_or_else(|error| error);
                eprintln!("{words}: {}", String::from_utf8_lossy(body));
            }
        }
        let next = Duration::from_secs(u64::try_from(self.load.usage.len())?);
        if self.start.elapsed() >= next { self.note_usage(process) } else { Ok(()) }
    }

    fn note_usage(&mut self, process: &Process) -> Result<(), Failure> {
        let (memory, descriptors) = (process.resident_memory()?, process.descriptors()?);
        self.load.usage.push(Usage { at: self.start.elapsed(), memory, descriptors });
        Ok(())
    }

    fn finish(mut self, process: &Process) -> Result<Load, Failure> {
        let responses = u32::try_from(self.load.latencies.len())?;
        self.load.rate = f64::from(responses) / self.start.elapsed().as_secs_f64();
        self.note_usage(process)?;
        self.load.latencies.sort_unstable();
        Ok(self.load)
    }
}
