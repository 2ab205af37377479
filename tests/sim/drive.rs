//! Runs the real graph over epochs, and keeps what its commits amount to.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_dataflow::view::Commit;
use highwater_dataflow::{Batch, EventTime, Graph, Kept, Notification, Options, Runtime};
use highwater_queries::{Entry, Settings, registry};

use crate::oracle::{Contents, Epoch, key};

/// Feeds all epochs and collects a commit for each; `one_by_one` waits for each commit before the next epoch.
pub(crate) fn run(
    settings: &Settings,
    epochs: &[Epoch],
    workers: usize,
    one_by_one: bool,
) -> Vec<Commit> {
    let epochs_in_flight = if one_by_one { 1 } else { 16 };
    let commits_waiting = epochs.len().max(1);
    let options = Options { workers, epochs_in_flight, commits_waiting, ..Options::default() };
    let settings = settings.clone();
    let (runtime, commits) =
        Runtime::start(options, move |graph| registry::build(graph, &settings));
    let mut collected = Vec::with_capacity(epochs.len());
    for epoch in epochs {
        runtime.send(Batch {
            epoch: epoch.number,
            events: epoch.entries.clone(),
            signals: epoch.signals.clone(),
            stamps: Arc::default(),
        });
        if one_by_one {
            collected.push(commits.recv().expect("a commit for every epoch"));
        }
    }
    runtime.finish();
    collected.extend(commits.iter());
    assert_eq!(collected.len(), epochs.len(), "every epoch is answered once");
    collected
}

/// As [`run`], but stopped after each of the epochs `cuts` (places in `epochs`, ascending) and continued by a new graph
/// from what the one before kept, which is asked for while later epochs are already under way. The commits are those
/// of the last graph, from the last cut on.
pub(crate) fn run_with_restarts(
    settings: &Settings,
    epochs: &[Epoch],
    workers: usize,
    cuts: &[usize],
) -> Vec<Commit> {
    let commits_waiting = epochs.len().max(1);
    let options = Options { workers, commits_waiting, ..Options::default() };
    let mut kept: Option<Kept> = None;
    let mut from = 0;
    let mut last = Vec::new();
    for cut in cuts.iter().copied().chain([epochs.len()]) {
        let settings = settings.clone();
        let build = move |graph: &mut Graph<'_, Entry>| registry::build(graph, &settings);
        let (runtime, commits) = Runtime::resume(options, kept.take(), build).expect("it fits");
        let mut keeping = None;
        // What comes after the cut is lost with the graph, and fed again to the next one.
        let beyond = if cut == epochs.len() { cut } else { (cut + 8).min(epochs.len()) };
        for (at, epoch) in epochs.iter().enumerate().take(beyond).skip(from) {
            runtime.send(Batch {
                epoch: epoch.number,
                events: epoch.entries.clone(),
                signals: epoch.signals.clone(),
                stamps: Arc::default(),
            });
            if at + 1 == cut {
                keeping = Some(runtime.keep(epoch.number));
            }
        }
        runtime.finish();
        last = commits.iter().collect();
        if cut < epochs.len() {
            kept = keeping.and_then(|mut keeping| keeping.poll());
            assert!(kept.is_some(), "the epoch is closed, so everything is kept");
            from = cut;
        }
    }
    last
}

/// The first difference between two runs over the same input, down to the last cell and message.
pub(crate) fn difference(one: &[Commit], other: &[Commit]) -> Option<String> {
    let tell = |commit: &Commit| {
        format!(
            "epoch {} watermark {}\n{:#?}\n{:#?}",
            commit.epoch, commit.watermark, commit.changes, commit.notifications
        )
    };
    for (one, other) in one.iter().zip(other) {
        let same = one.epoch == other.epoch
            && one.watermark == other.watermark
            && one.notifications == other.notifications
            && one.changes.len() == other.changes.len()
            && one
                .changes
                .iter()
                .zip(&other.changes)
                .all(|(a, b)| a.view == b.view && a.rows == b.rows);
        if !same {
            return Some(format!("{}\n--- but ---\n{}", tell(one), tell(other)));
        }
    }
    None
}

/// What sinks hold after the commits so far.
#[derive(Default)]
pub(crate) struct Sinks {
    pub(crate) watermark: Option<EventTime>,
    pub(crate) views: Contents,
    /// The latest message of every alert.
    pub(crate) alerts: BTreeMap<String, Notification>,
}

impl Sinks {
    /// Applies a commit; says what is wrong with it, if anything.
    pub(crate) fn apply(&mut self, commit: &Commit) -> Result<(), String> {
        for changes in &commit.changes {
            let name = changes.view.name;
            let table = self.views.entry(name).or_default();
            let mut inserting = false;
            for (row, diff) in &changes.rows {
                let key = key(name, row);
                if *diff < 0 {
                    if inserting {
                        return Err(format!("{name}: a retraction after an insertion: {row:?}"));
                    }
                    let gone = table.remove(&key);
                    if gone.as_ref() != Some(row) {
                        return Err(format!("{name}: retracts {row:?} while it has {gone:?}"));
                    }
                } else {
                    inserting = true;
                    if let Some(there) = table.insert(key, row.clone()) {
                        return Err(format!("{name}: inserts {row:?} beside {there:?}"));
                    }
                }
            }
        }
        for message in &commit.notifications {
            let last = self.alerts.insert(message.alert_id.to_string(), message.clone());
            let revision = last.map_or(0, |last| last.revision) + 1;
            if message.revision != revision {
                return Err(format!("revision {revision} is missing before {message:?}"));
            }
            if message.epoch != commit.epoch {
                return Err(format!("of another epoch than {}: {message:?}", commit.epoch));
            }
        }
        self.watermark = Some(commit.watermark);
        Ok(())
    }
}
