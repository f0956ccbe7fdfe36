//! Programs that run beside a test.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The longest time without output before a program is ready. It may have to be compiled first.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// The stream in which a program reports that it is ready.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    Output,
    Error,
}

/// A running program. Dropping it sends a signal, so that the program can stop what it has started.
pub struct Program {
    process: Child,
    stop_signal: Signal,
}

/// A program that is ready.
pub struct Started<T> {
    pub program: Program,
    /// The value in the line that reports that the program is ready.
    pub ready: T,
    /// The lines before that line.
    pub printed: String,
    /// The lines after that line.
    pub lines: Receiver<String>,
}

impl Program {
    /// Starts a program and waits for the line in which `find` finds a value. Fails if the program ends before, or prints
    /// nothing for [`PATIENCE`].
    pub fn start<T>(command: &mut Command, stream: Stream, find: impl Fn(&str) -> Option<T>) -> Started<T> {
        let name = command.get_program().to_string_lossy().into_owned();
        match stream {
            Stream::Output => command.stdout(Stdio::piped()),
            Stream::Error => command.stdout(Stdio::null()).stderr(Stdio::piped()),
        };
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output: Box<dyn Read + Send> = match stream {
            Stream::Output => Box::new(process.stdout.take().unwrap()),
            Stream::Error => Box::new(process.stderr.take().unwrap()),
        };
        let mut program = Self { process, stop_signal: Signal::SIGINT };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Reads on without a receiver: a program that prints into a closed pipe ends.
                let _ = sender.send(line);
            }
        });
        let mut printed = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => match find(&line) {
                    Some(ready) => return Started { program, ready, printed, lines },
                    None => printed = printed + &line + "\n",
                },
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{name} ended before it was ready: {}\n{printed}", program.process.wait().unwrap())
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{name} is not ready and printed nothing for {PATIENCE:?}:\n{printed}")
                }
            }
        }
    }

    /// Stops the program with SIGTERM instead of SIGINT. A background job of a shell inherits that SIGINT is ignored, and
    /// Python leaves it so.
    #[must_use]
    pub fn stopped_with_sigterm(mut self) -> Self {
        self.stop_signal = Signal::SIGTERM;
        self
    }

    /// Signals the program to stop, and waits until it ends.
    pub fn stop(mut self) -> ExitStatus {
        self.signal();
        self.process.wait().unwrap()
    }

    fn signal(&self) {
        // Fails only if the program has ended.
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), self.stop_signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.signal();
            let _ = self.process.wait();
        }
    }
}
