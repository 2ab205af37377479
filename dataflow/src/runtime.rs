//! Workers: feeds epochs to the dataflow graph and hands out what each closed epoch changed.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use timely::WorkerConfig;
use timely::communication::{AllocatorBuilder, Config, WorkerGuards};
use timely::execute::execute_from;

use crate::Datum;
use crate::graph::Graph;
use crate::keep::{Keeper, Kept, Part, Unfit};
use crate::membership::{Link, Membership};
use crate::pulse::Says;
use crate::signal::Signal;
use crate::time::Epoch;
use crate::view::{Commit, Stamps};
use crate::worker::{Life, Peers, Place};

/// How the graph runs. Answers do not depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Worker threads. One per core less one is a good start.
    pub workers: usize,
    /// Epochs a worker may have open before it takes the next: bounds memory, hides latency.
    pub epochs_in_flight: usize,
    /// Commits that may wait for the sink before the workers do.
    pub commits_waiting: usize,
    /// How often an idle worker looks for the next epoch, yielding in between, before it sleeps: a core for the time
    /// of a wake-up. 0: it sleeps at once.
    pub looks_before_sleep: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 1, epochs_in_flight: 16, commits_waiting: 256, looks_before_sleep: 0 }
    }
}

/// One epoch's input. Epochs are strictly increasing, and positive: the first is that of constants.
#[derive(Debug)]
pub struct Batch<E> {
    pub epoch: Epoch,
    pub events: Vec<E>,
    pub signals: Vec<Signal>,
    pub stamps: Arc<Stamps>,
}

/// What a worker is handed.
pub(crate) enum Order<E> {
    Epoch {
        batch: Batch<E>,
        says: Says,
    },
    /// Give what the operators keep as of the last epoch handed over.
    Keep(Sender<(usize, Vec<Part>)>),
    /// Every epoch up to this one has been handed over, or will never be.
    Until {
        until: Epoch,
        says: Says,
    },
}

struct Feed<E> {
    epochs: SyncSender<Order<E>>,
    worker: Thread,
}

/// The workers are gone, or were told to leave: the answers can only be had by starting again from the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dataflow's workers are gone; start again: the journal has everything")]
pub struct Gone;

/// Why a process cannot take part in a graph.
#[derive(Debug, thiserror::Error)]
pub enum NotJoined {
    /// The system gives no thread for a connection. Starting again may help.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Start again without what was kept.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// A running graph. Feed it epochs; receive a [`Commit`] for each, in order.
pub struct Runtime<E> {
    feeds: Vec<Feed<E>>,
    guards: Option<WorkerGuards<()>>,
    gathering: Gathering,
    leave: Leave,
}

/// What the workers of this process keep at the word of process 0, until all of them have given it.
struct Gathering {
    parts: Receiver<(Epoch, usize, Vec<Part>)>,
    epoch: Epoch,
    workers: Vec<Option<Vec<Part>>>,
}

impl Gathering {
    fn poll(&mut self) -> Option<Kept> {
        for (epoch, worker, parts) in self.parts.try_iter() {
            if epoch > self.epoch {
                // The one before will not be complete any more.
                self.epoch = epoch;
                self.workers.fill(None);
            }
            if epoch == self.epoch {
                self.workers[worker] = Some(parts);
            }
        }
        let there = self.workers.iter().all(Option::is_some);
        let workers = there.then(|| self.workers.iter_mut().filter_map(Option::take).collect())?;
        Some(Kept { epoch: self.epoch, workers })
    }
}

/// What the workers were asked to keep, on its way.
#[derive(Debug)]
pub struct Keeping {
    epoch: Epoch,
    parts: Receiver<(usize, Vec<Part>)>,
    workers: Vec<Option<Vec<Part>>>,
}

impl Keeping {
    /// What was kept, once every worker has closed the epoch; `None` before, and for ever if the graph ends first.
    pub fn poll(&mut self) -> Option<Kept> {
        for (worker, parts) in self.parts.try_iter() {
            self.workers[worker] = Some(parts);
        }
        let there = self.workers.iter().all(Option::is_some);
        let workers = there.then(|| self.workers.drain(..).flatten().collect())?;
        Some(Kept { epoch: self.epoch, workers })
    }
}

/// Makes the workers of this process leave a cluster where they stand. Clones share the word.
///
/// They take nothing more, and the commits end. The rest of the cluster is told nothing: an input that was given up is
/// not one that has ended. Their threads stay until the process ends, which must follow.
#[derive(Clone, Debug, Default)]
pub struct Leave(Arc<AtomicBool>);

impl Leave {
    pub fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What workers run on.
struct Threads {
    builders: Vec<AllocatorBuilder>,
    others: Box<dyn Any + Send>,
    process: usize,
    /// `None`: there is no other process.
    peers: Option<Peers>,
}

impl<E: Datum> Runtime<E> {
    /// Builds the graph on every worker and starts them.
    ///
    /// `build` must do the same on each worker. The receiver gets one commit per epoch sent; when it is dropped the
    /// workers go on and the commits are gone.
    pub fn start(
        options: Options,
        build: impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static,
    ) -> (Self, Receiver<Commit>) {
        Self::resume(options, None, build).expect("nothing kept fits every graph")
    }

