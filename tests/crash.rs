//! Killed while senders deliver: what was answered 202 counts exactly once, whatever moment it was.
//!
//! ```text
//! HIGHWATER_CRASHES=200 cargo test --test highwater crash
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use highwater_model::{Channel, ContactArrival, Envelope, Event, EventKey, encode};
use rusqlite::{Connection, OpenFlags};

use crate::sim::random::Random;

const SENDERS: i64 = 4;
const PATIENCE: Duration = Duration::from_mins(1);

/// The running service, and where it serves.
pub(crate) struct Service {
    process: Child,
    pub(crate) address: SocketAddr,
    /// What it logged before it served.
    pub(crate) said: String,
}

impl Service {
    pub(crate) fn start(config: &Path) -> Self {
        Service::start_with(config, &[])
    }

    /// With more in its environment.
    pub(crate) fn start_with(config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(["run", "--config"]).arg(config).envs(environment.iter().copied());
        Service::of(command)
    }

    /// Starts it by a command of one's own.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut process = command
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended and said:\n{said}");
            if let Some((_, address)) = line.split_once("serving on http://") {
                break address.trim().parse().unwrap();
            }
            said.push_str(&line);
        };
        // Nobody reads on, yet it must be able to write.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Service { process, address, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// `kill -TERM`; it finishes what it accepted, and succeeds.
    pub(crate) fn stop(&mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.process.wait().unwrap();
        assert_eq!(status.code(), Some(0), "SIGTERM: {status}");
    }
}

impl Drop for Service {
    /// A failing test leaves nothing running.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the service is at present; counts its lives, so that senders wait for the next one.
#[derive(Default)]
struct Whereabouts {
    now: Mutex<(u32, Option<SocketAddr>)>,
    moved: Condvar,
}

impl Whereabouts {
    fn is(&self, address: SocketAddr) {
        let mut now = self.now.lock().unwrap();
        *now = (now.0 + 1, Some(address));
        self.moved.notify_all();
    }

    /// The first life after `life`.
    fn after(&self, life: u32) -> (u32, SocketAddr) {
        let now = self.now.lock().unwrap();
        let waited = self.moved.wait_timeout_while(now, PATIENCE, |now| now.0 <= life).unwrap();
        let (life, address) = *waited.0;
        (life, address.expect("it lives again before patience ends"))
    }
}

/// What senders share.
struct Shared {
    whereabouts: Whereabouts,
    enough: AtomicBool,
    answered: Sender<()>,
    /// Events answered 202 more than once on purpose.
    repeated: AtomicI64,
    /// Events of requests that got no answer, and were sent again.
    unanswered: AtomicI64,
}

#[test]
fn what_was_answered_202_counts_exactly_once_after_kills() {
    let kills: u64 = std::env::var("HIGHWATER_CRASHES").map_or(5, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("run.toml");
    fs::write(&config, "[service]\ndata_dir = \"data\"\n[journal]\ncheckpoint_s = 1\n[http]\nlisten = \"127.0.0.1:0\"\n")
        .unwrap();

    let mut random = Random::new(1);
    let (answered, answers) = channel();
    let shared = Arc::new(Shared {
        whereabouts: Whereabouts::default(),
        enough: AtomicBool::new(false),
        answered,
        repeated: AtomicI64::new(0),
        unanswered: AtomicI64::new(0),
    });
    let mut service = Service::start(&config);
    shared.whereabouts.is(service.address);
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(n, &shared))
        })
        .collect();
    for _ in 0..kills {
        for _ in 0..random.within(1, 60) {
            answers.recv_timeout(PATIENCE).expect("the service answers");
        }
        service.kill();
        service = Service::start(&config);
        shared.whereabouts.is(service.address);
    }
    shared.enough.store(true, Ordering::SeqCst);
    let sent: Vec<i64> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    service.stop();
    count(&dir.path().join("data/views.sqlite"), &sent, &shared);
}

/// Delivers batches of arrivals, each until it is answered 202; says how many events that were.
fn send(sender: i64, shared: &Shared) -> i64 {
    let mut random = Random::new(1_000 + sender as u64);
    let (mut life, mut address) = shared.whereabouts.after(0);
    let mut sent = 0;
    while !shared.enough.load(Ordering::SeqCst) {
        let size = random.within(1, 6);
        let batch: Vec<String> = (sent..sent + size).map(|n| arrival(sender, n)).collect();
        let batch = batch.join("\n");
        let mut answers = 0;
        // Some senders do not trust their answer, and deliver again what was accepted.
        let wanted = if random.chance(10) { 2 } else { 1 };
        while answers < wanted {
            match post(address, &batch) {
                Ok(202) => answers += 1,
                Ok(429 | 503) => thread::yield_now(),
                Ok(status) => panic!("answered {status}"),
                Err(_) => {
                    shared.unanswered.fetch_add(size, Ordering::SeqCst);
                    (life, address) = shared.whereabouts.after(life);
                }
            }
        }
        shared.repeated.fetch_add(size * (wanted - 1), Ordering::SeqCst);
        sent += size;
        let _ = shared.answered.send(());
    }
    sent
}

#[expect(clippy::disallowed_methods, reason = "the service has the real clock, so its senders do")]
pub(crate) fn arrival(sender: i64, n: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let id = format!("{sender}-{n}");
    let event = Event::ContactArrival(ContactArrival {
        contact: id.as_str().into(),
        queue: format!("queue-{sender}").as_str().into(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    });
    encode(&Envelope { seq: 0, key: EventKey::default(), at: now, event }, &id)
}

/// One request on a connection of its own; its status.
pub(crate) fn post(address: SocketAddr, ndjson: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /v1/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{ndjson}",
        ndjson.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// Every event exactly once, in two views that count differently; every further copy a duplicate.
fn count(views: &Path, sent: &[i64], shared: &Shared) {
    let views = Connection::open_with_flags(views, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let number = |sql: &str| -> i64 { views.query_row(sql, [], |row| row.get(0)).unwrap() };
    for (sender, sent) in sent.iter().enumerate() {
        let arrivals = number(&format!(
            "SELECT coalesce(sum(arrivals), 0) FROM queue_interval WHERE queue_id = 'queue-{sender}'"
        ));
        let waiting = number(&format!(
            "SELECT coalesce(sum(waiting_by_events), 0) FROM queue_now WHERE queue_id = 'queue-{sender}'"
        ));
        assert_eq!((arrivals, waiting), (*sent, *sent), "events of sender {sender}");
    }
    let duplicates = number("SELECT coalesce(sum(duplicates), 0) FROM duplicate_counts");
    let repeated = shared.repeated.load(Ordering::SeqCst);
    let unanswered = shared.unanswered.load(Ordering::SeqCst);
    assert!(
        (repeated..=repeated + unanswered).contains(&duplicates),
        "{duplicates} duplicates of {repeated} repeated and {unanswered} unanswered events"
    );
    assert_eq!(number("SELECT count(*) FROM late_events"), 0);
    assert_eq!(number("SELECT count(*) FROM dead_letters"), 0);
}
