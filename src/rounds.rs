//! Checkpoints of a cluster: process 0 says as of which epoch, through the graph, and every process writes its part.
//!
//! A part says nothing without the others. A start goes on from the newest epoch of which every process has a whole
//! part, made by the same program for the same settings, workers and processes, and of the journal that it has; without
//! one, all work off their journals.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use highwater_dataflow::{Clock, Datum, Epoch, Kept, Runtime, Says};
use highwater_ingest::checkpoint::{Checkpoint, Checkpoints};
use highwater_sinks::{Known, OpenViews};
use tracing::warn;

use crate::checkpoints::{self, Wanted};
use crate::cluster::{Bases, PeerLost};

/// When the next checkpoint of all is due, and what came of the last one: on the feed's thread.
pub(crate) struct Rounds {
    every: Duration,
    clock: Arc<dyn Clock>,
    last: Instant,
    /// Whether this process says when.
    leads: bool,
    to: SyncSender<Kept>,
    /// The one before is still being written.
    busy: Arc<AtomicBool>,
    /// What this process has to tell the others.
    bases: Bases,
}

impl Rounds {
    pub(crate) fn new(
        every: Duration,
        clock: Arc<dyn Clock>,
        leads: bool,
        to: SyncSender<Kept>,
        busy: Arc<AtomicBool>,
        bases: Bases,
    ) -> Rounds {
        let last = clock.instant();
        Rounds { every, clock, last, leads, to, busy, bases }
    }

    /// What everybody is told with the epoch that is fed now.
    pub(crate) fn says(&mut self) -> Says {
        Says { keep: self.due(), word: self.bases.next_word() }
    }

    fn due(&mut self) -> bool {
        if !self.leads || self.busy.load(Ordering::SeqCst) {
            return false;
        }
        let now = self.clock.instant();
        let due = now.saturating_duration_since(self.last) >= self.every;
        if due {
            self.last = now;
        }
        due
    }

    /// Passes on what was kept.
    pub(crate) fn look<E: Datum>(&mut self, runtime: &mut Runtime<E>) {
        let Some(kept) = runtime.kept() else { return };
        self.busy.store(true, Ordering::SeqCst);
        // While an earlier one still waits for the disk, this one is given up.
        if self.to.try_send(kept).is_err() {
            warn!("a checkpoint is given up: the one before is not written yet");
        }
    }
}

/// The epochs from which this process could go on, by whole checkpoints that suit and are of the journal in `dir`.
///
/// Each of them is read through: what is offered to the others has to be good.
///
/// Where the views are ours (`views`), their rows have to be of `definition`, and none of the epochs after them.
pub(crate) fn usable(
    store: &Checkpoints,
    wanted: &Wanted<'_>,
    views: Option<&Known>,
    definition: &str,
    dir: &Path,
) -> Result<Vec<Epoch>> {
    let mut wanted = Wanted { ..*wanted };
    if let Some(views) = views {
        if views.definition.as_deref() != Some(definition) {
            return Ok(Vec::new());
        }
        wanted.marker = views.marker;
    }
    checkpoints::whole(store, &wanted, dir)?.map(|found| Ok(found?.about.epoch)).collect()
}

/// Makes sure that the views, now that they are open, are what was known of them before: `epoch` is what all have
/// agreed to go on from.
///
/// Errors: they are not, as when a damaged database was set aside; all agree again.
pub(crate) fn still(views: &OpenViews, epoch: Epoch, definition: &str) -> Result<()> {
    if views.marker() >= Some(epoch) && views.definition()?.as_deref() == Some(definition) {
        return Ok(());
    }
    Err(PeerLost("the views are not what they were before they were opened".to_owned()).into())
}

/// Reads the checkpoint that all have agreed on.
///
/// Errors: it was whole before, and is not any more; it is out of the way, and all agree again.
pub(crate) fn agreed(store: &Checkpoints, epoch: Epoch) -> Result<Checkpoint> {
    let found = store.list()?.into_iter().find(|found| found.epoch == epoch);
    let found = found.context("the checkpoint that all have agreed on is gone")?;
    found.read().map_err(|error| forget(store, epoch, &error.to_string()))
}

/// Puts a checkpoint out of the way that the others count on, so that all agree on another one.
pub(crate) fn forget(store: &Checkpoints, epoch: Epoch, why: &str) -> anyhow::Error {
    warn!(epoch, why, "a checkpoint cannot be used; all start again without it");
    for found in store.list().into_iter().flatten().filter(|found| found.epoch == epoch) {
        if let Err(error) = std::fs::remove_file(&found.path) {
            let path = found.path.display();
            return anyhow::Error::new(error).context(format!("cannot remove {path}; remove it"));
        }
    }
    PeerLost(format!("the checkpoint of epoch {epoch} cannot be used")).into()
}
