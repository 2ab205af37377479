//! What the writer's thread does: take, remember or commit, tell, keep house, and end in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater_dataflow::latency::{Latency, Stage};
use highwater_dataflow::view::{Stamps, View};
use highwater_dataflow::{Clock, Epoch, EventTime};
use tracing::{error, info, warn};

use super::{CommittedBatch, Config, Health, Listener, Sleeper, Status};
use crate::channel::{Message, Resolve};
use crate::error::SinkError;
use crate::inbox::{Arrived, Inbox, Order, Taken};
use crate::outbox::{self, Listed, Replayed, Settled};
use crate::sender::Bell;
use crate::sqlite::{Batch, Checking, Desired, Reconciled, Store, condemn, is_damage};

/// Nothing to do for so long is a quiet moment.
const QUIET: Duration = Duration::from_secs(1);
/// What is still due at the end of the input is delivered within this.
const FAREWELL: Duration = Duration::from_secs(10);
const LAG_WAIT_MAX: Duration = Duration::from_secs(5);
/// With the input at its end, a disk that stays full does not hold up the exit: the journal has everything.
const LAST_TRIES: u32 = 8;
/// Epochs with alerts under way, for the latency histograms.
const FLIGHTS_MAX: usize = 4_096;
const DAY_MS: i64 = 86_400_000;
const PRUNED_AT_ONCE: usize = 1_000;
/// Rows that are read at a time for those who show them.
const ROWS_SHOWN: usize = 10_000;

/// Before and after the views are level with the journal.
enum Phase {
    Replaying {
        desired: Desired,
        replayed: Replayed,
        /// The epoch that ends the replay, once known.
        through: Option<Epoch>,
        /// It has come, or something after it.
        ready: bool,
    },
    /// The dataflow goes on from a checkpoint: what the views have is passed over, what follows is applied.
    Resuming {
        /// The views have everything up to here.
        marker: Epoch,
        /// The last epoch that came.
        at: Epoch,
        through: Option<Epoch>,
        ready: bool,
    },
    Live,
}

/// An epoch whose alerts are under way.
struct Flight {
    stamps: Arc<Stamps>,
    /// Messages not yet confirmed, per channel.
    left: Vec<u32>,
}

pub(super) struct Writer {
    store: Store,
    hands: Hands,
}

/// Everything but the connection, which a backup needs at the same time.
struct Hands {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
    clock: Arc<dyn Clock>,
    latency: Arc<Latency>,
    listeners: Vec<Box<dyn Listener>>,
    channels: Vec<Listed>,
    bells: Vec<Arc<Bell>>,
    resolve: Resolve,
    sleeper: Arc<dyn Sleeper>,
    rows_max: usize,
    outbox_ms: i64,
    phase: Phase,
    definition: Option<String>,
    views: Vec<&'static View>,
    batch: Batch,
    /// When the dataflow closed each commit of the batch.
    closed: Vec<std::time::Instant>,
    settled: Vec<Settled>,
    flights: BTreeMap<Epoch, Flight>,
    backups: Vec<(PathBuf, std::sync::mpsc::SyncSender<Result<(), SinkError>>)>,
    senders_gone: usize,
    ended: bool,
    failures: u32,
    checkpointed_bytes: i64,
    log_dirty: bool,
    path: PathBuf,
    /// The check of a database that was not closed, while it lasts.
    checking: Option<Checking>,
}

/// Closes the inbox however the thread ends, so that nobody waits for a writer that is gone.
struct Closing(Arc<Inbox>, Arc<Mutex<Status>>, Vec<Arc<Bell>>, Arc<dyn Clock>);

impl Drop for Closing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the view writer panicked; its message is in the log".to_owned();
            if let Ok(mut status) = self.1.lock() {
                status.health = Health::Failed { reason };
            }
        }
        self.2.iter().for_each(|bell| bell.finish(self.3.instant()));
        self.0.close();
    }
}

