//! A fake Lambda Runtime API for one function, which records the time of every step.
//!
//! Each connection has a blocking thread. The thread that reads a response's last byte also reads the clock: a benchmark
//! measures only the function, loopback and two system calls.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc as async_mpsc, watch};

/// An invocation's id and event.
type Invocation = (String, String);

/// Sends events to a function from any thread.
#[derive(Clone)]
pub struct EventSender(Sender<Invocation>);

impl EventSender {
    /// Sends an event to the next worker that asks for one.
    ///
    /// # Errors
    /// The API has stopped.
    pub fn send(&self, id: &str, event: &str) -> io::Result<()> {
        self.0.send((id.to_owned(), event.to_owned())).map_err(io::Error::other)
    }
}

pub struct Outcome {
    pub id: String,
    /// The response, or the runtime error that the function reported.
    pub body: Result<Vec<u8>, Vec<u8>>,
    /// The time from the event's first byte to the response's last byte.
    pub took: Duration,
    /// The time at which the response's last byte arrived.
    pub at: Instant,
}

/// A running API. Dropping it stops it.
pub struct RuntimeApi {
    address: SocketAddr,
    events: EventSender,
    outcomes: async_mpsc::UnboundedReceiver<Outcome>,
    ready: watch::Receiver<Option<Instant>>,
    is_stopped: Arc<AtomicBool>,
}

struct Queue {
    invocations: Mutex<Receiver<Invocation>>,
    outcomes: async_mpsc::UnboundedSender<Outcome>,
    ready: watch::Sender<Option<Instant>>,
    sent: Mutex<HashMap<String, Instant>>,
}

impl RuntimeApi {
    /// Starts the API on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (invocations, invocations_received) = mpsc::channel();
        let (outcomes_sent, outcomes) = async_mpsc::unbounded_channel();
        let (ready_sent, ready) = watch::channel(None);
        let queue = Arc::new(Queue {
            invocations: Mutex::new(invocations_received),
            outcomes: outcomes_sent,
            ready: ready_sent,
            sent: Mutex::default(),
        });
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (Ok(connection), false) = (connection, stopped.load(Relaxed)) else { return };
                let queue = Arc::clone(&queue);
                // Reading fails when the function ends.
                thread::spawn(move || serve(&connection, &queue).ok());
            }
        });
        Ok(Self { address, events: EventSender(invocations), outcomes, ready, is_stopped })
    }

    /// Returns the variables that Lambda sets for a function.
    #[must_use]
    pub fn environment(&self, function: &str) -> [(&'static str, String); 4] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ]
    }

    /// Sends an event to the next worker that asks for one.
    ///
    /// # Errors
    /// The API has stopped.
    pub fn send(&self, id: &str, event: &str) -> io::Result<()> {
        self.events.send(id, event)
    }

    /// Returns a sender for another thread.
    #[must_use]
    pub fn event_sender(&self) -> EventSender {
        self.events.clone()
    }

    /// Waits for the next outcome. Returns `None` if the API has stopped.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        self.outcomes.recv().await
    }

    /// Waits for the first request for an event.
    pub async fn ready(&mut self) {
        let _ = self.ready.wait_for(Option::is_some).await;
    }

    /// Returns the time of the first request for an event.
    #[must_use]
    pub fn ready_at(&self) -> Option<Instant> {
        *self.ready.borrow()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.is_stopped.store(true, Relaxed);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
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
            queue.ready.send_if_modified(|ready| {
                let is_first = ready.is_none();
                ready.get_or_insert(at);
                is_first
            });
            let (id, event) = queue.invocations.lock().unwrap().recv().map_err(io::Error::other)?;
            let response = format!(
                "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:test\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
                event.len()
            );
            queue.sent.lock().unwrap().insert(id, Instant::now());
            writer.write_all(response.as_bytes())?;
        } else {
            let mut parts = path.rsplit('/');
            let (outcome, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let sent = queue.sent.lock().unwrap().remove(id);
            let sent = sent.ok_or_else(|| io::Error::other(format!("no invocation of that id: {line}")))?;
            let body = if outcome == "response" { Ok(body) } else { Err(body) };
            // Fails if the test does not wait for the response.
            let _ = queue.outcomes.send(Outcome { id: id.to_owned(), body, took: at - sent, at });
            writer.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
}

/// Reads a request's first line, and its body in either framing (RFC 9112, section 6).
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
