//! What should be there: the journal followed by a graph that never stops, and counted by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::view::Commit;
use highwater_dataflow::{Epoch, Graph, Options, Runtime, Step};
use highwater_ingest::journal::Scan;
use highwater_model::Event;
use highwater_queries::{Entry, Settings, registry};
use highwater_sinks::Desired;

use crate::engine::views;
use crate::feed::batch;
use crate::receiver::Key;

/// No epoch takes so long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Follows one journal from its beginning to its end, over many lives of the engine.
pub(crate) struct Oracle {
    runtime: Runtime<Entry>,
    commits: Receiver<Commit>,
    /// Followed up to here, and the views' marker seen last.
    at: Epoch,
    pub(crate) marker: Option<Epoch>,
    /// Answers and identities that lie beyond the views' marker.
    waiting: VecDeque<Commit>,
    frames: VecDeque<(Epoch, Vec<(u128, bool)>)>,
    /// Every identity in the journal.
    journaled: BTreeSet<u128>,
    /// What views and receivers should have at the marker.
    pub(crate) desired: Desired,
    pub(crate) alerts: BTreeMap<Key, Step>,
    counted: BTreeSet<u128>,
    pub(crate) duplicates: i64,
    pub(crate) completions: i64,
}

impl Oracle {
    pub(crate) fn new() -> Oracle {
        let build = |graph: &mut Graph<'_, Entry>| {
            registry::build_only(graph, &Settings::default(), |_| true);
        };
        let (runtime, answers) = Runtime::start(Options::default(), build);
        let (to, commits) = channel();
        // The graph never waits for us: there are as many answers as a few lives have frames.
        thread::spawn(move || answers.into_iter().try_for_each(|commit| to.send(commit)));
        Oracle {
            runtime,
            commits,
            at: 0,
            marker: None,
            waiting: VecDeque::new(),
            frames: VecDeque::new(),
            journaled: BTreeSet::new(),
            desired: Desired::of(&views(&[])),
            alerts: BTreeMap::new(),
            counted: BTreeSet::new(),
            duplicates: 0,
            completions: 0,
        }
    }

    pub(crate) fn has(&self, key: u128) -> bool {
        self.journaled.contains(&key)
    }

    /// Takes in what the journal has got since.
    pub(crate) fn follow(&mut self, journal_dir: &Path) -> Result<()> {
        let mut scan = Scan::open(journal_dir, self.at).context("cannot read the journal")?;
        let before = self.at;
        while let Some(frame) = scan.next_frame().context("cannot read the journal")? {
            ensure!(frame.dead_letters.is_empty(), "what was sent decodes");
            self.at = frame.meta.epoch;
            let completed = |event: &Event| matches!(event, Event::ContactComplete(_));
            let ids = frame.envelopes.iter().map(|it| (it.key.0, completed(&it.event)));
            let ids: Vec<(u128, bool)> = ids.collect();
            self.journaled.extend(ids.iter().map(|(key, _)| key));
            self.frames.push_back((self.at, ids));
            self.runtime.send(batch(frame));
        }
        while before < self.at && self.waiting.back().is_none_or(|last| last.epoch < self.at) {
            let commit = self.commits.recv_timeout(PATIENCE);
            self.waiting.push_back(commit.context("the oracle's graph does not answer")?);
        }
        Ok(())
    }

    /// Goes on to the views' marker.
    pub(crate) fn advance(&mut self, marker: Epoch) -> Result<()> {
        ensure!(Some(marker) >= self.marker, "the views' marker went back: {marker}");
        ensure!(marker <= self.at, "O4: the marker {marker} lies beyond the journal's {}", self.at);
        self.marker = Some(marker);
        while let Some(commit) = self.waiting.pop_front_if(|commit| commit.epoch <= marker) {
            self.desired.absorb(&commit);
            for told in &commit.notifications {
                self.alerts.insert((told.alert_id.to_string(), told.revision), told.step);
            }
        }
        while let Some((_, ids)) = self.frames.pop_front_if(|(epoch, _)| *epoch <= marker) {
            for (key, completed) in ids {
                if self.counted.insert(key) {
                    self.completions += i64::from(completed);
                } else {
                    self.duplicates += 1;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) {
        self.runtime.finish();
    }
}
