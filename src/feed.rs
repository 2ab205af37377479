//! From the journals into the dataflow: one thread that follows them and turns each frame into an epoch.
//!
//! Usually there is one journal. A process that has adopted others feeds their frames in the order of their epochs;
//! frames of the same epoch are one batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use highwater_dataflow::latency::{Latency, Stage};
use highwater_dataflow::{Batch, Epoch, Gone, Kept, Runtime, Says};
use highwater_ingest::journal::{
    self, Committed, DeadLetter, Follower, JournalError, JournalWriter, Recorded,
};
use highwater_model::Envelope;
use highwater_queries::{Entry, Receipt, Rejected};

use crate::checkpoints::Pace;
use crate::cluster::Number;
use crate::rounds::Rounds;

/// How long the journal is waited for before its end is looked for.
const WAIT: Duration = Duration::from_millis(100);
/// How long the end of the input waits for the other processes of a cluster to end theirs.
const FAREWELL: Duration = Duration::from_secs(5);

/// What was fed to the dataflow so far.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    events: AtomicU64,
    dead_letters: AtomicU64,
    reached: AtomicU64,
}

impl Fed {
    /// Events since the start, those of the replay included.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    /// Every epoch up to here has been fed, or will never be.
    pub(crate) fn reached(&self) -> Epoch {
        self.reached.load(Ordering::Relaxed)
    }
}

/// A journal that is fed.
pub(crate) struct Lane {
    pub(crate) number: Number,
    pub(crate) writer: JournalWriter,
    pub(crate) follower: Follower,
}

/// How feeding came to its end.
#[derive(Debug)]
pub(crate) enum Finished {
    /// Every epoch has been answered; what the operators keep, where checkpoints are taken.
    Answered(Option<Kept>),
    /// Everything was fed; other processes of the cluster go on, or are gone.
    Left,
    /// The dataflow went away, as it does when another process is lost.
    Gone,
}

/// Starts the thread. It ends when the journals' writers have stopped and every epoch has been answered; with
/// `clustered`, when the other processes do not end theirs soon.
///
/// Errors of the thread: a journal cannot be read back; nothing may be served after that.
pub(crate) fn start(
    lanes: Vec<Lane>,
    runtime: Runtime<Entry>,
    clustered: bool,
    latency: Arc<Latency>,
    fed: Arc<Fed>,
    checkpoints: Checkpointing,
) -> JoinHandle<Result<Finished, JournalError>> {
    let lanes = lanes.into_iter().map(|lane| Ahead { lane, next: None }).collect();
    let mut feed = Feed { lanes, runtime, clustered, latency, fed, checkpoints };
    let run = move || {
        if feed.run()?.is_err() {
            // Nobody waits for threads that are gone.
            feed.runtime.leave().say();
            return Ok(Finished::Gone);
        }
        if let Checkpointing::Alone(pace) = feed.checkpoints {
            return Ok(Finished::Answered(pace.last(feed.runtime)));
        }
        if !clustered {
            feed.runtime.finish();
            return Ok(Finished::Answered(None));
        }
        let all = feed.runtime.finish_within(FAREWELL);
        Ok(if all { Finished::Answered(None) } else { Finished::Left })
    };
    let builder = thread::Builder::new().name("feed".into());
    builder.spawn(run).expect("the system gives us a thread")
}

/// When checkpoints are taken.
pub(crate) enum Checkpointing {
    Never,
    /// There is one process with one journal.
    Alone(Pace),
    Together(Rounds),
}

impl Checkpointing {
    fn look(&mut self, runtime: &mut Runtime<Entry>) {
        match self {
            Checkpointing::Never => {}
            Checkpointing::Alone(pace) => pace.look(runtime),
            Checkpointing::Together(rounds) => rounds.look(runtime),
        }
    }

    /// What everybody is told with what is fed now.
    fn says(&mut self) -> Says {
        match self {
            Checkpointing::Together(rounds) => rounds.says(),
            Checkpointing::Never | Checkpointing::Alone(_) => Says::default(),
        }
    }
}

struct Feed {
    lanes: Vec<Ahead>,
    runtime: Runtime<Entry>,
    clustered: bool,
    latency: Arc<Latency>,
    fed: Arc<Fed>,
    checkpoints: Checkpointing,
}

/// A journal, and its next frame where that is known.
struct Ahead {
    lane: Lane,
    next: Option<Committed>,
}

impl Feed {
    /// Until all journals have ended. The inner error: the dataflow is gone.
    fn run(&mut self) -> Result<Result<(), Gone>, JournalError> {
        loop {
            let Some(epoch) = self.next_epoch()? else {
                if self.lanes.iter().all(|it| it.next.is_none() && it.lane.follower.ended()) {
                    return Ok(Ok(()));
                }
                if let Err(gone) = self.pass() {
                    return Ok(Err(gone));
                }
                self.checkpoints.look(&mut self.runtime);
                continue;
            };
            if let Err(gone) = self.feed(epoch) {
                return Ok(Err(gone));
            }
            if let Checkpointing::Alone(pace) = &mut self.checkpoints {
                pace.fed(epoch);
            }
            self.checkpoints.look(&mut self.runtime);
        }
    }