impl Writer {
    #[expect(clippy::too_many_arguments, reason = "called once, with what spawn took apart")]
    pub(super) fn new(
        config: &Config,
        store: Store,
        views: &[&'static View],
        inbox: Arc<Inbox>,
        status: Arc<Mutex<Status>>,
        clock: Arc<dyn Clock>,
        latency: Arc<Latency>,
        listeners: Vec<Box<dyn Listener>>,
        channels: Vec<Listed>,
        bells: Vec<Arc<Bell>>,
        resolve: Resolve,
        sleeper: Arc<dyn Sleeper>,
        definition: Option<String>,
        resumed: Option<Epoch>,
        vouched_from: Option<highwater_dataflow::EventTime>,
    ) -> Writer {
        let phase = match resumed {
            Some(at) => {
                let marker = store.marker().unwrap_or_default();
                assert!(at <= marker, "a checkpoint counts once the views have reached it");
                Phase::Resuming { marker, at, through: None, ready: false }
            }
            None => Phase::Replaying {
                desired: Desired::of(views).vouched_from(vouched_from),
                replayed: Replayed::default(),
                through: None,
                ready: false,
            },
        };
        let hands = Hands {
            inbox,
            status,
            clock,
            latency,
            listeners,
            channels,
            bells,
            resolve,
            sleeper,
            rows_max: config.rows_per_commit_max.max(1),
            outbox_ms: i64::from(config.outbox_days) * DAY_MS,
            phase,
            definition,
            views: views.to_vec(),
            batch: Batch::default(),
            closed: Vec::new(),
            settled: Vec::new(),
            flights: BTreeMap::new(),
            backups: Vec::new(),
            senders_gone: 0,
            ended: false,
            failures: 0,
            checkpointed_bytes: 0,
            log_dirty: false,
            path: config.path.clone(),
            checking: None,
        };
        Writer { store, hands }
    }

    pub(super) fn run(mut self) -> Result<(), SinkError> {
        let (inbox, status) = (self.hands.inbox.clone(), self.hands.status.clone());
        let clock = self.hands.clock.clone();
        let _closing = Closing(inbox, status.clone(), self.hands.bells.clone(), clock);
        let result = self.work();
        self.hands.checking = None;
        if let Err(error) = &result {
            self.hands.condemn_if_damaged(error);
        }
        let result = result.and_then(|()| self.store.close());
        let health = match &result {
            Ok(()) => Health::Stopped,
            Err(error) => {
                error!(%error, "view writer failed; restart after removing the cause");
                Health::Failed { reason: error.to_string() }
            }
        };
        status.lock().expect("nobody panics with the lock").health = health;
        result
    }

    fn work(&mut self) -> Result<(), SinkError> {
        let Writer { store, hands } = self;
        // What a previous run posted and did not deliver.
        hands.bells.iter().for_each(|bell| bell.ring(Vec::new()));
        while !hands.is_done() {
            let taken = hands.wait();
            let quiet = taken.commits.is_empty() && taken.orders.is_empty() && !taken.ended;
            if quiet && hands.failures == 0 {
                hands.keep_house(store)?;
                continue;
            }
            hands.turn(store, taken)?;
            hands.back_up(store);
        }
        hands.dismiss_senders(store)
    }
}

impl Hands {
    fn is_done(&self) -> bool {
        let unwritten = match &self.phase {
            // An end in the middle of a replay leaves the views as they were.
            Phase::Replaying { ready, .. } => *ready,
            Phase::Resuming { ready: true, .. } => true,
            Phase::Resuming { .. } | Phase::Live => {
                !self.batch.is_empty() || !self.settled.is_empty()
            }
        };
        self.ended && !unwritten
    }

    /// Waits for something to do: after a failure for as long as planned, otherwise until something comes or a
    /// moment for housekeeping.
    fn wait(&mut self) -> Taken {
        let room = self.rows_max.saturating_sub(self.batch.rows());
        if self.failures == 0 {
            return self.inbox.take(room, self.log_dirty.then_some(QUIET));
        }
        let wait = Duration::from_millis(50 << self.failures.min(10)).min(LAG_WAIT_MAX);
        let mut taken = self.inbox.take(0, Some(self.sleeper.plan(wait)));
        if room > 0 {
            let more = self.inbox.take(room, Some(Duration::ZERO));
            taken.commits = more.commits;
            taken.orders.extend(more.orders);
            taken.ended = more.ended;
        }
        taken
    }

