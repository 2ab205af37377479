//! A test kit: rows in, watermark and clock by hand, changes out. No sleeping, any number of workers.
//!
//! ```
//! use highwater_dataflow::testing::{Step, run};
//! use highwater_dataflow::window::{Count, FixedWindows};
//!
//! run(2, |calls| calls.window_into("calls", FixedWindows::of(10)).aggregate(Count).panes
//!         .map(|(queue, pane)| (queue, pane.window.start, pane.value)), [
//!     Step::Add(vec![("sales", (3, ())), ("sales", (7, ()))].into_iter()
//!         .map(|(queue, row)| (queue.to_owned(), row)).collect()),
//!     Step::Expect(vec![]),
//!     Step::Watermark(10),
//!     Step::Expect(vec![(("sales".to_owned(), 0, 2), 1)]),
//! ]);
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use crate::Datum;
use crate::alert::Notification;
use crate::graph::Graph;
use crate::runtime::{Batch, Options, Runtime};
use crate::signal::Signal;
use crate::table::Table;
use crate::time::{Epoch, EventTime, Millis};
use crate::view::{Commit, Stamps};

/// One thing that happens to the graph under test. Each is an epoch of its own.
#[derive(Clone, Debug)]
pub enum Step<E, O> {
    /// These rows appear.
    Add(Vec<E>),
    /// These rows disappear.
    Remove(Vec<E>),
    /// Rows with how many copies come or go.
    Change(Vec<(E, isize)>),
    /// No row before this event time is expected any more. `FOREVER` ends the input.
    Watermark(EventTime),
    /// Processing time passes, to this many ms.
    Clock(Millis),
    /// Exactly these changes were made since the last expectation, in any order.
    Expect(Vec<(O, isize)>),
    /// The output holds exactly these rows now.
    Table(Vec<O>),
}

/// Runs a script over the table that `build` makes, with `workers` workers. Panics at the step that fails.
pub fn run<E: Datum, O: Datum>(
    workers: usize,
    build: impl for<'s> Fn(Table<'s, E>) -> Table<'s, O> + Send + Sync + 'static,
    script: impl IntoIterator<Item = Step<E, O>>,
) {
    let mut bench = Bench::start(workers, build);
    let mut unexpected = Vec::new();
    for (nth, step) in script.into_iter().enumerate() {
        match step {
            Step::Add(rows) => unexpected.extend(bench.add(rows)),
            Step::Remove(rows) => unexpected.extend(bench.remove(rows)),
            Step::Change(rows) => unexpected.extend(bench.change(rows)),
            Step::Watermark(to) => unexpected.extend(bench.watermark(to)),
            Step::Clock(to) => unexpected.extend(bench.clock(to)),
            Step::Expect(mut changes) => {
                changes.sort();
                assert_eq!(net(std::mem::take(&mut unexpected)), changes, "changes at step {nth}");
            }
            Step::Table(mut rows) => {
                rows.sort();
                assert_eq!(bench.rows(), rows, "rows at step {nth}");
            }
        }
    }
    bench.finish();
}

/// A row and by how many copies it changes.
type Edit<E> = (E, isize);

/// A running graph that is told step by step what happens, and says after each what changed.
///
/// Panics if the output ever holds a row a negative number of times.
pub struct Bench<E: Datum, O: Datum> {
    runtime: Runtime<Edit<E>>,
    commits: Receiver<Commit>,
    seen: Arc<Mutex<Vec<(O, isize)>>>,
    emitted: Vec<(O, isize)>,
    epoch: Epoch,
    rows: BTreeMap<O, isize>,
}

