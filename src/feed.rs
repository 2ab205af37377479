//! From the journal into the dataflow: one thread that follows the journal and turns each frame into an epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use highwater_dataflow::latency::{Latency, Stage};
use highwater_dataflow::{Batch, Kept, Runtime};
use highwater_ingest::journal::{self, Committed, DeadLetter, Follower, JournalError};
use highwater_queries::{Entry, Receipt, Rejected};

use crate::checkpoints::Pace;

/// How long the journal is waited for before its end is looked for.
const WAIT: Duration = Duration::from_millis(100);

/// What was fed to the dataflow so far.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    events: AtomicU64,
    dead_letters: AtomicU64,
}

impl Fed {
    /// Events since the start, those of the replay included.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }
}

/// Starts the thread. It ends when the journal's writer has stopped and every epoch has been answered.
///
/// Yields what the operators keep at the end, when `pace` says that checkpoints are taken.
/// Errors of the thread: the journal cannot be read back; nothing may be served after that.
pub(crate) fn start(
    mut follower: Follower,
    runtime: Runtime<Entry>,
    latency: Arc<Latency>,
    fed: Arc<Fed>,
    mut pace: Option<Pace>,
) -> JoinHandle<Result<Option<Kept>, JournalError>> {
    let run = move || {
        loop {
            match follower.next(WAIT)? {
                Some(committed) => {
                    let epoch = committed.meta.epoch;
                    feed(committed, &runtime, &latency, &fed);
                    if let Some(pace) = &mut pace {
                        pace.fed(epoch);
                    }
                }
                None if follower.ended() => break,
                None => {}
            }
            if let Some(pace) = &mut pace {
                pace.look(&runtime);
            }
        }
        if let Some(pace) = pace {
            return Ok(pace.last(runtime));
        }
        runtime.finish();
        Ok(None)
    };
    let builder = thread::Builder::new().name("feed".into());
    builder.spawn(run).expect("the system gives us a thread")
}

fn feed(committed: Committed, runtime: &Runtime<Entry>, latency: &Latency, fed: &Fed) {
    if !committed.stamps.replay
        && let Some(durable) = committed.stamps.durable
    {
        latency.record_all(&committed.stamps, Stage::Durable, durable);
    }
    let (events, dead) = (committed.envelopes.len(), committed.dead_letters.len());
    // Waits while too many epochs are in flight: the journal on disk is the queue that may grow.
    runtime.send(batch(committed));
    fed.events.fetch_add(events as u64, Ordering::Relaxed);
    fed.dead_letters.fetch_add(dead as u64, Ordering::Relaxed);
}

/// A frame as an epoch of input.
pub(crate) fn batch(committed: Committed) -> Batch<Entry> {
    let Committed { meta, signals, envelopes, dead_letters, receipts, stamps } = committed;
    let events = envelopes.into_iter().map(Entry::Event);
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
