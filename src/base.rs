//! The base and retention: what the journal's oldest segments still say is folded into the base before they go.
//!
//! Two bases are kept, and a segment goes only when both have it: whichever of them is damaged, the other one and the
//! journal after it are whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, Clock, Epoch, EventTime, Kept, Millis, Part};
use highwater_ingest::checkpoint::{self, About, Checkpoints};
use highwater_ingest::journal::{self, Disk, JournalWriter, Scan, SegmentStat, Tip};
use highwater_queries::retain::Base;
use highwater_queries::{Entry, Settings};
use tracing::{info, warn};

/// What a base file is for: any definition, but only this shape.
const SHAPE: &str = "base 1";
/// Frames folded between two compactions.
const FOLD: usize = 10_000;

/// Where a replay begins.
pub(crate) struct Beginning {
    /// The journal is read after this epoch.
    pub(crate) after: Epoch,
    /// What comes before it; `None`: the journal has its beginning.
    pub(crate) base: Option<Base>,
}

impl Beginning {
    /// The beginning of the journal in `journal_dir`, or the newest base that it goes on from.
    ///
    /// Errors: its beginning is gone, and no base is whole.
    pub(crate) fn of(journal_dir: &Path, base_dir: &Path) -> Result<Beginning> {
        let segments = journal::segments(journal_dir).context("cannot read the journal")?;
        let retained = segments.first().map_or(1, |first| first.first_seq);
        if retained <= 1 {
            return Ok(Beginning { after: 0, base: None });
        }
        for found in checkpoint::list(base_dir)? {
            let read = found.read().map_err(anyhow::Error::from);
            let read = read.and_then(|it| Ok((decode(&it.kept)?, it.about)));
            match read {
                Ok((base, about)) => {
                    let About { epoch, seq, hash, .. } = about;
                    if journal::tip_at(journal_dir, epoch)? == Some(Tip { epoch, seq, hash }) {
                        return Ok(Beginning { after: epoch, base: Some(base) });
                    }
                    warn!(path = %found.path.display(), "base passed over: it is of another journal");
                }
                Err(error) => warn!(error = format!("{error:#}"), "base passed over"),
            }
        }
        bail!(
            "the journal begins with record {retained}, and what came before it is not in {}\n\
             hint: restore that directory, or the whole data directory, from a backup",
            base_dir.display()
        )
    }

    /// The base as the first epoch of a replay.
    pub(crate) fn batch(&self) -> Option<Batch<Entry>> {
        let (events, signals) = self.base.as_ref()?.input();
        let stamps = Arc::new(Stamps { replay: true, ..Stamps::default() });
        Some(Batch { epoch: self.after, events, signals, stamps })
    }

    /// What it vouches for: see [`Base::vouches_from`].
    pub(crate) fn vouched_from(&self) -> Option<EventTime> {
        self.base.as_ref().map(Base::vouches_from)
    }
}

/// Drops segments that are older than what is retained.
pub(crate) struct Retention {
    pub(crate) journal_dir: PathBuf,
    pub(crate) base_dir: PathBuf,
    pub(crate) retain_ms: Millis,
    pub(crate) settings: Settings,
    pub(crate) journal: JournalWriter,
    pub(crate) clock: Arc<dyn Clock>,
    /// The disk under the base.
    pub(crate) disk: fn() -> Box<dyn Disk>,
}

impl Retention {
    /// Folds what is old enough into the base and drops what both bases have. `checkpoints` are those a start may go on
    /// from: nothing goes that the older of two needs. Returns how many segments went.
    pub(crate) fn look(&self, checkpoints: &Checkpoints) -> Result<usize> {
        let kept = checkpoints.list()?;
        let Some(oldest) = kept.get(checkpoint::KEPT - 1) else { return Ok(0) };
        let segments = journal::segments(&self.journal_dir)?;
        let cutoff = self.clock.now_ms().saturating_sub(self.retain_ms);
        let over = |pair: &&[SegmentStat]| {
            pair[1].created_ms <= cutoff && pair[1].before.epoch <= oldest.epoch
        };
        let Some(last) = segments.windows(2).take_while(over).last() else { return Ok(0) };
        let store = Checkpoints::open_on(&self.base_dir, (self.disk)())?;
        self.fold(&store, last[1].before)?;
        let bases = store.list()?;
        let Some(older) = bases.get(checkpoint::KEPT - 1) else { return Ok(0) };
        let dropped = self.journal.drop_before(older.about()?.seq + 1)?;
        Ok(dropped)
    }

    /// Brings the base up to `goal`, unless it is there.
    fn fold(&self, store: &Checkpoints, goal: Tip) -> Result<()> {
        if store.list()?.first().is_some_and(|newest| goal.epoch <= newest.epoch) {
            return Ok(());
        }
        let Beginning { after, base } = if store.list()?.is_empty() {
            Beginning { after: 0, base: None }
        } else {
            self.newest()?
        };
        let mut base = base.unwrap_or_default();
        let mut scan = Scan::open(&self.journal_dir, after)?;
        let mut frames = 0_usize;
        while scan.at().epoch < goal.epoch {
            let frame = scan.next_frame()?.context("the journal ends before its segments do")?;
            base.fold(frame.envelopes, &frame.signals, &self.settings);
            frames += 1;
            if frames.is_multiple_of(FOLD) {
                base.compact(&self.settings);
            }
        }
        base.compact(&self.settings);
        let Tip { epoch, seq, hash } = goal;
        let about = About { definition: SHAPE.to_owned(), epoch, seq, hash, changelog: None };
        store.write(&about, &encode(epoch, &base))?;
        info!(events = base.len(), record = seq, "journal folded into the base");
        Ok(())
    }

    /// The newest whole base, though the journal may still have its beginning.
    fn newest(&self) -> Result<Beginning> {
        for found in checkpoint::list(&self.base_dir)? {
            if let Ok(read) = found.read()
                && let Ok(base) = decode(&read.kept)
            {
                return Ok(Beginning { after: read.about.epoch, base: Some(base) });
            }
        }
        Beginning::of(&self.journal_dir, &self.base_dir)
    }
}

fn encode(epoch: Epoch, base: &Base) -> Kept {
    let part = Part { name: SHAPE.to_owned(), bytes: base.encode().into_bytes() };
    Kept { epoch, workers: vec![vec![part]] }
}

fn decode(kept: &Kept) -> Result<Base> {
    let part = kept.workers.first().and_then(|parts| parts.first());
    let part = part.filter(|part| part.name == SHAPE).context("it is no base of this version's")?;
    let text = std::str::from_utf8(&part.bytes).context("it is not text")?;
    Base::decode(text).map_err(anyhow::Error::msg)
}

/// Where the base is, beside the checkpoints of a data directory.
pub(crate) fn base_in(data_dir: &Path) -> PathBuf {
    data_dir.join("base")
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
