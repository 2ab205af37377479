//! What a durable frame says to the dataflow, and the bounded hand-over to the follower.
//!
//! The outlet never blocks the writer. What does not fit is dropped from memory, not from the journal: every frame
//! names the one before it, so the follower sees the gap and reads the segments.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Epoch, EventTime, Signal};
use highwater_model::Envelope;

use super::frame::Record;
use super::receipts::Receipt;

/// A durable frame, decoded.
#[derive(Clone, Debug)]
pub struct Committed {
    pub meta: FrameMeta,
    /// In force after the envelopes.
    pub signals: Vec<Signal>,
    /// The accepted records with their sequence numbers, in order.
    pub envelopes: Vec<Envelope>,
    /// Which of the records were told from recordings, or as history.
    pub recorded: Recorded,
    pub dead_letters: Vec<DeadLetter>,
    /// What came of each partition.
    pub receipts: Vec<Receipt>,
    pub stamps: Arc<Stamps>,
}

/// Records that were not told as they happened, by sequence number: stretches of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded(Vec<(u64, u64)>);

impl Recorded {
    pub(super) fn of(records: &[Record]) -> Recorded {
        let stretches = records.chunk_by(|a, b| a.recorded == b.recorded);
        let recorded = stretches.filter(|stretch| stretch[0].recorded);
        Recorded(recorded.map(|stretch| (stretch[0].seq, stretch[stretch.len() - 1].seq)).collect())
    }

    /// Whether the record is one of them.
    pub fn holds(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < seq);
        self.0.get(at).is_some_and(|(first, _)| *first <= seq)
    }

    /// Gives the records other numbers, in the same order.
    pub fn renumber(&mut self, number: impl Fn(u64) -> u64) {
        for (first, last) in &mut self.0 {
            (*first, *last) = (number(*first), number(*last));
        }
    }
}

/// A frame without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    pub epoch: Epoch,
    /// The frame before it; 0 for the journal's first.
    pub prev_epoch: Epoch,
    pub first_seq: u64,
    /// `first_seq - 1` when it holds no records.
    pub last_seq: u64,
    /// The journal's clock, ms UTC.
    pub clock_ms: EventTime,
}

/// A record that could not be an event, or must not be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub seq: u64,
    /// The partition's name.
    pub partition: String,
    /// `Codec` as a number.
    pub codec: u8,
    /// Place in the source.
    pub position: u64,
    /// The source's clock, ms UTC.
    pub received_at: EventTime,
    pub reason: String,
    pub raw: Vec<u8>,
}

/// Between the writer and the follower.
#[derive(Debug)]
pub(super) struct Outlet {
    state: Mutex<State>,
    ready: Condvar,
    max_frames: usize,
    max_events: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Committed>,
    events: usize,
    /// The last durable frame.
    head: Epoch,
    /// No frame up to here can follow those there are.
    passed: Epoch,
    /// Stamps of frames that did not fit: their latency is the worst there is and must not go uncounted.
    overflow: VecDeque<(Epoch, Arc<Stamps>)>,
    overflowed: u64,
    closed: bool,
}

/// Stamps kept of frames that did not fit; older ones are forgotten.
const OVERFLOW_FRAMES: usize = 65_536;

/// What the follower finds.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next frame in the outlet; not necessarily the next of the journal.
    Frame(Box<Committed>),
    /// Nothing in memory, but the journal has frames that the follower has not.
    Behind,
    /// Nothing new within the time given.
    Nothing,
    /// Nothing more will come.
    Closed,
}

impl Outlet {
    pub(super) fn new(max_frames: usize, max_events: usize, head: Epoch) -> Self {
        let state = State { head, ..State::default() };
        Outlet { state: Mutex::new(state), ready: Condvar::new(), max_frames, max_events }
    }

    /// Offers a durable frame; never waits.
    pub(super) fn offer(&self, committed: Committed) {
        let mut state = self.lock();
        state.head = committed.meta.epoch;
        let events = committed.envelopes.len() + committed.dead_letters.len();
        let fits = state.queue.len() < self.max_frames
            && (state.queue.is_empty() || state.events + events <= self.max_events);
        if fits {
            state.events += events;
            state.queue.push_back(committed);
        } else {
            state.overflowed += 1;
            if state.overflow.len() == OVERFLOW_FRAMES {
                state.overflow.pop_front();
            }
            state.overflow.push_back((committed.meta.epoch, committed.stamps));
        }
        drop(state);
        self.ready.notify_one();
    }

    /// No frame up to `epoch` can follow those offered.
    pub(super) fn pass(&self, epoch: Epoch) {
        let mut state = self.lock();
        state.passed = state.passed.max(epoch);
        drop(state);
        self.ready.notify_one();
    }

    /// Up to where a follower that has everything up to `at` has everything that will ever be.
    pub(super) fn passed(&self, at: Epoch) -> Epoch {
        let state = self.lock();
        if state.queue.is_empty() && state.head <= at { state.passed.max(at) } else { at }
    }

    /// Whether a follower that has everything up to `at` has everything, for the writer has stopped.
    pub(super) fn ended(&self, at: Epoch) -> bool {
        let state = self.lock();
        state.closed && state.queue.is_empty() && state.head <= at
    }

    /// The next frame in memory for a follower that has everything up to `at`, and knows that none up to `passed`
    /// follows.
    pub(super) fn take(&self, at: Epoch, passed: Epoch, timeout: Duration) -> Taken {
        let idle = |state: &mut State| {
            state.queue.is_empty() && state.head <= at && state.passed <= passed && !state.closed
        };
        let (mut state, _) = self
            .ready
            .wait_timeout_while(self.lock(), timeout, idle)
            .expect("no panic while the outlet is locked");
        match state.queue.pop_front() {
            Some(committed) => {
                state.events -= committed.envelopes.len() + committed.dead_letters.len();
                Taken::Frame(Box::new(committed))
            }
            None if state.head > at => Taken::Behind,
            None if state.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// The stamps of a frame that did not fit.
    pub(super) fn stamps_of(&self, epoch: Epoch) -> Option<Arc<Stamps>> {
        let mut state = self.lock();
        while state.overflow.front().is_some_and(|(first, _)| *first < epoch) {
            state.overflow.pop_front();
        }
        let hit = state.overflow.front().is_some_and(|(first, _)| *first == epoch);
        hit.then(|| state.overflow.pop_front()).flatten().map(|(_, stamps)| stamps)
    }

    pub(super) fn head(&self) -> Epoch {
        self.lock().head
    }

    /// Frames that did not fit so far: how often the follower had to go to the segments.
    pub(super) fn overflowed(&self) -> u64 {
        self.lock().overflowed
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the outlet is locked")
    }
}
