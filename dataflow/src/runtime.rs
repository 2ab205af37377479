//! Workers: feeds epochs to the dataflow graph and hands out what each closed epoch changed.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use timely::communication::WorkerGuards;
use timely::dataflow::InputHandleVec;
use timely::worker::Worker;

use crate::Datum;
use crate::graph::{Graph, Outlet};
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
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 1, epochs_in_flight: 16, commits_waiting: 256 }
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

struct Feed<E> {
    epochs: SyncSender<Batch<E>>,
    worker: Thread,
}

/// A running graph. Feed it epochs; receive a [`Commit`] for each, in order.
pub struct Runtime<E> {
    feeds: Vec<Feed<E>>,
    guards: Option<WorkerGuards<()>>,
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
        assert!(options.workers > 0, "a graph needs at least one worker");
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
            hello
                .send((index, std::thread::current()))
                .expect("the starter waits for every worker");
            let commits = (index == 0).then(|| commits.clone());
            run(worker, &epochs, commits.as_ref(), options.epochs_in_flight.max(1), &build);
        })
        .expect("worker threads start");

        let mut threads: Vec<(usize, Thread)> =
            (0..options.workers).map(|_| workers.recv().expect("every worker starts")).collect();
        threads.sort_by_key(|(index, _)| *index);
        let feeds = senders
            .into_iter()
            .zip(threads)
            .map(|(epochs, (_, worker))| Feed { epochs, worker })
            .collect();
        (Runtime { feeds, guards: Some(guards) }, received)
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
            feed.epochs.send(part).expect("a dataflow worker died; restart from the journal");
            feed.worker.unpark();
        }
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
fn run<E: Datum>(
    worker: &mut Worker,
    epochs: &Receiver<Batch<E>>,
    commits: Option<&SyncSender<Commit>>,
    in_flight: usize,
    build: &(impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static),
) {
    let mut events: InputHandleVec<Epoch, Change<E>> = InputHandleVec::new();
    let mut signals: InputHandleVec<Epoch, Signal> = InputHandleVec::new();
    let outlet = worker.dataflow::<Epoch, _, _>(|scope| {
        let mut graph = Graph::new(events.to_stream(scope), signals.to_stream(scope));
        build(&mut graph);
        graph.finish()
    });

    let mut open: VecDeque<(Epoch, Arc<Stamps>)> = VecDeque::new();
    let mut ended = false;
    let mut rows = Vec::new();
    while !(ended && open.is_empty()) {
        while !ended && open.len() < in_flight {
            match epochs.try_recv() {
                Ok(batch) => {
                    let epoch = batch.epoch;
                    assert!(*events.time() <= epoch, "epochs are fed in increasing order");
                    events.advance_to(epoch);
                    signals.advance_to(epoch);
                    rows.extend(batch.events.into_iter().map(|event| (event, epoch, 1)));
                    events.send_batch(&mut rows);
                    rows.clear();
                    for signal in batch.signals {
                        signals.send(signal);
                    }
                    events.advance_to(epoch + 1);
                    signals.advance_to(epoch + 1);
                    open.push_back((epoch, batch.stamps));
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => ended = true,
            }
        }
        if open.is_empty() && !ended {
            worker.step_or_park(Some(Duration::from_millis(50)));
        } else {
            // Other workers may owe progress: they unpark us, the pause only bounds a lost wake-up.
            worker.step_or_park(Some(Duration::from_micros(500)));
        }
        hand_out(&outlet, &mut open, commits);
    }
    drop(events);
    drop(signals);
    while worker.has_dataflows() {
        worker.step_or_park(Some(Duration::from_millis(1)));
    }
}

fn hand_out(
    outlet: &Outlet,
    open: &mut VecDeque<(Epoch, Arc<Stamps>)>,
    commits: Option<&SyncSender<Commit>>,
) {
    while let Some((epoch, _)) = open.front() {
        if !outlet.is_closed(*epoch) {
            break;
        }
        let Some((epoch, stamps)) = open.pop_front() else { break };
        if let Some(commits) = commits {
            // A receiver that went away has no more use for answers; the input side decides when to stop.
            let _ = commits.send(outlet.take(epoch, stamps));
        }
    }
}
