//! The writer's thread and the handle that sources hold: submit, be told, register, end, drop, close.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use highwater_dataflow::{Clock, Epoch, EventTime, Millis, PartitionId};
use thiserror::Error;
use tracing::{error, info, warn};

use super::assemble::Input;
use super::book::Book;
use super::core::{Journal, NotWritten};
use super::error::JournalError;
use super::options::PartitionSpec;
use super::outlet::Outlet;
use super::queue::{Job, Limits, Queue, Queued};
use super::store::Tip;
use crate::intake::Delivery;

/// Told the outcome of a delivery, on the writer's thread: it must not block.
pub type Acknowledgement = Box<dyn FnOnce(Result<Appended, Refused>) + Send>;

/// Told of the error that ended the journal.
pub type Fatal = Arc<dyn Fn(&JournalError) + Send + Sync>;

/// The delivery is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub epoch: Epoch,
    /// Items have consecutive numbers from here.
    pub first_seq: u64,
    pub durable: Instant,
    /// Items that became dead letters: index in the delivery, and why.
    pub rejected: Vec<(usize, String)>,
}

/// The delivery is not in the journal; here it is again.
///
/// A source that resumes by position must not have later deliveries under way: when one is refused and a later one
/// is accepted, the resume position lies after both.
#[derive(Debug, Error)]
#[error("{refusal}")]
pub struct Refused {
    pub refusal: Refusal,
    pub delivery: Delivery,
}

/// Why a delivery was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The queue is full: send again later.
    #[error("the journal's queue is full; send again in a second")]
    Overloaded,
    /// The disk is full: send again once there is space.
    #[error("the journal's disk is full; send again later")]
    Full,
    /// It would not fit into the empty queue: send it in parts.
    #[error(
        "the delivery is larger than the journal's queue ({max_events} events, {max_bytes} bytes); \
         send it in parts"
    )]
    TooLarge { max_events: usize, max_bytes: usize },
    /// The journal is closed or broken.
    #[error("the journal takes nothing more")]
    Failing,
}

impl Refusal {
    /// Whether the same delivery can be accepted later, and after how long it makes sense to ask.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Refusal::Overloaded => Some(Duration::from_secs(1)),
            Refusal::Full => Some(Duration::from_secs(5)),
            Refusal::TooLarge { .. } | Refusal::Failing => None,
        }
    }
}

/// The journal's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStatus {
    pub tip: Tip,
    /// The first record still held.
    pub retained_from: u64,
    pub waiting_events: usize,
    pub waiting_bytes: usize,
    /// The last append found the disk full.
    pub full: bool,
    pub failed: bool,
    /// Since the start.
    pub frames: u64,
    pub dead_letters: u64,
    /// Frames that the follower had to read back.
    pub overflowed: u64,
}

/// A partition as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub id: PartitionId,
    pub name: String,
    pub kind: String,
    /// Position of its last durable record.
    pub position: Option<u64>,
    /// Its last bound, ms UTC; `BEGINNING` before the first.
    pub bound: EventTime,
    pub idle: bool,
    /// Whether its silence means that nothing happens; so it is taken where no source has registered it.
    pub live: bool,
    pub disorder_ms: Millis,
    /// How long it has said nothing; `None` while it has something waiting.
    pub silent: Option<Duration>,
}

/// The sources' end of the journal. The thread stops when the last clone is dropped.
#[derive(Clone)]
pub struct JournalWriter {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Queue,
    outlet: Arc<Outlet>,
    book: Arc<Mutex<Book>>,
    clock: Arc<dyn Clock>,
    tip: Mutex<(Tip, u64)>,
    full: AtomicBool,
    failed: AtomicBool,
    frames: AtomicU64,
    dead_letters: AtomicU64,
}

impl JournalWriter {
    pub(super) fn spawn(
        journal: Journal,
        outlet: Arc<Outlet>,
        fatal: Fatal,
    ) -> Result<JournalWriter, JournalError> {
        let options = &journal.options;
        let queue = Queue::new(options.queue_events, options.queue_bytes, journal.clock.instant());
        let shared = Arc::new(Shared {
            queue,
            outlet,
            book: journal.book.clone(),
            clock: journal.clock.clone(),
            tip: Mutex::new((journal.tip(), journal.store.retained_from())),
            full: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
        });
        let dir = journal.store.dir().to_owned();
        let last_tick = journal.clock.instant();
        let writer = Writer { journal, shared: shared.clone(), fatal, last_tick };
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(|e| JournalError::io("cannot start the writer of", &dir, e))?;
        let thread = Mutex::new(Some(thread));
        Ok(JournalWriter { handle: Arc::new(Handle { shared, thread }) })
    }

