//! An ear in the running service: when each epoch passed which stage.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use highwater_dataflow::view::{Commit, Stamps, Value};
use highwater_dataflow::{BEGINNING, Epoch, EventTime};
use highwater_sinks::wallboard::Wallboard;
use highwater_sinks::{CommittedBatch, Listener};

/// An epoch on its way out.
pub(super) struct Passed {
    pub(super) epoch: Epoch,
    pub(super) stamps: Arc<Stamps>,
    pub(super) closed: Instant,
    pub(super) committed: Instant,
    /// The page's update that has it; `None` when there was nothing to show.
    pub(super) update: Option<u64>,
    /// Ends of the rolling windows that it tells for the first time: they had waited for the watermark.
    pub(super) windows: Vec<EventTime>,
}

/// What the probe has heard; clones share it.
#[derive(Clone, Default)]
pub(super) struct Log {
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Log {
    pub(super) fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut self.passed.lock().expect("listening does not panic"))
    }
}

/// Listens after the page has been told.
pub(super) struct Probe {
    pub(super) log: Log,
    pub(super) page: Wallboard,
    pub(super) update: u64,
    pub(super) watermark: EventTime,
}

impl Probe {
    pub(super) fn new(page: &Wallboard) -> (Probe, Log) {
        let log = Log::default();
        (Probe { log: log.clone(), page: page.clone(), update: 0, watermark: BEGINNING }, log)
    }

    /// Rows of `queue_rolling` whose window the watermark has passed with this epoch.
    fn windows(&self, commit: &Commit) -> Vec<EventTime> {
        let mut ends = Vec::new();
        for changes in commit.changes.iter().filter(|it| it.view.name == "queue_rolling") {
            let end = changes.view.columns.iter().position(|it| it.name == "window_end_ms");
            for (row, diff) in &changes.rows {
                if let (Some(Value::Int(end)), 1..) = (end.map(|at| &row[at]), *diff)
                    && self.watermark < *end
                    && *end <= commit.watermark
                {
                    ends.push(*end);
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

impl Listener for Probe {
    fn committed(&mut self, batch: &CommittedBatch<'_>) {
        let update = self.page.seq();
        let shown = (self.update < update).then_some(update);
        self.update = update;
        let mut passed = Vec::with_capacity(batch.commits.len());
        for (commit, closed) in batch.commits.iter().zip(batch.closed) {
            let windows = self.windows(commit);
            self.watermark = commit.watermark;
            passed.push(Passed {
                epoch: commit.epoch,
                stamps: commit.stamps.clone(),
                closed: *closed,
                committed: batch.at,
                update: shown,
                windows,
            });
        }
        self.log.passed.lock().expect("listening does not panic").extend(passed);
    }
}