impl<E: Datum, O: Datum> Bench<E, O> {
    /// Starts the graph that `build` makes from the rows to come.
    pub fn start(
        workers: usize,
        build: impl for<'s> Fn(Table<'s, E>) -> Table<'s, O> + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<(O, isize)>>> = Arc::default();
        let log = Arc::clone(&seen);
        let options = Options { workers, ..Options::default() };
        let (runtime, commits) = Runtime::start(options, move |graph: &mut Graph<'_, Edit<E>>| {
            let log = Arc::clone(&log);
            let edits = graph.input();
            // Inputs only ever appear: copies and retractions are made of them here.
            let come = edits.clone().filter(|(_, diff)| *diff > 0);
            let gone = edits.filter(|(_, diff)| *diff < 0);
            let output = build(copies(come).concat(copies(gone).negate()));
            let output = output.inspect(move |row, _, diff| {
                log.lock().expect("a worker panicked").push((row.clone(), diff));
            });
            // An epoch counts as closed once a sink has seen it; this one gets nothing.
            graph.notify(output.flat_map(|_| None::<Notification>));
        });
        Bench { runtime, commits, seen, emitted: Vec::new(), epoch: 0, rows: BTreeMap::new() }
    }

    /// Rows appear; returns the net changes of the output, sorted.
    pub fn add(&mut self, rows: impl IntoIterator<Item = E>) -> Vec<(O, isize)> {
        self.change(rows.into_iter().map(|row| (row, 1)))
    }

    /// Rows disappear.
    pub fn remove(&mut self, rows: impl IntoIterator<Item = E>) -> Vec<(O, isize)> {
        self.change(rows.into_iter().map(|row| (row, -1)))
    }

    /// Rows come and go.
    pub fn change(&mut self, rows: impl IntoIterator<Item = (E, isize)>) -> Vec<(O, isize)> {
        self.step(rows.into_iter().collect(), Vec::new())
    }

    /// The watermark advances.
    pub fn watermark(&mut self, to: EventTime) -> Vec<(O, isize)> {
        self.step(Vec::new(), vec![Signal::Bound { partition: 0, bound: to }])
    }

    /// Processing time advances to `to` ms.
    pub fn clock(&mut self, to: Millis) -> Vec<(O, isize)> {
        let epoch = Epoch::try_from(to).expect("processing time is not negative") * 1000;
        self.epoch = self.epoch.max(epoch.saturating_sub(1));
        self.step(Vec::new(), vec![Signal::Tick])
    }

    /// Rows and signals of one epoch.
    pub fn step(&mut self, events: Vec<(E, isize)>, signals: Vec<Signal>) -> Vec<(O, isize)> {
        self.epoch += 1;
        let stamps = Arc::new(Stamps::default());
        self.runtime.send(Batch { epoch: self.epoch, events, signals, stamps });
        let commit = self.commits.recv().expect("a worker panicked");
        assert_eq!(commit.epoch, self.epoch);
        self.emitted = std::mem::take(&mut *self.seen.lock().expect("a worker panicked"));
        let changes = net(self.emitted.clone());
        for (row, diff) in &changes {
            let count = self.rows.entry(row.clone()).or_insert(0);
            *count += diff;
            assert!(*count >= 0, "retracted without having been there: {row:?}");
        }
        self.rows.retain(|_, count| *count != 0);
        changes
    }

    /// The changes of the last step as the operator made them, in its order (with one worker).
    pub fn emitted(&self) -> &[(O, isize)] {
        &self.emitted
    }

    /// What the output holds, ascending.
    pub fn rows(&self) -> Vec<O> {
        let copies = |(row, count): (&O, &isize)| std::iter::repeat_n(row.clone(), *count as usize);
        self.rows.iter().flat_map(copies).collect()
    }

    /// Ends the input.
    pub fn finish(self) {
        drop(self.commits);
        self.runtime.finish();
    }
}

/// Each row as often as it changes.
fn copies<E: Datum>(table: Table<'_, Edit<E>>) -> Table<'_, E> {
    table.flat_map(|(row, diff)| std::iter::repeat_n(row, diff.unsigned_abs()))
}

/// Changes that cancel removed, the rest sorted.
fn net<O: Ord + Debug>(changes: Vec<(O, isize)>) -> Vec<(O, isize)> {
    let mut changes = changes;
    differential_dataflow::consolidation::consolidate(&mut changes);
    changes
}
