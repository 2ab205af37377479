//! The graph over the journal beside the live one: reads, computes, and changes nothing that is there.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;

use anyhow::{Context, Result};
use highwater_dataflow::view::Commit;
use highwater_dataflow::{Batch, Epoch, EventTime, FOREVER, Graph, Options, Runtime, Signal};
use highwater_ingest::journal::Scan;
use highwater_queries::{Entry, Settings, registry};

use crate::base::Beginning;
use crate::feed::batch;

/// What is computed, and over what.
pub(crate) struct Rerun<'a> {
    pub(crate) journal_dir: &'a Path,
    pub(crate) beginning: &'a Beginning,
    pub(crate) settings: Settings,
    /// The queries and rules to build, by name; empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) workers: usize,
    pub(crate) stretch: Stretch,
}

/// A stretch of event time, `[from, to)`. Reference data counts whenever it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: EventTime,
    pub(crate) to: EventTime,
}

impl Stretch {
    pub(crate) const ALL: Stretch = Stretch { from: i64::MIN, to: FOREVER };

    fn cut(self, mut batch: Batch<Entry>) -> Batch<Entry> {
        if self == Stretch::ALL {
            return batch;
        }
        batch.events.retain(|entry| match entry {
            Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
                entry.is_reference() || (self.from..self.to).contains(&envelope.at)
            }
            Entry::Rejected(rejected) => (self.from..self.to).contains(&rejected.received_at),
            Entry::Receipt(receipt) => (self.from..self.to).contains(&receipt.received_at),
        });
        for signal in &mut batch.signals {
            if let Signal::Bound { bound, .. } | Signal::Clock { bound } = signal
                && *bound != FOREVER
            {
                *bound = self.to.min(*bound);
            }
        }
        batch
    }
}

impl Rerun<'_> {
    /// Computes it all, handing the commits to `take`; returns the last epoch, 0 for an empty journal. A stretch that
    /// ends is told as the end of the input, so that every row of it becomes final.
    pub(crate) fn run<T: Send>(
        self,
        take: impl FnOnce(Receiver<Commit>) -> Result<T> + Send,
    ) -> Result<(T, Epoch)> {
        let Rerun { journal_dir, beginning, settings, only, workers, stretch } = self;
        let mut scan =
            Scan::open(journal_dir, beginning.after).context("cannot read the journal")?;
        let build = move |graph: &mut Graph<'_, Entry>| {
            let wanted = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
            registry::build_only(graph, &settings, wanted);
        };
        let (runtime, commits) = Runtime::start(Options { workers, ..Options::default() }, build);
        thread::scope(|scope| {
            let taker = scope.spawn(move || take(commits));
            let mut last = 0;
            let mut partitions = std::collections::BTreeSet::new();
            let mut send = |batch: Batch<Entry>| {
                last = batch.epoch;
                for signal in &batch.signals {
                    if let Signal::Bound { partition, .. } | Signal::Idle { partition } = signal {
                        partitions.insert(*partition);
                    }
                }
                runtime.send(stretch.cut(batch));
            };
            if let Some(batch) = beginning.batch() {
                send(batch);
            }
            while let Some(frame) = scan.next_frame().context("cannot read the journal")? {
                send(batch(frame));
            }
            if stretch.to < FOREVER && last > 0 {
                last += 1;
                let end = |partition| Signal::Bound { partition, bound: FOREVER };
                let signals = partitions.iter().copied().map(end).collect();
                let stamps = std::sync::Arc::new(highwater_dataflow::view::Stamps {
                    replay: true,
                    ..Default::default()
                });
                runtime.send(Batch { epoch: last, events: Vec::new(), signals, stamps });
            }
            runtime.finish();
            let taken = taker.join().expect("its panic is ours")?;
            Ok((taken, last))
        })
    }
}
