//! A wallboard behind its router, over loopback or over in-memory pipes with paused time, and a bare client.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use highwater_dataflow::latency::{Latency, Path};
use highwater_dataflow::view::{Changes, Column, Commit, Row, Stamps, Value, View};
use highwater_dataflow::{Clock, EventTime};
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::wallboard::{
    Access, Authorize, Config, Limits, Metric, Parts, ReadError, ReadViews, Role, Shown,
    SourceStatus, Status, Wallboard, Why, router,
};

pub(super) const MINUTE: EventTime = 60_000;

pub(super) static INTERVALS: View = View {
    name: "queue_interval",
    doc: "Counts per queue and interval.",
    key: 2,
    columns: &[
        Column::text("queue_id", "Queue."),
        Column::int("interval_start_ms", "Start."),
        Column::int("arrivals", "Arrivals."),
        Column::int("offered", "Offered."),
        Column::int("answered", "Answered."),
        Column::int("abandoned", "Abandoned."),
        Column::int("in_progress", "Neither yet."),
        Column::real("sl_offered_pct", "Service level."),
        Column::text("status", "open, closing or final."),
    ],
};

pub(super) static AGENTS: View = View {
    name: "adherence_now",
    doc: "One row per agent.",
    key: 1,
    columns: &[Column::text("agent_id", "Agent."), Column::text("status", "in or out.")],
};

pub(super) fn interval(queue: &str, start: EventTime, answered: i64, status: &str) -> Row {
    let arrivals = Value::from(answered + 1);
    let level = Value::from((answered != 0).then_some(80.5));
    let answered = Value::from(answered);
    let (queue, start, none, status) =
        (Value::from(queue), Value::from(start), Value::from(0), Value::from(status));
    vec![queue, start, arrivals.clone(), arrivals, answered, none, Value::from(1), level, status]
}

pub(super) fn agent(id: &str, status: &str) -> Row {
    vec![id.into(), status.into()]
}

pub(super) fn commit(changes: Vec<Changes>) -> Commit {
    let stamps = Arc::new(Stamps::default());
    Commit { epoch: 1, changes, notifications: Vec::new(), watermark: 100 * MINUTE, stamps }
}

pub(super) fn changes(view: &'static View, rows: impl IntoIterator<Item = (Row, i8)>) -> Changes {
    Changes { view, rows: rows.into_iter().collect() }
}

/// A clock that stands still until it is moved.
pub(super) struct Still(pub(super) Mutex<Instant>);

