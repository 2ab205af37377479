//! Requests over a real loopback socket, against a journal whose answers the test holds.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod access;
mod answers;
mod bodies;
mod config;
mod journal;
mod signed;

use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use highwater_dataflow::{Clock, EventTime};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::intake::Delivery;

/// 2026-05-15T14:32:00Z.
const NOW: EventTime = 1_778_855_520_000;

/// What the fake journal does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Durable at once.
    Durable,
    /// Kept waiting until the test answers.
    Held,
    /// Turned away at the queue.
    Refused(NotDurable),
    /// Taken, then refused.
    Lost(NotDurable),
    /// Durable, but every item is set aside by the journal.
    SetAside,
}

type Held = (Delivery, oneshot::Sender<Result<Appended, NotDurable>>);

struct FakeJournal {
    mode: Mutex<Mode>,
    taken: Mutex<Vec<Delivery>>,
    held: mpsc::UnboundedSender<Held>,
}

impl FakeJournal {
    fn raws(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .flat_map(|delivery| &delivery.items)
            .map(|item| String::from_utf8_lossy(&item.raw).into_owned())
            .collect()
    }
}

/// What the journal answers; set aside: all of it is from the future.
fn appended(delivery: &Delivery, set_aside: bool) -> Appended {
    let place = |seq| Placed { seq, refused: set_aside.then(|| "too far ahead".to_owned()) };
    Appended { items: (1..=delivery.items.len() as u64).map(place).collect() }
}

impl Journal for FakeJournal {
    fn submit(&self, delivery: Delivery) -> Result<Receipt, NotDurable> {
        let mode = *self.mode.lock().unwrap();
        let reply = match mode {
            Mode::Refused(why) => return Err(why),
            Mode::Lost(why) => Err(why),
            Mode::Held => {
                let (answer, receipt) = oneshot::channel();
                self.held.send((delivery, answer)).unwrap();
                return Ok(Box::pin(async { receipt.await.unwrap_or(Err(NotDurable::Failing)) }));
            }
            Mode::Durable | Mode::SetAside => {
                let appended = appended(&delivery, mode == Mode::SetAside);
                self.taken.lock().unwrap().push(delivery);
                Ok(appended)
            }
        };
        Ok(Box::pin(async { reply }))
    }
}

struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now_ms(&self) -> EventTime {
        self.0.load(Ordering::Relaxed)
    }

    #[allow(clippy::disallowed_methods, reason = "this is a clock: nothing else makes an Instant")]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The routes on a port of their own.
struct Server {
    port: u16,
    journal: Arc<FakeJournal>,
    held: mpsc::UnboundedReceiver<Held>,
    clock: Arc<FakeClock>,
    counters: Arc<HttpCounters>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// The secrets of all tests.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "INGEST_TOKEN" => "ingest-canary-0123456789abcdef",
        "READ_TOKEN" => "read-canary-0123456789abcdef\n",
        "BOTH_TOKEN" => "both-canary-0123456789abcdef",
        "SHORT" => "short-canary",
        "SPACED" => "a canary with spaces 0123456789",
        "STANDARD" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "STANDARD_NEW" => "bmV3LWNhbmFyeS0wMTIzNDU2Nzg5YWJjZGVm",
        "TEXT" => "text-canary-0123456789abcdef",
        _ => return None,
    };
    Some(value.to_owned())
}

impl Server {
    async fn start(configure: impl FnOnce(&mut HttpConfig)) -> Server {
        let mut config = HttpConfig::default();
        configure(&mut config);
        let plan = config.resolve(&env).unwrap();
        let (held_sender, held) = mpsc::unbounded_channel();
        let journal = Arc::new(FakeJournal {
            mode: Mutex::new(Mode::Durable),
            taken: Mutex::default(),
            held: held_sender,
        });
        let clock = Arc::new(FakeClock(AtomicI64::new(NOW)));
        let counters = Arc::new(HttpCounters::default());
        let mut partitions = 0;
        let config = plan.config.clone();
        let router = router(plan, journal.clone(), clock.clone(), counters.clone(), |_| {
            partitions += 1;
            partitions
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            serve(listener, router, &config, async { drop(stopped.await) }).await;
        });
        Server { port, journal, held, clock, counters, stop, running }
    }

    fn set(&self, mode: Mode) {
        *self.journal.mode.lock().unwrap() = mode;
    }

    /// A journaled request to `/v1/events`.
    async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        Call::events(body).send(self).await
    }

    fn count(&self, name: &str) -> u64 {
        self.counters.snapshot().iter().find(|(n, _)| *n == name).unwrap().1
    }
}

/// One request.
#[derive(Clone)]
struct Call {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    fn to(target: &str, body: impl AsRef<[u8]>) -> Call {
        Call { target: target.to_owned(), headers: Vec::new(), body: body.as_ref().to_vec() }
            .with("Host", "localhost:8080")
            .with("Content-Type", "application/json")
    }

    fn events(body: impl AsRef<[u8]>) -> Call {
        Call::to("/v1/events", body)
    }

    /// Sets a header; an empty value takes it away.
    fn with(mut self, name: &str, value: &str) -> Call {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Adds a header though there may be one of that name.
    fn and(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn lines(self) -> Call {
        self.with("Content-Type", "application/x-ndjson")
    }

    fn gzip(mut self) -> Call {
        self.body = gzip(&self.body);
        self.with("Content-Encoding", "gzip")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write!(bytes, "POST {} HTTP/1.1\r\nConnection: close\r\n", self.target).unwrap();
        let declared =
            |(name, _): &(String, String)| name == "Content-Length" || name == "Transfer-Encoding";
        if !self.headers.iter().any(declared) {
            write!(bytes, "Content-Length: {}\r\n", self.body.len()).unwrap();
        }
        for (name, value) in &self.headers {
            write!(bytes, "{name}: {value}\r\n").unwrap();
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and leaves the answer to be read.
    async fn begin(&self, server: &Server) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        stream
    }

    async fn send(&self, server: &Server) -> Answer {
        Answer::read(self.begin(server).await).await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    async fn read(mut stream: TcpStream) -> Answer {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer with a head");
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or("")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// `accepted/rejected` of a 202.
    fn counts(&self) -> (u64, u64) {
        assert_eq!(self.status, 202, "{self:?}");
        (self.body["accepted"].as_u64().unwrap(), self.body["rejected"].as_u64().unwrap())
    }
}

fn arrival(id: &str) -> String {
    format!(
        r#"{{"event_type": "ContactArrival", "event_id": "{id}", "timestamp": "2026-05-15T14:31:59.000Z",  "contact_id": "c-{id}", "queue_id": "q1", "channel": "voice"}}"#
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