    /// A process that cannot trust its disk stops at once: restarting recovers, carrying on may not.
    pub fn abort_on_fatal() -> Fatal {
        Arc::new(|_| std::process::abort())
    }

    /// The number of a partition, stable across restarts by its name. Called at every start, before submitting.
    pub fn register_partition(&self, spec: PartitionSpec) -> PartitionId {
        self.book().register(spec)
    }

    /// Queues a delivery without waiting; `acknowledgement` is told once it is durable.
    ///
    /// Errors: `Overloaded` when the queue is full; the acknowledgement is dropped unused then.
    /// Panics when the delivery's partition is not registered.
    pub fn try_submit(
        &self,
        delivery: Delivery,
        acknowledgement: Acknowledgement,
    ) -> Result<(), Refused> {
        self.enqueue(delivery, false, acknowledgement, false)
    }

    /// Queues a delivery, waiting for room.
    pub fn submit(
        &self,
        delivery: Delivery,
        acknowledgement: Acknowledgement,
    ) -> Result<(), Refused> {
        self.enqueue(delivery, false, acknowledgement, true)
    }

    /// Waits until a delivery is durable. Not for async code.
    pub fn append(&self, delivery: Delivery) -> Result<Appended, Refused> {
        self.wait_for(delivery, false)
    }

    /// Queues a delivery for async code: the receiver yields the outcome.
    ///
    /// A receiver that yields an error instead means that the process is going down.
    pub fn try_append(
        &self,
        delivery: Delivery,
    ) -> Result<tokio::sync::oneshot::Receiver<Result<Appended, Refused>>, Refused> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A sender that has gone away does not want to know.
        self.try_submit(delivery, Box::new(move |outcome| drop(sender.send(outcome))))?;
        Ok(receiver)
    }

    /// Says that nothing follows in a partition: it holds the watermark no longer. Waits until that is durable.
    ///
    /// When the source finds more after all, it just submits it.
    pub fn end_partition(&self, partition: PartitionId) -> Result<Appended, Refused> {
        let shared = &self.handle.shared;
        let received_at = shared.clock.now_ms();
        let items = Vec::new();
        let delivery = Delivery { partition, items, received: None, received_at, history: false };
        self.wait_for(delivery, true)
    }

    /// Says that a partition was polled at its head and has nothing. May be repeated; a full disk forgets it.
    pub fn declare_idle(&self, partition: PartitionId) {
        self.handle.shared.queue.request(Job::Idle(partition));
    }

    /// Asks for a frame that says that processing time passed. A full disk forgets it.
    pub fn request_tick(&self) {
        self.handle.shared.queue.request(Job::Tick);
    }

    /// Makes the follower's [`passed`](super::Follower::passed) reach `epoch`, so that somebody who has epochs of
    /// his own need not wait for ours. Costs no commit; never waits.
    pub fn pass(&self, epoch: Epoch) {
        self.handle.shared.queue.pass(epoch);
    }

    /// Unlinks the segments whose records are all before `seq`; waits until it is done; returns how many went.
    ///
    /// The caller has made sure that no view, checkpoint or backup needs them.
    pub fn drop_before(&self, seq: u64) -> Result<usize, JournalError> {
        let (sender, receiver) = mpsc::channel();
        let reply = Box::new(move |outcome| drop(sender.send(outcome)));
        self.handle.shared.queue.request(Job::Drop(seq, reply));
        // The writer that goes down before it replies drops nothing.
        receiver.recv().unwrap_or(Ok(0))
    }

    /// Every partition ever used, with where its source resumes.
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        let shared = &self.handle.shared;
        let book = self.book();
        let ids = book.ledger.partitions.keys().copied();
        let silence = shared.queue.silence(ids, shared.clock.instant());
        let partitions = book.ledger.partitions.iter().map(|(&id, entry)| PartitionStatus {
            id,
            name: entry.name.clone(),
            kind: entry.kind.clone(),
            position: entry.position,
            bound: entry.bound,
            idle: entry.idle,
            live: book.specs.get(&id).is_none_or(|spec| spec.live),
            disorder_ms: book.specs.get(&id).map_or(0, |spec| spec.disorder_ms),
            silent: silence.get(&id).copied(),
        });
        partitions.collect()
    }

    /// Position of the partition's last durable record: its source resumes after it.
    pub fn resume_position(&self, partition: PartitionId) -> Option<u64> {
        self.book().ledger.partitions.get(&partition)?.position
    }

    pub fn status(&self) -> JournalStatus {
        let shared = &self.handle.shared;
        let (waiting_events, waiting_bytes) = shared.queue.depth();
        let (tip, retained_from) = *shared.tip();
        JournalStatus {
            tip,
            retained_from,
            waiting_events,
            waiting_bytes,
            full: shared.full.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            frames: shared.frames.load(Ordering::Relaxed),
            dead_letters: shared.dead_letters.load(Ordering::Relaxed),
            overflowed: shared.outlet.overflowed(),
        }
    }

    /// Takes nothing more, makes what is queued durable, and waits for that.
    pub fn close(&self) {
        self.handle.close();
    }

    fn wait_for(&self, delivery: Delivery, end: bool) -> Result<Appended, Refused> {
        let (sender, receiver) = mpsc::channel();
        let acknowledgement: Acknowledgement = Box::new(move |outcome| drop(sender.send(outcome)));
        self.enqueue(delivery, end, acknowledgement, true)?;
        receiver.recv().expect("the writer answers every delivery it has taken")
    }

    fn enqueue(
        &self,
        delivery: Delivery,
        end: bool,
        acknowledgement: Acknowledgement,
        wait: bool,
    ) -> Result<(), Refused> {
        let shared = &self.handle.shared;
        // Asserts that the partition is registered, here and not on the writer's thread.
        self.book().spec(delivery.partition);
        let now = shared.clock.instant();
        shared.queue.submit(Queued { delivery, end, acknowledgement }, now, wait)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.handle.shared.book.lock().expect("no panic while the book is locked")
    }
}