    /// As [`Runtime::start`], going on from what a graph built alike kept: the next epoch to send is one after
    /// `kept.epoch`, and every commit is what that graph's would have been.
    ///
    /// Errors: it does not fit, and no worker runs.
    pub fn resume(
        options: Options,
        kept: Option<Kept>,
        build: impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static,
    ) -> Result<(Self, Receiver<Commit>), Unfit> {
        assert!(options.workers > 0, "a graph needs at least one worker");
        fits(kept.as_ref(), options.workers)?;
        let config =
            if options.workers == 1 { Config::Thread } else { Config::Process(options.workers) };
        let (builders, others) = config.try_build().expect("threads need no network");
        let threads = Threads { builders, others, process: 0, peers: None };
        let (runtime, commits) = Self::launch(options, threads, kept, build)?;
        Ok((runtime, commits.expect("the only process has the first worker")))
    }

    /// As [`Runtime::start`], as one of several processes that run the graph together.
    ///
    /// Every process brings its own epochs; an epoch is closed when all of them have passed it. Process 0 gets the
    /// commits, one per epoch of any process. All processes must have the same `options.workers` and `build`.
    ///
    /// With `kept`, they go on from what each of them kept as of the same epoch; all processes or none.
    ///
    /// When a connection breaks, the workers panic, and [`Runtime::try_send`] says that they are gone.
    pub fn join<L: Link + 'static>(
        options: Options,
        membership: Membership<L>,
        kept: Option<Kept>,
        build: impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static,
    ) -> Result<(Self, Option<Receiver<Commit>>), NotJoined> {
        assert!(options.workers > 0, "a graph needs at least one worker");
        fits(kept.as_ref(), options.workers)?;
        let process = membership.process;
        let (builders, others, peers) = membership.connect(options.workers)?;
        let threads = Threads { builders, others, process, peers: Some(peers) };
        Ok(Self::launch(options, threads, kept, build)?)
    }

    fn launch(
        options: Options,
        threads: Threads,
        kept: Option<Kept>,
        build: impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static,
    ) -> Result<(Self, Option<Receiver<Commit>>), Unfit> {
        let Threads { builders, others, process, peers } = threads;
        let first = process * options.workers;
        let kept = kept.map(|kept| (kept.epoch, Mutex::new(kept.workers)));
        let (commits, received) = sync_channel(options.commits_waiting.max(1));
        // The first worker of all takes it, so that its end is the end of the commits.
        let commits = Mutex::new(Some(commits));
        let (hello, workers) = sync_channel(options.workers);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..options.workers).map(|_| sync_channel(options.epochs_in_flight.max(1))).unzip();
        let receivers =
            Mutex::new(receivers.into_iter().map(Some).collect::<Vec<Option<Receiver<_>>>>());
        let leave = Leave::default();
        let (give, parts) = channel();

        let told_to_leave = leave.clone();
        let guards = execute_from(builders, others, WorkerConfig::default(), move |worker| {
            let index = worker.index() - first;
            let epochs = receivers.lock().expect("workers start once")[index]
                .take()
                .expect("each worker takes its own feed");
            let keeper = match &kept {
                None => Keeper::default(),
                Some((epoch, parts)) => {
                    let mut parts = parts.lock().expect("workers start once");
                    Keeper::resuming(*epoch, std::mem::take(&mut parts[index]))
                }
            };
            let owner = worker.index() == 0;
            let commits =
                owner.then(|| commits.lock().expect("workers start once").take()).flatten();
            let place = Place {
                epochs,
                commits,
                in_flight: options.epochs_in_flight.max(1),
                looks: options.looks_before_sleep,
                // One worker speaks for its process.
                speaks: index == 0,
                peers: peers.clone(),
                parts: give.clone(),
                local: index,
                leave: told_to_leave.clone(),
            };
            let life = Life::new(worker, keeper, place, &build);
            let fits = life.check();
            let unfit = fits.is_err();
            hello
                .send((index, std::thread::current(), fits))
                .expect("the starter waits for every worker");
            if !unfit {
                life.run(worker);
            }
        })
        .expect("worker threads start");

        let mut threads: Vec<(usize, Thread, Result<(), Unfit>)> =
            (0..options.workers).map(|_| workers.recv().expect("every worker starts")).collect();
        threads.sort_by_key(|(index, _, _)| *index);
        let fits = threads.iter().try_for_each(|(_, _, fits)| fits.clone());
        let feeds = senders
            .into_iter()
            .zip(threads)
            .map(|(epochs, (_, worker, _))| Feed { epochs, worker })
            .collect();
        let gathering = Gathering { parts, epoch: 0, workers: vec![None; options.workers] };
        let runtime = Runtime { feeds, guards: Some(guards), gathering, leave };
        match fits {
            Ok(()) => Ok((runtime, (process == 0).then_some(received))),
            Err(unfit) => {
                runtime.finish();
                Err(unfit)
            }
        }
    }

