//! Programs under measurement, each with a fake Lambda Runtime API.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use userdocks_test_support::runtime_api::{EventSender, Outcome, RuntimeApi};

#[derive(Clone)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// All environment variables except the Runtime API's.
    pub environment: Vec<(String, String)>,
}

impl Program {
    /// Returns the program with so many requests at a time.
    pub fn with_concurrency(&self, requests: usize) -> Self {
        let mut program = self.clone();
        program.environment.push(("AWS_LAMBDA_MAX_CONCURRENCY".to_owned(), requests.to_string()));
        program
    }
}

pub struct Process {
    child: Child,
    spawned: Instant,
    api: RuntimeApi,
    sent: u64,
    runtime: Runtime,
}

impl Process {
    /// Starts a program with its own Runtime API.
    pub fn start(program: &Program) -> io::Result<Self> {
        let api = RuntimeApi::start()?;
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let [command, arguments @ ..] = program.command.as_slice() else {
            return Err(io::Error::other("cannot start a program: its command is empty"));
        };
        let spawned = Instant::now();
        let child = Command::new(command)
            .args(arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .envs(api.environment("bench"))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, spawned, api, sent: 0, runtime })
    }

    /// Waits until the program asks for its first event.
    pub fn ready(&mut self) {
        self.runtime.block_on(self.api.ready());
    }

    /// Returns the process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Queues an event for the next request of the function.
    pub fn send(&mut self, event: &str) -> io::Result<()> {
        self.sent += 1;
        self.api.send(&self.sent.to_string(), event)
    }

    /// Returns a sender of events for another thread. Its events need ids that [`Process::send`] does not use.
    pub fn event_sender(&self) -> EventSender {
        self.api.event_sender()
    }

    /// Waits up to a minute for the next response.
    pub fn response(&mut self) -> io::Result<Outcome> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let outcome = self.runtime.block_on(async { timeout(PATIENCE, self.api.outcome()).await });
        outcome.ok().flatten().ok_or_else(|| io::Error::other("the function sent no response"))
    }

    /// Returns the time from the start to the first request for an event.
    pub fn ready_after(&self) -> io::Result<Duration> {
        let ready = self.api.ready_at().ok_or_else(|| io::Error::other("the function has not requested an event"))?;
        Ok(ready - self.spawned)
    }

    /// Returns the time from the start to a moment.
    pub fn since_start(&self, moment: Instant) -> Duration {
        moment - self.spawned
    }

    /// Returns the peak resident memory in bytes.
    pub fn peak_memory(&self) -> io::Result<u64> {
        self.memory("VmHWM:")
    }

    /// Returns the resident memory in bytes.
    pub fn resident_memory(&self) -> io::Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.proc().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse().ok());
        kilobytes.map(|number: u64| number * 1024).ok_or_else(|| io::Error::other(format!("no {field} in /proc")))
    }

    /// Returns the number of open file descriptors.
    pub fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.proc().join("fd"))?.count())
    }

    /// Returns the processor time used so far, user and system.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(self.proc().join("task"))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += stat.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }
}

impl Process {
    /// Stops the process with SIGTERM and waits for its end, so that a profiler can write its output.
    pub fn end(mut self) -> io::Result<()> {
        let id = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM)?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
