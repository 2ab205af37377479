//! The bounded queue before the writer, and who has been heard from when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use highwater_dataflow::{Epoch, PartitionId};

use super::error::JournalError;
use super::writer::{Acknowledgement, Refusal, Refused};
use crate::intake::Delivery;

/// What the writer is asked to do, in order.
pub(super) enum Job {
    Deliver(Queued),
    /// The partition's source says that it has nothing for now.
    Idle(PartitionId),
    /// Somebody waits for processing time.
    Tick,
    /// Drop the segments before this record.
    Drop(u64, DropReply),
}

pub(super) type DropReply = Box<dyn FnOnce(Result<usize, JournalError>) + Send>;

pub(super) struct Queued {
    pub delivery: Delivery,
    /// Nothing follows in this partition.
    pub end: bool,
    pub acknowledgement: Acknowledgement,
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub events: usize,
    pub bytes: usize,
    pub linger: Duration,
}

/// Many submitters, one writer.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
    max_events: usize,
    max_bytes: usize,
}

struct State {
    jobs: VecDeque<Job>,
    events: usize,
    bytes: usize,
    heard: BTreeMap<PartitionId, Heard>,
    opened: Instant,
    /// Somebody waits until no frame up to here can follow; taken by the writer.
    pass: Option<Epoch>,
    /// Nothing more is accepted; the writer finishes what is there.
    closed: bool,
    /// The writer is gone.
    failed: bool,
}

#[derive(Clone, Copy)]
struct Heard {
    last: Instant,
    waiting: u32,
}

/// What was taken.
pub(super) struct Taken {
    pub jobs: Vec<Job>,
    /// Say so once no frame up to here can follow.
    pub pass: Option<Epoch>,
    /// Nothing is left and nothing will come.
    pub finished: bool,
}

/// What a delivery weighs besides its bytes.
const ITEM_BYTES: usize = 64;

impl Queue {
    pub(super) fn new(max_events: usize, max_bytes: usize, opened: Instant) -> Self {
        Queue {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                events: 0,
                bytes: 0,
                heard: BTreeMap::new(),
                opened,
                pass: None,
                closed: false,
                failed: false,
            }),
            arrived: Condvar::new(),
            room: Condvar::new(),
            max_events,
            max_bytes,
        }
    }

    /// Queues a delivery if there is room, else gives it back. `now` is when its partition was last heard from,
    /// accepted or not: a source that is held back is not silent.
    pub(super) fn submit(&self, queued: Queued, now: Instant, wait: bool) -> Result<(), Refused> {
        let delivery = &queued.delivery;
        let partition = delivery.partition;
        let (events, bytes) = weigh(delivery);
        let mut state = self.lock();
        let fits = |state: &State| {
            state.events + events <= self.max_events && state.bytes + bytes <= self.max_bytes
        };
        state.hear(partition, now);
        let too_large = events > self.max_events || bytes > self.max_bytes;
        while wait && !too_large && !state.over() && !fits(&state) {
            state = self.room.wait(state).expect("no panic while the queue is locked");
        }
        let refusal = if state.over() {
            Refusal::Failing
        } else if too_large {
            Refusal::TooLarge { max_events: self.max_events, max_bytes: self.max_bytes }
        } else if !fits(&state) {
            Refusal::Overloaded
        } else {
            state.events += events;
            state.bytes += bytes;
            state.hear(partition, now).waiting += 1;
            state.jobs.push_back(Job::Deliver(queued));
            drop(state);
            self.arrived.notify_one();
            return Ok(());
        };
        drop(state);
        Err(Refused { refusal, delivery: queued.delivery })
    }

    /// Queues a request that carries no events, waiting for room. False: the writer is gone.
    pub(super) fn request(&self, job: Job) -> bool {
        let full = |state: &mut State| !state.over() && state.jobs.len() >= self.max_events;
        let mut state =
            self.room.wait_while(self.lock(), full).expect("no panic while the queue is locked");
        if state.over() {
            return false;
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// Asks the writer to say when no frame up to `epoch` can follow; never waits.
    pub(super) fn pass(&self, epoch: Epoch) {
        let mut state = self.lock();
        state.pass = state.pass.max(Some(epoch));
        drop(state);
        self.arrived.notify_one();
    }

    /// The next jobs within the limits (one delivery at least), waiting up to `timeout` for the first.
    pub(super) fn take(&self, limits: Limits, timeout: Duration) -> Taken {
        let nothing =
            |state: &mut State| state.jobs.is_empty() && state.pass.is_none() && !state.closed;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, nothing)
            .expect("no panic while the queue is locked");
        if !limits.linger.is_zero() && !state.jobs.is_empty() {
            let small = |state: &mut State| {
                state.events < limits.events && state.bytes < limits.bytes && !state.closed
            };
            (state, _) = self
                .arrived
                .wait_timeout_while(state, limits.linger, small)
                .expect("no panic while the queue is locked");
        }
        let mut jobs = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        while let Some(job) = state.jobs.front() {
            if let Job::Deliver(queued) = job {
                let (more_events, more_bytes) = weigh(&queued.delivery);
                let over =
                    events + more_events > limits.events || bytes + more_bytes > limits.bytes;
                if over && events > 0 {
                    break;
                }
                events += more_events;
                bytes += more_bytes;
            } else if jobs.len() >= limits.events {
                break;
            }
            let job = state.jobs.pop_front().expect("it is at the front");
            state.forget(&job);
            jobs.push(job);
        }
        let pass = state.pass.take();
        let finished = jobs.is_empty() && state.closed;
        drop(state);
        self.room.notify_all();
        Taken { jobs, pass, finished }
    }

    /// Everything that waits: after a failed write the order within a partition must not have holes.
    pub(super) fn drain(&self) -> Vec<Job> {
        let mut state = self.lock();
        let jobs: Vec<Job> = state.jobs.drain(..).collect();
        for job in &jobs {
            state.forget(job);
        }
        drop(state);
        self.room.notify_all();
        jobs
    }

    /// How long each of `partitions` has said nothing; one with something waiting is left out.
    pub(super) fn silence(
        &self,
        partitions: impl Iterator<Item = PartitionId>,
        now: Instant,
    ) -> BTreeMap<PartitionId, Duration> {
        let state = self.lock();
        partitions
            .filter_map(|id| match state.heard.get(&id) {
                Some(heard) if heard.waiting > 0 => None,
                Some(heard) => Some((id, now.saturating_duration_since(heard.last))),
                None => Some((id, now.saturating_duration_since(state.opened))),
            })
            .collect()
    }

    /// Events and bytes waiting.
    pub(super) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.events, state.bytes)
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// The writer is gone: whatever comes is refused.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the queue is locked")
    }
}

impl State {
    fn over(&self) -> bool {
        self.closed || self.failed
    }

    fn hear(&mut self, id: PartitionId, now: Instant) -> &mut Heard {
        let heard = self.heard.entry(id).or_insert(Heard { last: now, waiting: 0 });
        heard.last = heard.last.max(now);
        heard
    }

    fn forget(&mut self, job: &Job) {
        if let Job::Deliver(queued) = job {
            let (events, bytes) = weigh(&queued.delivery);
            self.events -= events;
            self.bytes -= bytes;
            if let Some(heard) = self.heard.get_mut(&queued.delivery.partition) {
                heard.waiting -= 1;
            }
        }
    }
}

fn weigh(delivery: &Delivery) -> (usize, usize) {
    let raw: usize = delivery.items.iter().map(|item| item.raw.len() + ITEM_BYTES).sum();
    (delivery.items.len(), raw)
}