    /// Hands an epoch to the workers; waits while too many are in flight.
    ///
    /// Panics if a worker died: the answers can only be had by starting again from the journal.
    pub fn send(&self, batch: Batch<E>) {
        self.try_send(batch).expect("a dataflow worker died; restart from the journal");
    }

    /// As [`Runtime::send`], for a process of a cluster, whose workers may go with another process.
    pub fn try_send(&self, batch: Batch<E>) -> Result<(), Gone> {
        self.try_send_saying(batch, Says::default())
    }

    /// As [`Runtime::try_send`], with something for all processes of the cluster. With `keep` each keeps what its
    /// operators hold as of this epoch, and has it from [`Runtime::kept`]. Nothing waits for it.
    pub fn try_send_saying(&self, batch: Batch<E>, says: Says) -> Result<(), Gone> {
        let share = batch.events.len().div_ceil(self.feeds.len());
        let mut rest = batch.events;
        let mut signals = batch.signals;
        for feed in &self.feeds {
            let events = if rest.len() <= share {
                std::mem::take(&mut rest)
            } else {
                let tail = rest.split_off(share);
                std::mem::replace(&mut rest, tail)
            };
            let part = Batch {
                epoch: batch.epoch,
                events,
                signals: std::mem::take(&mut signals),
                stamps: Arc::clone(&batch.stamps),
            };
            feed.tell(Order::Epoch { batch: part, says })?;
        }
        Ok(())
    }

    /// Asks for what the operators keep as of `epoch`, the last one sent. Nothing waits for it; what was asked for
    /// before and is not there yet will not come.
    pub fn keep(&self, epoch: Epoch) -> Keeping {
        let (sender, parts) = channel();
        for feed in &self.feeds {
            let order = Order::Keep(sender.clone());
            feed.tell(order).expect("a dataflow worker died; restart from the journal");
        }
        Keeping { epoch, parts, workers: vec![None; self.feeds.len()] }
    }

    /// Says that no epoch up to `until` will be sent any more, so that other processes need not wait for this one; `says`
    /// is said as of `until`, as by [`Runtime::try_send_saying`].
    pub fn pass(&self, until: Epoch, says: Says) -> Result<(), Gone> {
        self.feeds.iter().try_for_each(|feed| feed.tell(Order::Until { until, says }))
    }

    /// What the workers of this process have kept at the word of a process of the cluster, once all of them have.
    pub fn kept(&mut self) -> Option<Kept> {
        self.gathering.poll()
    }

    /// How to leave a cluster without its consent.
    pub fn leave(&self) -> Leave {
        self.leave.clone()
    }

    /// Ends the input and waits until every epoch has been answered.
    pub fn finish(mut self) {
        self.end();
        if let Some(guards) = self.guards.take() {
            for outcome in guards.join() {
                if let Err(reason) = outcome {
                    assert!(std::thread::panicking(), "a dataflow worker died: {reason}");
                }
            }
        }
    }

    /// Ends the input of this process, and waits at most `patience` for the others to end theirs; then leaves.
    ///
    /// True when every epoch of every process has been answered.
    pub fn finish_within(mut self, patience: Duration) -> bool {
        /// How often it is looked whether somebody said to leave.
        const LOOK: Duration = Duration::from_millis(20);
        self.end();
        let Some(guards) = self.guards.take() else { return false };
        let (done, ended) = sync_channel(1);
        let leave = self.leave.clone();
        // Whoever leaves never joins its threads: they wait for the others, and end with the process.
        let join = move || {
            let all = guards.join().iter().all(Result::is_ok);
            // The one who asked may have gone.
            let _ = done.send(all);
        };
        let waits = std::thread::Builder::new().name("timely:farewell".into()).spawn(join);
        let mut left = patience;
        while waits.is_ok() && !leave.said() && !left.is_zero() {
            match ended.recv_timeout(LOOK) {
                Ok(all) if all => return true,
                Ok(_) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => left = left.saturating_sub(LOOK),
            }
        }
        leave.say();
        false
    }

    fn end(&mut self) {
        for feed in self.feeds.drain(..) {
            drop(feed.epochs);
            feed.worker.unpark();
        }
    }
}

/// What was kept by so many workers is for as many.
fn fits(kept: Option<&Kept>, workers: usize) -> Result<(), Unfit> {
    match kept.map(|kept| kept.workers.len()) {
        Some(had) if had != workers => {
            Err(Unfit(format!("it is of {had} workers, and there are {workers}")))
        }
        _ => Ok(()),
    }
}

impl<E> Feed<E> {
    fn tell(&self, order: Order<E>) -> Result<(), Gone> {
        self.epochs.send(order).map_err(|_| Gone)?;
        self.worker.unpark();
        Ok(())
    }
}

impl<E> Drop for Runtime<E> {
    fn drop(&mut self) {
        for feed in self.feeds.drain(..) {
            drop(feed.epochs);
            feed.worker.unpark();
        }
        if self.leave.said()
            && let Some(guards) = self.guards.take()
        {
            // Dropping them would wait for threads that wait for other processes.
            std::mem::forget(guards);
        }
    }
}
