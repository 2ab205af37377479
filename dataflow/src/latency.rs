//! Latency histograms per path and stage, from the first byte received to the page.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The event paths for which the product has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    AgentState,
    Contact,
    Queue,
    Forecast,
    Reference,
}

impl Path {
    pub const ALL: [Path; 5] =
        [Path::AgentState, Path::Contact, Path::Queue, Path::Forecast, Path::Reference];

    pub fn name(self) -> &'static str {
        match self {
            Path::AgentState => "agent_state",
            Path::Contact => "contact",
            Path::Queue => "queue",
            Path::Forecast => "forecast",
            Path::Reference => "reference",
        }
    }
}

/// Where an event has got to; each is measured from `received`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In the journal, synced: the acknowledgement goes out.
    Durable,
    /// The dataflow closed the epoch.
    Closed,
    /// The view's transaction is committed.
    Committed,
    /// An alert channel confirmed the message.
    Alerted,
    /// The page's sockets were handed the change.
    Pushed,
}

impl Stage {
    pub const ALL: [Stage; 5] =
        [Stage::Durable, Stage::Closed, Stage::Committed, Stage::Alerted, Stage::Pushed];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Durable => "durable",
            Stage::Closed => "epoch_closed",
            Stage::Committed => "view_committed",
            Stage::Alerted => "alert_delivered",
            Stage::Pushed => "page_pushed",
        }
    }
}

/// The budget of the product's sources for a path at a stage, where they set one.
pub fn budget(path: Path, stage: Stage) -> Option<Duration> {
    match (path, stage) {
        (Path::AgentState, Stage::Alerted) => Some(Duration::from_secs(2)),
        (Path::Contact, Stage::Committed) => Some(Duration::from_secs(5)),
        (Path::Contact | Path::Queue, Stage::Pushed) => Some(Duration::from_secs(10)),
        (Path::Contact, Stage::Alerted) => Some(Duration::from_mins(5)),
        _ => None,
    }
}

/// One histogram per path and stage, in microseconds (three significant digits, up to an hour).
#[derive(Debug)]
pub struct Latency {
    cells: Vec<Mutex<Histogram<u64>>>,
}

impl Default for Latency {
    fn default() -> Self {
        let make = || {
            Mutex::new(
                Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are valid"),
            )
        };
        Latency { cells: (0..Path::ALL.len() * Stage::ALL.len()).map(|_| make()).collect() }
    }
}

impl Latency {
    /// Counts `n` events of `path` that reached `stage` at `now`.
    pub fn record(&self, path: Path, stage: Stage, received: Instant, now: Instant, n: u32) {
        let us = u64::try_from(now.saturating_duration_since(received).as_micros()).unwrap_or(0);
        let mut cell = self.cell(path, stage).lock().expect("no panic while recording");
        cell.saturating_record_n(us.max(1), u64::from(n));
    }

    /// Counts a whole epoch's events at `stage`.
    pub fn record_all(&self, stamps: &crate::view::Stamps, stage: Stage, now: Instant) {
        for &(path, received, n) in &stamps.received {
            self.record(path, stage, received, now, n);
        }
    }

    /// A copy of one histogram, in microseconds.
    pub fn histogram(&self, path: Path, stage: Stage) -> Histogram<u64> {
        self.cell(path, stage).lock().expect("no panic while recording").clone()
    }

    fn cell(&self, path: Path, stage: Stage) -> &Mutex<Histogram<u64>> {
        &self.cells[path as usize * Stage::ALL.len() + stage as usize]
    }
}
