//! The wallboard's side of the flow: takes committed changes in, hands shared frames out.
//!
//! The writer's thread only ever updates the board under a lock that is held for moments; it never waits for a
//! client. Clients that have seen the same share one encoding.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use highwater_dataflow::latency::{Latency, Stage};
use highwater_dataflow::view::{Commit, Row, Stamps, View};
use highwater_dataflow::{Clock, EventTime};
use tokio::sync::watch;

use super::Config;
use super::board::{Board, Table};
use super::shown::Shown;
use super::status::StatusFn;
use super::wire;

/// Encoded deltas kept for clients that have seen the same.
const DELTAS_KEPT: usize = 8;
/// A delta older than this is made anew, so that a client that catches up skips what is between.
const DELTA_FRESH: Duration = Duration::from_millis(50);
/// Updates whose time to the page is still to be measured.
const UNPUSHED_MAX: usize = 4096;
/// A snapshot is encoded at most this often; a delta brings its reader up to date.
const SNAPSHOT_FRESH: Duration = Duration::from_secs(1);
/// The status is asked for at most this often for all clients together.
const STATUS_FRESH: Duration = Duration::from_millis(500);

/// The rows that the page shows, and the clients that see them. Cheap to clone.
#[derive(Clone)]
pub struct Wallboard {
    inner: Arc<Inner>,
}

struct Inner {
    board: Mutex<Board>,
    signal: watch::Sender<Signal>,
    /// Newest last.
    deltas: Mutex<VecDeque<(Instant, Update)>>,
    /// Held while encoding, so that clients that arrive together wait for one snapshot.
    snapshot: tokio::sync::Mutex<Option<(Instant, Update)>>,
    status: Mutex<Option<(Instant, Arc<str>)>>,
    unpushed: Mutex<VecDeque<(u64, Arc<Stamps>)>>,
    latency: Arc<Latency>,
    clock: Arc<dyn Clock>,
    counts: Counts,
}

/// What the clients' tasks wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signal {
    pub(super) seq: u64,
    pub(super) closing: bool,
}

/// Frames that bring a client from `from` (0: from nothing) to `seq`.
#[derive(Clone)]
pub(super) struct Update {
    pub(super) from: u64,
    pub(super) seq: u64,
    pub(super) frames: Arc<[Utf8Bytes]>,
}

/// What happened to clients, for `/metrics`.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) clients: AtomicUsize,
    pub(super) refused: AtomicU64,
    pub(super) stalled: AtomicU64,
    pub(super) resyncs: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) unmeasured: AtomicU64,
}

impl Wallboard {
    /// An empty board for those of `views` that `shown` names; the others are read through the API only.
    pub fn new(
        views: &[&'static View],
        shown: Vec<Shown>,
        latency: Arc<Latency>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let table = |shown: Shown| {
            let view = views.iter().find(|view| view.name == shown.view)?;
            Some(Table::new(view, shown))
        };
        let board = Board::new(shown.into_iter().filter_map(table).collect());
        let inner = Inner {
            board: Mutex::new(board),
            signal: watch::Sender::new(Signal::default()),
            deltas: Mutex::default(),
            snapshot: tokio::sync::Mutex::default(),
            status: Mutex::default(),
            unpushed: Mutex::default(),
            latency,
            clock,
            counts: Counts::default(),
        };
        Wallboard { inner: Arc::new(inner) }
    }

    /// Takes committed epochs, in order, as one update of the page. Never waits for a client.
    pub fn apply<'a>(&self, commits: impl IntoIterator<Item = &'a Commit, IntoIter: Clone>) {
        let commits = commits.into_iter();
        let mut board = self.board();
        if !board.apply(commits.clone()) {
            return;
        }
        let seq = board.seq;
        if 0 < self.clients() {
            self.await_push(seq, commits);
        }
        drop(board);
        self.inner.signal.send_modify(|signal| signal.seq = seq);
    }

    /// Whether rows of this view are on the page.
    pub fn shows(&self, view: &View) -> bool {
        self.board().tables.iter().any(|table| table.view == view)
    }

