//! The view writer: one thread that takes closed epochs, commits them, and tells whoever listens.
//!
//! A commit goes through as soon as it comes; what queues up meanwhile goes together, coalesced by key. After a
//! start it only remembers, until the replay is level with the journal; then it writes the difference to what is
//! stored, and the old contents stay readable until that moment.

mod turn;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use highwater_dataflow::latency::Latency;
use highwater_dataflow::view::{Changes, Commit, View};
use highwater_dataflow::{Clock, Epoch, EventTime, Step};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, Resolve};
use crate::error::SinkError;
use crate::inbox::{Inbox, Order};
use crate::moment::Reached;
use crate::outbox::Listed;
use crate::sender::{Bell, Sender};
use crate::sqlite::{Desired, Reconciled, Store};
use turn::Writer;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The view database.
    pub path: PathBuf,
    /// Row changes that go into one transaction at most.
    #[serde(default = "rows_per_commit_max")]
    pub rows_per_commit_max: usize,
    /// Row changes that wait for the writer at most; then the dataflow waits.
    #[serde(default = "queued_rows_max")]
    pub queued_rows_max: usize,
    /// Alert messages of ended alerts are forgotten after so many days.
    #[serde(default = "outbox_days")]
    pub outbox_days: u32,
    /// A database that was not closed is checked before it is used up to this size, MiB; a larger one beside its use.
    #[serde(default = "checked_first_mib")]
    pub checked_first_mib: u32,
}

fn rows_per_commit_max() -> usize {
    100_000
}
fn queued_rows_max() -> usize {
    400_000
}
fn outbox_days() -> u32 {
    30
}

/// About a second of checking.
fn checked_first_mib() -> u32 {
    64
}

impl Config {
    pub fn at(path: impl Into<PathBuf>) -> Config {
        Config {
            path: path.into(),
            rows_per_commit_max: rows_per_commit_max(),
            queued_rows_max: queued_rows_max(),
            outbox_days: outbox_days(),
            checked_first_mib: checked_first_mib(),
        }
    }
}

/// What the writer is connected to.
pub struct Wiring {
    pub clock: Arc<dyn Clock>,
    pub latency: Arc<Latency>,
    pub listeners: Vec<Box<dyn Listener>>,
    pub channels: Vec<Box<dyn Channel>>,
    /// Names the events that caused an alert.
    pub resolve: Resolve,
    pub sleeper: Arc<dyn Sleeper>,
    /// A name for the program and the settings that the views are computed with; stored beside the rows.
    pub definition: Option<String>,
    /// The commits go on from this epoch, which the views have reached: what they have is passed over. Otherwise
    /// commits begin at the beginning, and the views are made level with what they amount to.
    pub resumed: Option<Epoch>,
    /// The commits begin with a base instead of the journal's beginning: rows of before this stay as they are.
    pub vouched_from: Option<EventTime>,
    /// Told of every [`Moment`](crate::Moment): a test kills the process there.
    pub reached: Option<Reached>,
}

impl Wiring {
    /// No listeners, no channels, causes by journal position, real waits.
    pub fn new(clock: Arc<dyn Clock>, latency: Arc<Latency>) -> Wiring {
        Wiring {
            clock,
            latency,
            listeners: Vec::new(),
            channels: Vec::new(),
            resolve: Arc::new(|_| None),
            sleeper: Arc::new(RealSleeper),
            definition: None,
            resumed: None,
            vouched_from: None,
            reached: None,
        }
    }
}

/// How long a planned wait really takes: a test answers zero and moves its clock.
pub trait Sleeper: Send + Sync {
    fn plan(&self, wait: Duration) -> Duration;
}

/// Waits as long as planned.
#[derive(Clone, Copy, Debug)]
pub struct RealSleeper;

impl Sleeper for RealSleeper {
    fn plan(&self, wait: Duration) -> Duration {
        wait
    }
}