    /// Takes in what came and writes what can be written.
    fn turn(&mut self, store: &Store, taken: Taken) -> Result<(), SinkError> {
        self.ended |= taken.ended;
        for arrived in taken.commits {
            self.absorb(store, arrived)?;
        }
        for order in taken.orders {
            match order {
                Order::CaughtUp(epoch) => {
                    if let Phase::Replaying { through, .. } | Phase::Resuming { through, .. } =
                        &mut self.phase
                        && through.is_none()
                    {
                        *through = Some(epoch);
                    }
                }
                Order::Settle(settled) => self.settled.push(settled),
                Order::Backup(to, done) => self.backups.push((to, done)),
                Order::SenderGone => self.senders_gone += 1,
                Order::Checked(None) => store.is_whole(),
                Order::Checked(Some(fault)) => return Err(SinkError::Damaged(fault)),
            }
        }
        if let Phase::Replaying { desired, through: Some(through), ready, .. } = &mut self.phase {
            *ready |= *through == 0 || desired.epoch().is_some_and(|epoch| *through <= epoch);
        }
        if let Phase::Resuming { at, through: Some(through), ready, .. } = &mut self.phase {
            *ready |= *through <= *at;
        }
        match self.write(store) {
            Ok(()) => {
                self.failures = 0;
                Ok(())
            }
            Err(error) if error.retry() && !(self.ended && self.failures >= LAST_TRIES) => {
                self.lag(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn absorb(&mut self, store: &Store, arrived: Arrived) -> Result<(), SinkError> {
        let Arrived { commit, at } = arrived;
        if commit.stamps.replay
            && let Phase::Replaying { desired, replayed, .. } = &mut self.phase
        {
            for notification in &commit.notifications {
                replayed.absorb(store.conn(), notification)?;
            }
            desired.absorb(&commit);
            self.listeners.iter_mut().for_each(|listener| listener.replayed(&commit));
            return Ok(());
        }
        if let Phase::Replaying { ready, .. } = &mut self.phase {
            *ready = true;
        }
        if let Phase::Resuming { marker, at, ready, .. } = &mut self.phase {
            *at = commit.epoch;
            *ready |= !commit.stamps.replay;
            if commit.epoch <= *marker {
                self.listeners.iter_mut().for_each(|listener| listener.replayed(&commit));
                return Ok(());
            }
        }
        if !commit.stamps.replay {
            self.latency.record_all(&commit.stamps, Stage::Closed, at);
        }
        self.batch.absorb(commit);
        self.closed.push(at);
        Ok(())
    }

    fn write(&mut self, store: &Store) -> Result<(), SinkError> {
        if let Phase::Replaying { ready, .. } = &self.phase {
            if *ready {
                self.catch_up(store)?;
            } else if !self.settled.is_empty() {
                return self.commit(store);
            } else {
                return Ok(());
            }
        }
        if !self.batch.is_empty() || !self.settled.is_empty() {
            self.commit(store)?;
        }
        if let Phase::Resuming { ready: true, .. } = &self.phase {
            self.go_live(store)?;
        }
        Ok(())
    }

    /// Everything that was journaled before the start is in the views.
    fn go_live(&mut self, store: &Store) -> Result<(), SinkError> {
        let watermark = store.go_live()?;
        for view in &self.views {
            let mut shown: Vec<_> = self.listeners.iter_mut().filter(|it| it.shows(view)).collect();
            if !shown.is_empty() {
                Desired::stored(store.conn(), view, watermark, ROWS_SHOWN, |part| {
                    for listener in &mut shown {
                        listener.caught_up(part, &[]);
                    }
                })?;
            }
        }
        self.is_live(store, watermark, Vec::new());
        Ok(())
    }

    fn is_live(
        &mut self,
        store: &Store,
        watermark: Option<EventTime>,
        reconciled: Vec<Reconciled>,
    ) {
        let epoch = store.marker();
        self.report(|status| {
            status.health = Health::Live;
            status.epoch = epoch;
            status.watermark_ms = watermark;
            status.reconciled = reconciled;
        });
        self.phase = Phase::Live;
        self.log_dirty = true;
        let inbox = self.inbox.clone();
        self.checking = store.check(&self.path, move |found| inbox.order(Order::Checked(found)));
        self.bells.iter().for_each(|bell| bell.ring(Vec::new()));
    }

    fn catch_up(&mut self, store: &Store) -> Result<(), SinkError> {
        let Phase::Replaying { desired, replayed, .. } = &self.phase else { return Ok(()) };
        let (marker, now) = (store.marker(), self.clock.now_ms());
        if desired.epoch() < marker {
            error!(
                ?marker, journal = ?desired.epoch(),
                "the views were ahead of the journal; they now show what the journal has"
            );
        }
        let definition = self.definition.as_deref();
        let reconciled = store.reconcile(desired, definition, now, |tx| {
            replayed.post(tx, &self.channels, marker, desired.epoch(), &self.resolve, now)
        })?;
        for report in reconciled.iter().filter(|report| !report.is_level()) {
            info!(
                view = report.view,
                added = report.added,
                changed = report.changed,
                removed = report.removed,
                rebuilt = report.rebuilt,
                "view reconciled"
            );
        }
        let watermark = desired.watermark();
        for listener in &mut self.listeners {
            listener.caught_up(desired, &reconciled);
        }
        self.is_live(store, watermark, reconciled);
        Ok(())
    }

    /// One transaction: rows, marker, new messages, and confirmations of old ones.
    fn commit(&mut self, store: &Store) -> Result<(), SinkError> {
        let now = self.clock.now_ms();
        let notifications = || self.batch.commits().iter().flat_map(|c| c.notifications.iter());
        store.apply(&self.batch, now, |tx| {
            for notification in notifications() {
                let message = Message::of(notification, &self.resolve);
                outbox::post(tx, &self.channels, &message, true, now)?;
            }
            for settled in &self.settled {
                outbox::settle(tx, &self.channels, settled, now)?;
            }
            Ok(())
        })?;
        let at = self.clock.instant();
        let posted = notifications().next().is_some();
        self.launch();
        self.tell(at);
        self.confirm(posted);
        let live = matches!(self.phase, Phase::Live);
        let (epoch, watermark) = (self.batch.epoch(), self.batch.watermark());
        let wal_bytes = store.wal_bytes();
        self.report(|status| {
            if live {
                status.health = Health::Live;
            }
            status.epoch = epoch.or(status.epoch);
            status.watermark_ms = watermark.or(status.watermark_ms);
            status.wal_bytes = wal_bytes;
        });
        self.batch.clear();
        self.closed.clear();
        self.log_dirty = true;
        if let Some(left) = store.checkpoint_when_due(self.checkpointed_bytes)? {
            self.checkpointed_bytes = left;
            self.prune(store)?;
        }
        Ok(())
    }

    /// Lets the oldest messages go, some at a time.
    fn prune(&self, store: &Store) -> Result<(), SinkError> {
        let before = self.clock.now_ms() - self.outbox_ms;
        store.write(|tx| outbox::prune(tx, before, PRUNED_AT_ONCE).map(|_| ()))
    }

    /// Remembers when the events of epochs with alerts came in, until the alerts are delivered.
    fn launch(&mut self) {
        for commit in self.batch.commits() {
            if commit.stamps.replay || commit.stamps.received.is_empty() {
                continue;
            }
            let wanted = |channel: &Listed| {
                let of = commit.notifications.iter();
                of.filter(|notification| channel.steps.contains(&notification.step)).count() as u32
            };
            let left: Vec<u32> = self.channels.iter().map(wanted).collect();
            if left.iter().any(|n| *n > 0) {
                let flight = Flight { stamps: commit.stamps.clone(), left };
                self.flights.insert(commit.epoch, flight);
            }
        }
        while self.flights.len() > FLIGHTS_MAX {
            self.flights.pop_first();
        }
    }

    /// Tells the histograms and the listeners.
    fn tell(&mut self, at: std::time::Instant) {
        for commit in self.batch.commits().iter().filter(|commit| !commit.stamps.replay) {
            self.latency.record_all(&commit.stamps, Stage::Committed, at);
        }
        let (Some(epoch), Some(watermark)) = (self.batch.epoch(), self.batch.watermark()) else {
            return;
        };
        if self.listeners.is_empty() {
            return;
        }
        if let Phase::Resuming { .. } = &self.phase {
            // Whoever shows views gets all of them once they are level.
            for commit in self.batch.commits() {
                self.listeners.iter_mut().for_each(|listener| listener.replayed(commit));
            }
            return;
        }
        let changes = self.batch.coalesced();
        let commits = self.batch.commits();
        let closed = &self.closed;
        let batch = CommittedBatch { epoch, watermark, changes: &changes, commits, closed, at };
        self.listeners.iter_mut().for_each(|listener| listener.committed(&batch));
    }

    /// Wakes the senders whose messages are posted or confirmed.
    fn confirm(&mut self, posted: bool) {
        let mut confirmed: Vec<Vec<(String, u32)>> = vec![Vec::new(); self.channels.len()];
        for settled in self.settled.drain(..) {
            if settled.refused.is_none()
                && let Some(flight) = self.flights.get_mut(&settled.epoch)
            {
                // The slowest of an epoch's messages counts.
                let left = &mut flight.left[settled.channel];
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.latency.record_all(&flight.stamps, Stage::Alerted, settled.at);
                }
                if flight.left.iter().all(|n| *n == 0) {
                    self.flights.remove(&settled.epoch);
                }
            }
            confirmed[settled.channel].push((settled.alert_id, settled.revision));
        }
        for (bell, confirmed) in self.bells.iter().zip(confirmed) {
            if posted || !confirmed.is_empty() {
                bell.ring(confirmed);
            }
        }
    }

    /// Nothing was written; everything is kept and tried again.
    fn lag(&mut self, error: &SinkError) {
        self.failures += 1;
        let since = self.clock.now_ms();
        let reason = error.to_string();
        if self.failures == 1 {
            warn!(%error, "views are lagging");
        }
        self.report(|status| {
            let since_ms = match status.health {
                Health::Lagging { since_ms, .. } => since_ms,
                _ => since,
            };
            status.health = Health::Lagging { reason, since_ms };
        });
    }

    /// Nothing came for a while.
    fn keep_house(&mut self, store: &Store) -> Result<(), SinkError> {
        self.log_dirty = false;
        let kept = self.prune(store).and_then(|()| store.truncate_log());
        self.checkpointed_bytes = store.wal_bytes();
        let wal_bytes = store.wal_bytes();
        self.report(|status| status.wal_bytes = wal_bytes);
        match kept {
            Err(error) if error.retry() => Ok(()),
            kept => kept,
        }
    }

    fn back_up(&mut self, store: &Store) {
        for (to, done) in std::mem::take(&mut self.backups) {
            let result = store.backup(&to, || {
                let taken = self.inbox.take(self.rows_max, Some(Duration::ZERO));
                self.turn(store, taken)
            });
            if let Err(error) = &result {
                warn!(%error, to = %to.display(), "backup failed");
            }
            // Who asked may have gone; the backup stands all the same.
            let _ = done.send(result);
        }
    }

    /// Lets the channels deliver what is due, and writes down that they did.
    fn dismiss_senders(&mut self, store: &Store) -> Result<(), SinkError> {
        let until = self.clock.instant() + FAREWELL;
        self.bells.iter().for_each(|bell| bell.finish(until));
        while self.senders_gone < self.bells.len() {
            let taken = self.inbox.take(0, None);
            self.turn(store, taken)?;
        }
        Ok(())
    }

    /// What was found, or met, in use: the next start does not go on with it.
    fn condemn_if_damaged(&self, error: &SinkError) {
        let what = match error {
            SinkError::Damaged(what) => what.clone(),
            SinkError::Sqlite(error) if is_damage(error) => error.to_string(),
            _ => return,
        };
        if let Err(error) = condemn(&self.path, &what) {
            error!(%error, path = %self.path.display(), "remove the damaged view database by hand");
        }
    }

    fn report(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().expect("nobody panics with the lock"));
    }
}