    /// Takes in what the views hold after a start: rows of each view, and the watermark they are at.
    pub fn load<'a, R: IntoIterator<Item = &'a Row>>(
        &self,
        views: impl IntoIterator<Item = (&'static View, R)>,
        watermark: Option<EventTime>,
    ) {
        let mut board = self.board();
        board.load(views, watermark);
        let seq = board.seq;
        drop(board);
        self.inner.signal.send_modify(|signal| signal.seq = seq);
    }

    /// Sends every client away ("going away", 1001): the process stops. Clients that come later are refused.
    pub fn close(&self) {
        self.inner.signal.send_modify(|signal| signal.closing = true);
    }

    /// The number of the last update: clients that were told it have seen all that was applied.
    pub fn seq(&self) -> u64 {
        self.board().seq
    }

    /// Clients connected now.
    pub fn clients(&self) -> usize {
        self.counts().clients.load(Relaxed)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Signal> {
        self.inner.signal.subscribe()
    }

    /// A place among at most `max` clients.
    pub(super) fn seat(&self, max: usize) -> Option<Seat> {
        let more = |clients| (clients < max).then_some(clients + 1);
        self.counts().clients.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Seat { wallboard: self.clone() })
    }

    /// What brings a client that has seen `from` up to date; `None` when only a snapshot can.
    pub(super) fn delta(&self, from: u64) -> Option<Update> {
        let mut deltas = self.inner.deltas.lock().expect("encoding does not panic");
        let now = self.inner.clock.instant();
        let fresh = |at| now.saturating_duration_since(at) < DELTA_FRESH;
        let shared = deltas.iter().rev().find(|(at, delta)| delta.from == from && fresh(*at));
        if let Some((_, delta)) = shared {
            return Some(delta.clone());
        }
        let extract = self.board().since(from)?;
        let frames = wire::delta(from, &extract).into();
        let delta = Update { from, seq: extract.seq, frames };
        if deltas.len() == DELTAS_KEPT {
            deltas.pop_front();
        }
        deltas.push_back((now, delta.clone()));
        Some(delta)
    }

    /// All rows, at most a second old.
    pub(super) async fn snapshot(&self, config: &Config, status: &StatusFn) -> Update {
        let mut cached = self.inner.snapshot.lock().await;
        let now = self.inner.clock.instant();
        if let Some((at, snapshot)) = &*cached
            && now.saturating_duration_since(*at) < SNAPSHOT_FRESH
            && self.board().since(snapshot.seq).is_some()
        {
            return snapshot.clone();
        }
        let status = self.status(status);
        let extract = self.board().snapshot();
        let site = wire::Site {
            name: &config.site_name,
            time_zone: &config.time_zone,
            stale_after_ms: config.stale_after_s.saturating_mul(1000),
        };
        let frames = wire::snapshot(&extract, &site, &status).into();
        let snapshot = Update { from: 0, seq: extract.seq, frames };
        *cached = Some((now, snapshot.clone()));
        snapshot
    }

    /// The status as a JSON object, at most half a second old.
    pub(super) fn status(&self, status: &StatusFn) -> Arc<str> {
        let now = self.inner.clock.instant();
        let mut cached = self.inner.status.lock().expect("a status is plain data");
        if let Some((at, json)) = &*cached
            && now.saturating_duration_since(*at) < STATUS_FRESH
        {
            return json.clone();
        }
        let json: Arc<str> =
            serde_json::to_string(&status()).expect("a status is plain data").into();
        *cached = Some((now, json.clone()));
        json
    }

    /// Some client was handed everything up to `seq`; the first one stops the clock of those events.
    pub(super) fn pushed(&self, seq: u64) {
        let mut unpushed = self.unpushed();
        while let Some((_, stamps)) = unpushed.pop_front_if(|(waiting, _)| *waiting <= seq) {
            self.inner.latency.record_all(&stamps, Stage::Pushed, self.inner.clock.instant());
        }
    }

    fn await_push<'a>(&self, seq: u64, commits: impl Iterator<Item = &'a Commit>) {
        let mut unpushed = self.unpushed();
        for commit in commits {
            let seen = !commit.changes.is_empty() || !commit.notifications.is_empty();
            if !seen || commit.stamps.replay || commit.stamps.received.is_empty() {
                continue;
            }
            if unpushed.len() == UNPUSHED_MAX {
                unpushed.pop_front();
                self.counts().unmeasured.fetch_add(1, Relaxed);
            }
            unpushed.push_back((seq, commit.stamps.clone()));
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.inner.board.lock().expect("the board does not panic")
    }

    fn unpushed(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<Stamps>)>> {
        self.inner.unpushed.lock().expect("recording does not panic")
    }
}

/// A connected client, counted while it lasts.
pub(super) struct Seat {
    wallboard: Wallboard,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.wallboard.counts().clients.fetch_sub(1, Relaxed) == 1 {
            // Nobody is left to be pushed to; the next client gets a snapshot, whose age says nothing.
            self.wallboard.unpushed().clear();
        }
    }
}