/// Hears of every commit, on the writer's thread: must be quick and must not wait for anybody.
pub trait Listener: Send {
    /// An epoch of the replay after a start, in order; the views do not show it yet.
    fn replayed(&mut self, commit: &Commit) {
        let _ = commit;
    }

    /// Whether it is told of this view when it is level after a start from a checkpoint: the views can be large, and
    /// are read for those who show them.
    fn shows(&self, view: &View) -> bool {
        let _ = view;
        true
    }

    /// The views are level with the journal: `desired` is everything in them now, or a part of it when that comes in
    /// several. `reconciled` says what that changed.
    fn caught_up(&mut self, desired: &Desired, reconciled: &[Reconciled]) {
        let _ = (desired, reconciled);
    }

    /// The batch is committed.
    fn committed(&mut self, batch: &CommittedBatch<'_>);
}

/// One transaction: one or more epochs.
#[derive(Debug)]
pub struct CommittedBatch<'a> {
    /// The last epoch of the batch, and the watermark after it.
    pub epoch: Epoch,
    pub watermark: EventTime,
    /// The net change per view, retractions before insertions.
    pub changes: &'a [Changes],
    /// The epochs one by one, with their notifications and stamps.
    pub commits: &'a [Commit],
    /// When the dataflow closed each of `commits`.
    pub closed: &'a [Instant],
    /// When the transaction was committed.
    pub at: Instant,
}

/// Where the writer stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// The journal is being replayed; the views show the state before the start.
    CatchingUp,
    Live,
    /// Commits wait because the database cannot be written; the writer tries again by itself.
    Lagging {
        reason: String,
        since_ms: EventTime,
    },
    /// The writer has ended on an error.
    Failed {
        reason: String,
    },
    /// The input has ended and everything is committed.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub health: Health,
    /// The last epoch committed.
    pub epoch: Option<Epoch>,
    pub watermark_ms: Option<EventTime>,
    /// Row changes waiting.
    pub queued_rows: usize,
    /// Not yet in the database file: grows while a reader holds it back.
    pub wal_bytes: i64,
    /// What catching up changed; empty before.
    pub reconciled: Vec<Reconciled>,
    /// Where a damaged database was set aside at this start.
    pub set_aside: Option<PathBuf>,
}

/// The running writer. Ends by itself when the dataflow drops its end of the channel.
#[derive(Debug)]
pub struct Handle {
    control: Control,
    thread: JoinHandle<Result<(), SinkError>>,
}

/// What may be asked of a running writer; cheap to clone.
#[derive(Clone)]
pub struct Control {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.status()).finish()
    }
}

impl Control {
    /// The replay ends with `through`: once that epoch is in, the views are made level. Without this, the first
    /// commit that is not a replay says so. Zero for an empty journal.
    pub fn caught_up(&self, through: Epoch) {
        self.inbox.order(Order::CaughtUp(through));
    }

    pub fn status(&self) -> Status {
        let status = self.status.lock().expect("nobody panics with the lock").clone();
        Status { queued_rows: self.inbox.rows(), ..status }
    }

    /// Copies the database to `to` while it is written; returns when the copy is checked and synced.
    pub fn backup(&self, to: impl Into<PathBuf>) -> Result<(), SinkError> {
        let (done, answer) = sync_channel(1);
        self.inbox.order(Order::Backup(to.into(), done));
        answer.recv().unwrap_or(Err(SinkError::Stopped))
    }
}

impl Handle {
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    pub fn status(&self) -> Status {
        self.control.status()
    }