    /// The first epoch that no journal can precede any more; `None` when there is none for now.
    fn next_epoch(&mut self) -> Result<Option<Epoch>, JournalError> {
        if self.lanes.iter().all(|it| it.next.is_none()) {
            // The first journal is the one that grows.
            let [own, adopted @ ..] = &mut self.lanes[..] else { return Ok(None) };
            for it in adopted.iter_mut() {
                it.look(Duration::ZERO)?;
            }
            let busy = adopted.iter().any(|it| it.next.is_some());
            own.look(if busy { Duration::ZERO } else { WAIT })?;
        }
        loop {
            let Some(epoch) = self.lanes.iter().filter_map(Ahead::epoch).min() else {
                return Ok(None);
            };
            let behind = |it: &&mut Ahead| it.next.is_none() && it.passed() < epoch;
            let Some(behind) = self.lanes.iter_mut().find(behind) else { return Ok(Some(epoch)) };
            behind.lane.writer.pass(epoch);
            behind.look(WAIT)?;
        }
    }

    /// Tells the other processes how far we are.
    fn pass(&mut self) -> Result<(), Gone> {
        if !self.clustered {
            return Ok(());
        }
        // Asked together, the journals answer one after the other.
        let most = self.lanes.iter().map(Ahead::passed).max().unwrap_or(0);
        let mut least = most;
        for it in &mut self.lanes {
            if it.passed() < most {
                it.lane.writer.pass(most);
            }
            least = least.min(it.passed());
        }
        if least > self.fed.reached() && least < Epoch::MAX {
            self.fed.reached.store(least, Ordering::Relaxed);
            self.runtime.pass(least, self.checkpoints.says())?;
        }
        Ok(())
    }

    /// Feeds what the journals have at `epoch`.
    fn feed(&mut self, epoch: Epoch) -> Result<(), Gone> {
        let mut batch: Option<Batch<Entry>> = None;
        for it in &mut self.lanes {
            if it.epoch() != Some(epoch) {
                continue;
            }
            let Some(mut committed) = it.next.take() else { continue };
            it.lane.number.apply(&mut committed);
            count(&committed, &self.latency, &self.fed);
            let next = self::batch(committed);
            match &mut batch {
                None => batch = Some(next),
                Some(batch) => {
                    batch.events.extend(next.events);
                    batch.signals.extend(next.signals);
                }
            }
        }
        self.fed.reached.store(epoch, Ordering::Relaxed);
        // Waits while too many epochs are in flight: the journal on disk is the queue that may grow.
        let Some(batch) = batch else { return Ok(()) };
        self.runtime.try_send_saying(batch, self.checkpoints.says())
    }
}

fn count(committed: &Committed, latency: &Latency, fed: &Fed) {
    let stamps = &committed.stamps;
    if let (false, Some(durable)) = (stamps.replay, stamps.durable) {
        latency.record_all(stamps, Stage::Durable, durable);
    }
    let (events, dead) = (committed.envelopes.len(), committed.dead_letters.len());
    fed.events.fetch_add(events as u64, Ordering::Relaxed);
    fed.dead_letters.fetch_add(dead as u64, Ordering::Relaxed);
}

impl Ahead {
    fn epoch(&self) -> Option<Epoch> {
        self.next.as_ref().map(|next| next.meta.epoch)
    }

    /// Looks for the next frame, or for how far there is none.
    fn look(&mut self, wait: Duration) -> Result<(), JournalError> {
        if self.next.is_none() {
            self.next = self.lane.follower.next(wait)?;
        }
        Ok(())
    }

    /// No frame up to here will come but those that were fed.
    fn passed(&self) -> Epoch {
        match &self.next {
            Some(next) => next.meta.epoch - 1,
            None if self.lane.follower.ended() => Epoch::MAX,
            None => self.lane.follower.passed(),
        }
    }
}

/// A frame's events as input.
pub(crate) fn entries(
    envelopes: Vec<Envelope>,
    recorded: &Recorded,
) -> impl Iterator<Item = Entry> {
    envelopes.into_iter().map(|envelope| {
        let recorded = recorded.holds(envelope.seq);
        if recorded { Entry::Recorded(envelope) } else { Entry::Event(envelope) }
    })
}

/// A frame as an epoch of input.
pub(crate) fn batch(committed: Committed) -> Batch<Entry> {
    let Committed { meta, signals, envelopes, recorded, dead_letters, receipts, stamps } =
        committed;
    let events = entries(envelopes, &recorded);
    let rejected = dead_letters.into_iter().map(|letter| Entry::Rejected(rejected(letter)));
    let receipts = receipts.into_iter().map(|receipt| Entry::Receipt(received(receipt)));
    let events = events.chain(rejected).chain(receipts).collect();
    Batch { epoch: meta.epoch, events, signals, stamps }
}

fn received(receipt: journal::Receipt) -> Receipt {
    let lags = receipt.lags.into_iter().map(|(lag, n)| (lag, i64::from(n)));
    Receipt {
        seq: receipt.seq,
        source: receipt.partition.into(),
        received_at: receipt.received_at,
        events: receipt.events.into(),
        dead_letters: receipt.dead_letters.into(),
        newest: receipt.newest,
        lags: lags.collect(),
    }
}

fn rejected(letter: DeadLetter) -> Rejected {
    let DeadLetter { seq, partition, position, received_at, reason, .. } = letter;
    Rejected { seq, source: partition.into(), position, received_at, reason: reason.into() }
}