impl Clock for Still {
    fn now_ms(&self) -> EventTime {
        0
    }
    fn instant(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

/// Rows in memory instead of a database.
#[derive(Default)]
pub(super) struct Rows(pub(super) Vec<Row>);

impl ReadViews for Rows {
    fn read(
        &self,
        view: &'static View,
        prefix: &[Value],
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        if view == &AGENTS {
            return Err(ReadError::Interrupted);
        }
        Ok(self.0.iter().filter(|row| row.starts_with(prefix)).take(limit).cloned().collect())
    }
}

/// `read`, `ingest` and `revoked` are tokens; which are good may change while a test runs.
#[derive(Clone)]
pub(super) struct Tokens(pub(super) Arc<Mutex<BTreeMap<&'static str, Role>>>);

impl Tokens {
    pub(super) fn new() -> Self {
        let tokens = [("r", Role::Read), ("i", Role::Ingest)];
        Tokens(Arc::new(Mutex::new(tokens.into())))
    }

    pub(super) fn authorize(&self) -> Authorize {
        let tokens = self.0.clone();
        Arc::new(move |role, token| {
            match token.and_then(|token| tokens.lock().unwrap().get(token).copied()) {
                None => Access::Unknown,
                Some(of) if of == role => Access::Granted,
                Some(_) => Access::Forbidden,
            }
        })
    }
}

pub(super) fn open() -> Authorize {
    Arc::new(|_, _| Access::Open)
}

pub(super) struct Rig {
    pub(super) wallboard: Wallboard,
    pub(super) latency: Arc<Latency>,
    pub(super) clock: Arc<Still>,
    pub(super) parts: Option<Parts>,
}

impl Rig {
    pub(super) fn new(authorize: Authorize) -> Self {
        Rig::with(authorize, Shown::page(20_000))
    }

    pub(super) fn with(authorize: Authorize, shown: Vec<Shown>) -> Self {
        let views: Vec<&'static View> = vec![&INTERVALS, &AGENTS];
        let latency = Arc::new(Latency::default());
        let clock = Arc::new(Still(Mutex::new(Instant::now())));
        let wallboard = Wallboard::new(&views, shown, latency.clone(), clock.clone());
        let source = SourceStatus { name: "acd".into(), ..SourceStatus::default() };
        let status = Status { now_ms: 5, epoch: 9, sources: vec![source], ..Status::default() };
        let parts = Parts {
            config: Config::default(),
            limits: Limits::default(),
            wallboard: wallboard.clone(),
            views,
            reader: Arc::new(Rows::default()),
            status: Arc::new(move || status.clone()),
            why: Arc::new(|view, key| {
                let next = format!("{} {key:?}", view.name);
                Ok(Why { next, waits_for: None })
            }),
            metrics: Arc::new(|| vec![Metric::counter("highwater_events_total", "Events.", 3)]),
            latency: latency.clone(),
            authorize,
        };
        Rig { wallboard, latency, clock, parts: Some(parts) }
    }

    /// Serves on a real loopback port.
    pub(super) async fn loopback(&mut self) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(self.parts.take().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Serves on pipes that hold little, so that a client that does not read is felt at once.
    pub(super) fn pipes(&mut self) -> Pipes {
        let (sender, receiver) = mpsc::unbounded_channel();
        let router = router(self.parts.take().unwrap());
        tokio::spawn(async move { axum::serve(Ends(receiver), router).await });
        Pipes(sender)
    }

    pub(super) fn apply(&self, changes: Vec<Changes>) {
        self.wallboard.apply([&commit(changes)]);
    }

    /// Applies a change whose events were received `ago` before now.
    pub(super) fn apply_received(&self, changes: Vec<Changes>, ago: Duration) {
        let received = self.clock.instant().checked_sub(ago).unwrap();
        let stamps = Stamps { received: vec![(Path::Queue, received, 1)], ..Stamps::default() };
        let commit = Commit { stamps: Arc::new(stamps), ..commit(changes) };
        self.wallboard.apply([&commit]);
    }
}

pub(super) struct Pipes(mpsc::UnboundedSender<DuplexStream>);

impl Pipes {
    pub(super) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(8 * 1024);
        self.0.send(theirs).unwrap();
        ours
    }
}

struct Ends(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Ends {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A WebSocket client that does no more than the protocol needs, and reads only when told to.
pub(super) struct Page<S> {
    stream: S,
    pub(super) head: String,
}

#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Text(String),
    Ping,
    Close(u16, String),
    /// The connection is gone.
    End,
}

impl Heard {
    pub(super) fn json(&self) -> Json {
        match self {
            Heard::Text(text) => serde_json::from_str(text).unwrap(),
            other => panic!("expected a message, heard {other:?}"),
        }
    }
    pub(super) fn code(&self) -> u16 {
        match self {
            Heard::Close(code, _) => *code,
            other => panic!("expected to be closed, heard {other:?}"),
        }
    }
}

pub(super) async fn page(
    address: std::net::SocketAddr,
    headers: &[(&str, &str)],
) -> Page<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    Page::open(stream, "/ws", &address.to_string(), headers).await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Page<S> {
    pub(super) async fn open(stream: S, path: &str, host: &str, headers: &[(&str, &str)]) -> Self {
        let mut page = Page { stream, head: String::new() };
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        page.stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        while !page.head.ends_with("\r\n\r\n") {
            page.head.push(page.stream.read_u8().await.unwrap().into());
        }
        page
    }

    pub(super) async fn hear(&mut self) -> Heard {
        self.frame().await.unwrap_or(Heard::End)
    }

    /// The next message that is neither status nor ping.
    pub(super) async fn next(&mut self) -> Json {
        loop {
            match self.hear().await {
                Heard::Ping => {}
                heard => {
                    let json = heard.json();
                    if json["type"] != "status" {
                        return json;
                    }
                }
            }
        }
    }

    /// Reads until the connection is closed.
    pub(super) async fn closed(&mut self) -> Heard {
        loop {
            match self.hear().await {
                Heard::Text(_) | Heard::Ping => {}
                end => return end,
            }
        }
    }

    async fn frame(&mut self) -> io::Result<Heard> {
        let kind = self.stream.read_u8().await? & 0x0f;
        let size = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            size => u64::from(size),
        };
        let mut payload = vec![0; size as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(match kind {
            1 => Heard::Text(String::from_utf8(payload).unwrap()),
            8 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                Heard::Close(code, String::from_utf8_lossy(&payload[2..]).into_owned())
            }
            9 => Heard::Ping,
            other => panic!("frame kind {other}"),
        })
    }

    pub(super) async fn say(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            size @ 0..=125 => frame.push(0x80 | size as u8),
            size @ 126..=65_535 => {
                frame.push(0x80 | 0x7e);
                frame.extend((size as u16).to_be_bytes());
            }
            size => {
                frame.push(0x80 | 0x7f);
                frame.extend((size as u64).to_be_bytes());
            }
        }
        // Masked with zeros, which leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        let _ = self.stream.write_all(&frame).await;
    }
}

/// A page's copy of the rows, built from messages as the page builds it.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) seq: u64,
    pub(super) views: BTreeMap<String, BTreeMap<String, Json>>,
    keys: BTreeMap<String, usize>,
    pub(super) frames: VecDeque<&'static str>,
}

impl Copy {
    /// Takes a message in and says whether it was applied: false asks for a resync.
    pub(super) fn take(&mut self, message: &Json) -> bool {
        if message["type"] == "snapshot" {
            self.frames.push_back("snapshot");
            if message["part"] == 0 {
                self.views.clear();
            }
            for (name, view) in message["views"].as_object().unwrap() {
                let key = view["key"].as_u64().unwrap() as usize;
                self.keys.insert(name.clone(), key);
                let rows = self.views.entry(name.clone()).or_default();
                for row in view["rows"].as_array().unwrap() {
                    rows.insert(
                        Json::from(&row.as_array().unwrap()[..key]).to_string(),
                        row.clone(),
                    );
                }
            }
        } else {
            self.frames.push_back("delta");
            if message["part"] == 0 && message["from"] != self.seq {
                return false;
            }
            for changes in message["changes"].as_array().unwrap() {
                let name = changes["view"].as_str().unwrap();
                let rows = self.views.get_mut(name).unwrap();
                for change in changes["rows"].as_array().unwrap() {
                    let cells = change[1].as_array().unwrap();
                    if change[0] == 1 {
                        let key = Json::from(&cells[..self.keys[name]]).to_string();
                        rows.insert(key, change[1].clone());
                    } else {
                        rows.remove(&change[1].to_string());
                    }
                }
            }
        }
        if message["more"] == false {
            self.seq = message["seq"].as_u64().unwrap();
        }
        true
    }
}