    /// Waits for the end of the input, the last commit, and the deliveries that are due (at most ten seconds).
    pub fn join(self) -> Result<(), SinkError> {
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The view database, opened for writing and not yet written.
pub struct OpenViews {
    config: Config,
    views: Vec<&'static View>,
    store: Store,
    set_aside: Option<PathBuf>,
}

impl OpenViews {
    /// Every epoch up to it is in the views.
    pub fn marker(&self) -> Option<Epoch> {
        self.store.marker()
    }

    /// The `Wiring::definition` that its rows are of; `None` when that is not known, or a table is missing or changed.
    pub fn definition(&self) -> Result<Option<String>, SinkError> {
        self.store.definition()
    }

    /// Starts the writer's thread and one per channel.
    pub fn start(self, commits: Receiver<Commit>, wiring: Wiring) -> Result<Handle, SinkError> {
        let OpenViews { config, views, store, set_aside } = self;
        SinkWriter::start(&config, &views, commits, wiring, store, set_aside)
    }
}

/// Starts the writer.
pub struct SinkWriter;

impl SinkWriter {
    /// Opens the database and starts the writer's thread and one per channel.
    pub fn spawn(
        config: &Config,
        views: &[&'static View],
        commits: Receiver<Commit>,
        wiring: Wiring,
    ) -> Result<Handle, SinkError> {
        SinkWriter::open(config, views, wiring.clock.now_ms())?.start(commits, wiring)
    }

    /// Opens the database, to see how far it is before the commits begin. `now` names one that is set aside.
    pub fn open(
        config: &Config,
        views: &[&'static View],
        now: EventTime,
    ) -> Result<OpenViews, SinkError> {
        let first = u64::from(config.checked_first_mib) << 20;
        let (store, set_aside) = Store::open(&config.path, views, now, first)?;
        Ok(OpenViews { config: config.clone(), views: views.to_vec(), store, set_aside })
    }

    fn start(
        config: &Config,
        views: &[&'static View],
        commits: Receiver<Commit>,
        wiring: Wiring,
        mut store: Store,
        set_aside: Option<PathBuf>,
    ) -> Result<Handle, SinkError> {
        let Wiring {
            clock,
            latency,
            listeners,
            channels,
            resolve,
            sleeper,
            definition,
            resumed,
            vouched_from,
            reached,
        } = wiring;
        store.reached.clone_from(&reached);
        let now = clock.now_ms();
        let inbox = Inbox::new(config.queued_rows_max);
        let status = Arc::new(Mutex::new(Status {
            health: Health::CatchingUp,
            epoch: store.marker(),
            watermark_ms: None,
            queued_rows: 0,
            wal_bytes: 0,
            reconciled: Vec::new(),
            set_aside,
        }));
        let listed: Vec<Listed> = channels.iter().map(|channel| listed(&**channel)).collect();
        for (n, channel) in listed.iter().enumerate() {
            let distinct = listed[..n].iter().all(|other| other.name != channel.name);
            assert!(distinct, "channel names are distinct: {}", channel.name);
        }
        store.write(|tx| crate::outbox::retire_channels(tx, &listed, now))?;
        let mut bells = Vec::new();
        for (index, channel) in channels.into_iter().enumerate() {
            let bell = Arc::new(Bell::default());
            bells.push(bell.clone());
            let name = format!("alert-{}", channel.name());
            let (inbox, clock, sleeper) = (inbox.clone(), clock.clone(), sleeper.clone());
            let reached = reached.clone();
            let sender = Sender { index, channel, bell, inbox, clock, sleeper, reached };
            let path = config.path.clone();
            start(name, move || sender.run(&path));
        }
        inbox.pump(commits, clock.clone());
        let writer = Writer::new(
            config,
            store,
            views,
            inbox.clone(),
            status.clone(),
            clock,
            latency,
            listeners,
            listed,
            bells,
            resolve,
            sleeper,
            definition,
            resumed,
            vouched_from,
        );
        let thread = start("view-writer".into(), move || writer.run());
        Ok(Handle { control: Control { inbox, status }, thread })
    }
}

fn listed(channel: &dyn Channel) -> Listed {
    let steps = [Step::Opened, Step::Amended, Step::Resolved, Step::Retracted];
    Listed {
        name: channel.name().to_owned(),
        steps: steps.into_iter().filter(|step| channel.wants(*step)).collect(),
    }
}

fn start<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    thread::Builder::new().name(name).spawn(run).expect("the system gives us a thread")
}

#[cfg(test)]
#[path = "writer_tests.rs"]
pub(crate) mod tests;
