//! Runs the real graph over epochs, and keeps what its commits amount to.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_dataflow::view::Commit;
use highwater_dataflow::{Batch, EventTime, Notification, Options, Runtime};
use highwater_queries::{Settings, registry};

use crate::oracle::{Contents, Epoch, key};

/// Feeds all epochs and collects a commit for each; `one_by_one` waits for each commit before the next epoch.
pub(crate) fn run(
    settings: &Settings,
    epochs: &[Epoch],
    workers: usize,
    one_by_one: bool,
) -> Vec<Commit> {
    let epochs_in_flight = if one_by_one { 1 } else { 16 };
    let options = Options { workers, epochs_in_flight, commits_waiting: epochs.len().max(1) };
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
