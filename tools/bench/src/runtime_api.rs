//! The Lambda Runtime API around one process, with a clock on every step.
//!
//! Blocking threads, one for each connection: whoever reads the request's last byte also reads the clock, so that nothing is
//! measured but the function, loopback and two system calls.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// What a function is started as.
#[derive(Clone)]
pub struct Program {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Its whole environment, besides the Runtime API's.
    pub environment: Vec<(String, String)>,
}

/// An answer, and how long it took since the event was sent.
pub struct Answer {
    /// The function's answer, as it was sent.
    pub body: Vec<u8>,
    /// From the event's first byte to the answer's last.
    pub took: Duration,
    /// When the last byte arrived.
    pub at: Instant,
}

/// A running function.
pub struct Process {
    child: Child,
    spawned: Instant,
    events: Sender<String>,
    answers: Receiver<Answer>,
    ready: Receiver<Instant>,
}

struct Queue {
    events: Mutex<Receiver<String>>,
    answers: Sender<Answer>,
    ready: Sender<Instant>,
    next: AtomicU64,
    sent: Mutex<HashMap<u64, Instant>>,
}

impl Process {
    /// Starts a program with an API of its own.
    pub fn start(program: &Program) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (events, events_received) = mpsc::channel();
        let (answers_sent, answers) = mpsc::channel();
        let (ready_sent, ready) = mpsc::channel();
        let queue = Arc::new(Queue {
            events: Mutex::new(events_received),
            answers: answers_sent,
            ready: ready_sent,
            next: AtomicU64::new(0),
            sent: Mutex::default(),
        });
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (Ok(connection), queue) = (connection, Arc::clone(&queue)) else { return };
                // A connection that ends is the function's end.
                thread::spawn(move || serve(&connection, &queue).ok());
            }
        });
        let [command, arguments @ ..] = program.command.as_slice() else {
            return Err(io::Error::other("an empty command"));
        };
        let spawned = Instant::now();
        let child = Command::new(command)
            .args(arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, spawned, events, answers, ready })
    }

    /// Sends an event to whichever worker asks next.
    pub fn send(&self, event: &str) -> io::Result<()> {
        self.events.send(event.to_owned()).map_err(io::Error::other)
    }

    /// The next answer.
    pub fn answer(&self) -> io::Result<Answer> {
        const PATIENCE: Duration = Duration::from_secs(20);
        self.answers.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the function does not answer"))
    }

    /// From the start to the first request for an event; after the first answer.
    pub fn ready_after(&self) -> io::Result<Duration> {
        Ok(self.ready.try_recv().map_err(io::Error::other)? - self.spawned)
    }

    /// From the start to a moment.
    pub fn since_start(&self, moment: Instant) -> Duration {
        moment - self.spawned
    }

    /// The most memory that was ever resident, in bytes.
    pub fn peak_memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse().ok());
        kilobytes.map(|number: u64| number * 1024).ok_or_else(|| io::Error::other("no VmHWM in /proc"))
    }

    /// The processor time that it has used, user and system.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(Path::new("/proc").join(self.child.id().to_string()).join("task"))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += stat.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Process {
    /// Asks the process to end, and waits until it has: a profiler then writes what it saw.
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

fn serve(connection: &TcpStream, queue: &Queue) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let (line, body) = read_request(&mut reader)?;
        let at = Instant::now();
        let path = line.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/next") {
            let _ = queue.ready.send(at);
            let event = queue.events.lock().map_err(|_| io::Error::other("poisoned"))?.recv();
            let event = event.map_err(io::Error::other)?;
            let id = queue.next.fetch_add(1, Ordering::Relaxed);
            let response = format!(
                "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
                event.len()
            );
            queue.sent.lock().map_err(|_| io::Error::other("poisoned"))?.insert(id, Instant::now());
            writer.write_all(response.as_bytes())?;
        } else {
            let id = path.rsplit('/').nth(1).and_then(|id| id.parse().ok());
            let id = id.ok_or_else(|| io::Error::other(format!("an unknown request: {line}")))?;
            let sent = queue.sent.lock().map_err(|_| io::Error::other("poisoned"))?.remove(&id);
            let sent = sent.ok_or_else(|| io::Error::other("an answer to no event"))?;
            let _ = queue.answers.send(Answer { body, took: at - sent, at });
            writer.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
}

/// A request's first line and its body, however it is framed (RFC 9112, section 6).
fn read_request(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let (mut first, mut length, mut is_chunked) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "transfer-encoding" => is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while is_chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        reader.by_ref().take(size).read_to_end(&mut body)?;
        reader.read_line(&mut String::new())?;
        is_chunked = size > 0;
    }
    Ok((first, body))
}