impl Handle {
    fn close(&self) {
        self.shared.queue.close();
        let thread = self.thread.lock().expect("no panic while joining").take();
        // An acknowledgement may hold the last clone: the writer cannot wait for itself.
        if let Some(thread) = thread.filter(|it| it.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            error!("the journal's writer panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn tip(&self) -> MutexGuard<'_, (Tip, u64)> {
        self.tip.lock().expect("no panic while the tip is locked")
    }
}

/// The thread.
struct Writer {
    journal: Journal,
    shared: Arc<Shared>,
    fatal: Fatal,
    last_tick: Instant,
}

impl Writer {
    fn run(mut self) {
        let _guard = PanicGuard(self.shared.clone());
        let outcome = self.work();
        if let Err(error) = outcome {
            self.shared.failed.store(true, Ordering::Relaxed);
            self.shared.queue.fail();
            error!(error = %chain(&error), "the journal cannot go on");
            refuse(jobs_to_inputs(self.shared.queue.drain()), Refusal::Failing);
            self.shared.outlet.close();
            (self.fatal)(&error);
            return;
        }
        self.shared.outlet.close();
        match self.journal.store.close() {
            Ok(()) => info!("journal closed"),
            // Everything is in the log; the next start copies it.
            Err(error) => warn!(error = %chain(&error), "journal closed with its log left over"),
        }
    }

    fn work(&mut self) -> Result<(), JournalError> {
        let options = &self.journal.options;
        let limits = Limits {
            events: options.frame_events,
            bytes: options.frame_bytes,
            linger: options.linger,
        };
        let tick_every = options.tick_every;
        loop {
            let since = self.shared.clock.instant().saturating_duration_since(self.last_tick);
            let taken = self.shared.queue.take(limits, tick_every.saturating_sub(since));
            if taken.finished {
                return Ok(());
            }
            let mut inputs = Vec::with_capacity(taken.jobs.len());
            for job in taken.jobs {
                match job {
                    Job::Deliver(queued) => inputs.push(Input::Delivery(queued)),
                    Job::Idle(partition) => inputs.push(Input::Idle(partition)),
                    Job::Tick => inputs.push(Input::Tick),
                    Job::Drop(seq, reply) => self.drop_before(seq, reply)?,
                }
            }
            let silence = self.silence(tick_every);
            self.commit(inputs, silence.as_ref())?;
            if let Some(epoch) = taken.pass {
                let passed = self.journal.pass(epoch);
                self.shared.outlet.pass(passed);
            }
        }
    }

    /// How long partitions have been silent, when it is time to look.
    fn silence(&mut self, every: Duration) -> Option<BTreeMap<PartitionId, Duration>> {
        let now = self.shared.clock.instant();
        if now.saturating_duration_since(self.last_tick) < every {
            return None;
        }
        self.last_tick = now;
        Some(self.shared.queue.silence(self.journal.partitions().into_iter(), now))
    }

    fn commit(
        &mut self,
        inputs: Vec<Input>,
        silence: Option<&BTreeMap<PartitionId, Duration>>,
    ) -> Result<(), JournalError> {
        let shared = &self.shared;
        match self.journal.commit(inputs, silence) {
            Ok(None) => Ok(()),
            Ok(Some((committed, answers))) => {
                let before = shared.tip().0.epoch;
                *shared.tip() = (self.journal.tip(), self.journal.store.retained_from());
                if committed.meta.epoch > before && self.journal.tip().epoch > before {
                    shared.frames.fetch_add(1, Ordering::Relaxed);
                    let dead = committed.dead_letters.len() as u64;
                    shared.dead_letters.fetch_add(dead, Ordering::Relaxed);
                    shared.outlet.offer(committed);
                }
                if shared.full.swap(false, Ordering::Relaxed) {
                    info!("the journal's disk has room again");
                }
                for (queued, appended) in answers {
                    (queued.acknowledgement)(Ok(appended));
                }
                self.journal.store.after_append(&self.journal.options)
            }
            Err(failed) => {
                let NotWritten { error, inputs } = *failed;
                if matches!(error, JournalError::Full) {
                    return self.shed(inputs);
                }
                refuse(inputs, Refusal::Failing);
                Err(error)
            }
        }
    }

    /// The disk is full: gives everything back.
    fn shed(&mut self, inputs: Vec<Input>) -> Result<(), JournalError> {
        if !self.shared.full.swap(true, Ordering::Relaxed) {
            warn!("the journal's disk is full: refusing input until there is room");
        }
        // What waits behind must not overtake what is refused; what comes after a sender was told is a new attempt.
        let behind = self.shared.queue.drain();
        refuse(inputs, Refusal::Full);
        for job in behind {
            match job {
                Job::Drop(seq, reply) => self.drop_before(seq, reply)?,
                other => refuse(jobs_to_inputs(vec![other]), Refusal::Full),
            }
        }
        Ok(())
    }

    fn drop_before(
        &mut self,
        seq: u64,
        reply: super::queue::DropReply,
    ) -> Result<(), JournalError> {
        let outcome = self.journal.store.drop_before(seq);
        self.shared.tip().1 = self.journal.store.retained_from();
        match outcome {
            Ok(dropped) => {
                reply(Ok(dropped));
                Ok(())
            }
            // The caller gets its reply from the broken channel; the error goes to `fatal`.
            Err(error) => Err(error),
        }
    }
}

/// A bug that stops the thread must not leave senders waiting for ever.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
            self.0.queue.fail();
            refuse(jobs_to_inputs(self.0.queue.drain()), Refusal::Failing);
            self.0.outlet.close();
        }
    }
}

fn jobs_to_inputs(jobs: Vec<Job>) -> Vec<Input> {
    let delivery = |job| match job {
        Job::Deliver(queued) => Some(Input::Delivery(queued)),
        Job::Idle(_) | Job::Tick | Job::Drop(..) => None,
    };
    jobs.into_iter().filter_map(delivery).collect()
}

fn refuse(inputs: Vec<Input>, refusal: Refusal) {
    for input in inputs {
        if let Input::Delivery(Queued { delivery, acknowledgement, .. }) = input {
            acknowledgement(Err(Refused { refusal, delivery }));
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &JournalError) -> String {
    let mut text = error.to_string().replace('\n', "; ");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
