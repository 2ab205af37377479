//! Workers: feeds epochs to the dataflow graph and hands out what each closed epoch changed.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use timely::communication::WorkerGuards;
use timely::dataflow::InputHandleVec;
use timely::worker::Worker;

use crate::Datum;
use crate::graph::{Graph, Outlet};
use crate::keep::{Keeper, Kept, Part, Unfit};
use crate::signal::Signal;
use crate::table::Change;
use crate::time::Epoch;
use crate::view::{Commit, Stamps};

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

/// One epoch's input. Epochs are strictly increasing.
#[derive(Debug)]
pub struct Batch<E> {
    pub epoch: Epoch,
    pub events: Vec<E>,
    pub signals: Vec<Signal>,
    pub stamps: Arc<Stamps>,
}

/// What a worker is handed.
enum Order<E> {
    Epoch(Batch<E>),
    /// Give what the operators keep as of the last epoch handed over.
    Keep(Sender<(usize, Vec<Part>)>),
}

struct Feed<E> {
    epochs: SyncSender<Order<E>>,
    worker: Thread,
}

/// A running graph. Feed it epochs; receive a [`Commit`] for each, in order.
pub struct Runtime<E> {
    feeds: Vec<Feed<E>>,
    guards: Option<WorkerGuards<()>>,
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
        if let Some(kept) = &kept
            && kept.workers.len() != options.workers
        {
            let (had, has) = (kept.workers.len(), options.workers);
            return Err(Unfit(format!("it is of {had} workers, and there are {has}")));
        }
        let kept = kept.map(|kept| (kept.epoch, Mutex::new(kept.workers)));
        let (commits, received) = sync_channel(options.commits_waiting.max(1));
        let (hello, workers) = sync_channel(options.workers);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..options.workers).map(|_| sync_channel(options.epochs_in_flight.max(1))).unzip();
        let receivers =
            Mutex::new(receivers.into_iter().map(Some).collect::<Vec<Option<Receiver<_>>>>());

        let config = if options.workers == 1 {
            timely::Config::thread()
        } else {
            timely::Config::process(options.workers)
        };
        let guards = timely::execute(config, move |worker| {
            let index = worker.index();
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
            let commits = (index == 0).then(|| commits.clone());
            let life = Life::new(worker, keeper, &build);
            let fits = life.keeper.check();
            let unfit = fits.is_err();
            hello
                .send((index, std::thread::current(), fits))
                .expect("the starter waits for every worker");
            if !unfit {
                life.run(worker, &epochs, commits.as_ref(), options);
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
        let runtime = Runtime { feeds, guards: Some(guards) };
        match fits {
            Ok(()) => Ok((runtime, received)),
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
            feed.epochs
                .send(Order::Epoch(part))
                .expect("a dataflow worker died; restart from the journal");
            feed.worker.unpark();
        }
    }

    /// Asks for what the operators keep as of `epoch`, the last one sent. Nothing waits for it; what was asked for
    /// before and is not there yet will not come.
    pub fn keep(&self, epoch: Epoch) -> Keeping {
        let (sender, parts) = channel();
        for feed in &self.feeds {
            let order = Order::Keep(sender.clone());
            feed.epochs.send(order).expect("a dataflow worker died; restart from the journal");
            feed.worker.unpark();
        }
        Keeping { epoch, parts, workers: vec![None; self.feeds.len()] }
    }

    /// Ends the input and waits until every epoch has been answered.
    pub fn finish(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        for feed in self.feeds.drain(..) {
            drop(feed.epochs);
            feed.worker.unpark();
        }
        if let Some(guards) = self.guards.take() {
            for outcome in guards.join() {
                if let Err(reason) = outcome {
                    assert!(std::thread::panicking(), "a dataflow worker died: {reason}");
                }
            }
        }
    }
}

impl<E> Drop for Runtime<E> {
    fn drop(&mut self) {
        for feed in self.feeds.drain(..) {
            drop(feed.epochs);
            feed.worker.unpark();
        }
    }
}

/// One worker's life: take epochs while there is room, step, hand out closed ones.
struct Life<E: Datum> {
    events: InputHandleVec<Epoch, Change<E>>,
    signals: InputHandleVec<Epoch, Signal>,
    outlet: Outlet,
    keeper: Keeper,
    open: VecDeque<(Epoch, Arc<Stamps>)>,
    /// The last epoch taken.
    at: Epoch,
    /// The epoch as of which parts are asked for, and by whom.
    keeping: Option<(Epoch, Sender<(usize, Vec<Part>)>)>,
}

impl<E: Datum> Life<E> {
    fn new(
        worker: &mut Worker,
        keeper: Keeper,
        build: &(impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static),
    ) -> Self {
        let mut events: InputHandleVec<Epoch, Change<E>> = InputHandleVec::new();
        let mut signals: InputHandleVec<Epoch, Signal> = InputHandleVec::new();
        let outlet = worker.dataflow::<Epoch, _, _>(|scope| {
            let mut graph = Graph::new(events.to_stream(scope), signals.to_stream(scope), &keeper);
            build(&mut graph);
            graph.finish()
        });
        let at = keeper.resumed().unwrap_or_default();
        if let Some(resumed) = keeper.resumed() {
            events.advance_to(resumed + 1);
            signals.advance_to(resumed + 1);
        }
        Life { events, signals, outlet, keeper, open: VecDeque::new(), at, keeping: None }
    }

    fn run(
        mut self,
        worker: &mut Worker,
        epochs: &Receiver<Order<E>>,
        commits: Option<&SyncSender<Commit>>,
        options: Options,
    ) {
        let in_flight = options.epochs_in_flight.max(1);
        let mut ended = false;
        let mut looks = 0;
        let mut rows = Vec::new();
        while !(ended && self.open.is_empty()) {
            while !ended && self.open.len() < in_flight {
                match epochs.try_recv() {
                    Ok(Order::Epoch(batch)) => self.take(batch, &mut rows),
                    Ok(Order::Keep(to)) => {
                        self.keeper.ask(self.at);
                        self.keeping = Some((self.at, to));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => ended = true,
                }
            }
            if !self.open.is_empty() || ended {
                looks = 0;
            }
            if self.open.is_empty() && !ended && looks < options.looks_before_sleep {
                looks += 1;
                std::thread::yield_now();
                worker.step();
            } else if self.open.is_empty() && !ended {
                worker.step_or_park(Some(Duration::from_millis(50)));
            } else {
                // Other workers may owe progress: they unpark us, the pause only bounds a lost wake-up.
                worker.step_or_park(Some(Duration::from_micros(500)));
            }
            self.hand_out(commits);
            if let Some((epoch, to)) =
                self.keeping.take_if(|(epoch, _)| self.outlet.is_closed(*epoch))
            {
                // Who asked may have gone; then nobody needs it.
                let _ = to.send((worker.index(), self.keeper.collect()));
                assert!(epoch <= self.at, "only what was handed over is kept");
            }
        }
        drop(self.events);
        drop(self.signals);
        while worker.has_dataflows() {
            worker.step_or_park(Some(Duration::from_millis(1)));
        }
    }

    fn take(&mut self, batch: Batch<E>, rows: &mut Vec<Change<E>>) {
        let epoch = batch.epoch;
        assert!(*self.events.time() <= epoch, "epochs are fed in increasing order");
        self.events.advance_to(epoch);
        self.signals.advance_to(epoch);
        rows.extend(batch.events.into_iter().map(|event| (event, epoch, 1)));
        self.events.send_batch(rows);
        rows.clear();
        for signal in batch.signals {
            self.signals.send(signal);
        }
        self.events.advance_to(epoch + 1);
        self.signals.advance_to(epoch + 1);
        self.at = epoch;
        self.open.push_back((epoch, batch.stamps));
    }

    fn hand_out(&mut self, commits: Option<&SyncSender<Commit>>) {
        while let Some((epoch, _)) = self.open.front() {
            if !self.outlet.is_closed(*epoch) {
                break;
            }
            let Some((epoch, stamps)) = self.open.pop_front() else { break };
            if let Some(commits) = commits {
                // A receiver that went away has no more use for answers; the input side decides when to stop.
                let _ = commits.send(self.outlet.take(epoch, stamps));
            }
        }
    }
}
