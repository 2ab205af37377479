//! The base and retention: what the journal's oldest segments still say is folded into the base before they go.
//!
//! Two bases are kept, and a segment goes only when both have it: whichever of them is damaged, the other one and the
//! journal after it are whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, Clock, Epoch, EventTime, Kept, Millis, Part};
use highwater_ingest::checkpoint::{self, About, Checkpoints, Found};
use highwater_ingest::journal::{
    self, Committed, Disk, Hash, JournalWriter, Scan, SegmentStat, Tip,
};
use highwater_queries::retain::Base;
use highwater_queries::{Entry, Settings};
use tracing::{info, warn};

use crate::cluster::{Begins, Number};
use crate::feed::entries;

/// What a base file is for: any definition, but only this shape.
const SHAPE: &str = "base 1";
/// The part of a base's file that holds the watermark of all journals, where there are several.
const WATERMARK: &str = "watermark";
/// Frames folded between two compactions.
const FOLD: usize = 10_000;

/// Where a replay begins.
#[derive(Default)]
pub(crate) struct Beginning {
    /// The journal is read after this epoch.
    pub(crate) after: Epoch,
    /// What comes before it; `None`: the journal has its beginning.
    pub(crate) base: Option<Base>,
    /// The watermark of all journals as of `after`, where the base is of one of several.
    pub(crate) watermark: Option<EventTime>,
}

impl Beginning {
    /// The beginning of the journal in `journal_dir`, or the newest base that it goes on from.
    ///
    /// Errors: its beginning is gone, and no base is whole.
    pub(crate) fn of(journal_dir: &Path, base_dir: &Path) -> Result<Beginning> {
        let segments = journal::segments(journal_dir).context("cannot read the journal")?;
        let retained = segments.first().map_or(1, |first| first.first_seq);
        if retained <= 1 {
            return Ok(Beginning::default());
        }
        for found in checkpoint::list(base_dir)? {
            if let Some(beginning) = Beginning::usable(journal_dir, &found)? {
                return Ok(beginning);
            }
        }
        bail!(
            "the journal begins with record {retained}, and what came before it is not in {}\n\
             hint: restore that directory, or the whole data directory, from a backup",
            base_dir.display()
        )
    }

    /// As [`Beginning::of`], after `epoch` and no other: what [`begins`] has offered.
    ///
    /// Errors: the base that was there is gone.
    pub(crate) fn at(journal_dir: &Path, base_dir: &Path, epoch: Epoch) -> Result<Beginning> {
        let segments = journal::segments(journal_dir).context("cannot read the journal")?;
        let whole = segments.first().is_none_or(|first| first.first_seq <= 1);
        let empty = whole && nothing_until(journal_dir)? >= epoch;
        if empty {
            return Ok(Beginning { after: epoch, ..Beginning::default() });
        }
        let found = checkpoint::list(base_dir)?.into_iter().find(|found| found.epoch == epoch);
        let base = found.and_then(|found| Beginning::usable(journal_dir, &found).transpose());
        base.transpose()?.with_context(|| {
            format!("the base as of epoch {epoch} in {} is gone; start again", base_dir.display())
        })
    }

    /// A base that is whole and of the journal in `journal_dir`; what is passed over is reported.
    fn usable(journal_dir: &Path, found: &Found) -> Result<Option<Beginning>> {
        let read = found.read().map_err(anyhow::Error::from);
        match read.and_then(|it| Ok((decode(&it.kept)?, it.about))) {
            Ok(((base, watermark), about)) => {
                if about.is_of(journal_dir)? {
                    return Ok(Some(Beginning { after: about.epoch, base: Some(base), watermark }));
                }
                warn!(path = %found.path.display(), "base passed over: it is of another journal");
            }
            Err(error) => warn!(error = format!("{error:#}"), "base passed over"),
        }
        Ok(None)
    }

    /// A base that is whole, whichever journal it is of.
    pub(crate) fn read(found: &Found) -> Result<Beginning> {
        let read = found.read()?;
        let (base, watermark) = decode(&read.kept)?;
        Ok(Beginning { after: read.about.epoch, base: Some(base), watermark })
    }

    /// The base with the journal after it, up to `goal`, and the epoch of the last frame in it.
    pub(crate) fn through(
        self,
        journal_dir: &Path,
        goal: Epoch,
        fold: impl Fn(&mut Base, Committed),
        compact: impl Fn(&mut Base),
    ) -> Result<(Base, Epoch)> {
        let mut base = self.base.unwrap_or_default();
        let mut scan = Scan::open(journal_dir, self.after)?;
        let mut reached = self.after;
        let mut frames = 0_usize;
        while let Some(frame) = scan.next_frame()?.filter(|frame| frame.meta.epoch <= goal) {
            reached = frame.meta.epoch;
            fold(&mut base, frame);
            frames += 1;
            if frames.is_multiple_of(FOLD) {
                compact(&mut base);
            }
        }
        compact(&mut base);
        Ok((base, reached))
    }

    /// The base as the first epoch of a replay.
    pub(crate) fn batch(&self) -> Option<Batch<Entry>> {
        self.batch_of(Number(0))
    }

    /// As [`Beginning::batch`], of one journal of several.
    pub(crate) fn batch_of(&self, number: Number) -> Option<Batch<Entry>> {
        let (mut events, mut signals) = self.base.as_ref()?.input();
        number.apply_to(&mut events, &mut signals);
        let stamps = Arc::new(Stamps { replay: true, ..Stamps::default() });
        Some(Batch { epoch: self.after, events, signals, stamps })
    }

    /// What it vouches for: see [`Base::vouches_from`].
    pub(crate) fn vouched_from(&self) -> Option<EventTime> {
        self.watermark.or_else(|| self.base.as_ref().map(Base::vouches_from))
    }
}

/// After which epochs the journal in `journal_dir` can be read.
pub(crate) fn begins(journal_dir: &Path, base_dir: &Path) -> Result<Begins> {
    let segments = journal::segments(journal_dir).context("cannot read the journal")?;
    let from = segments.first().map_or(1, |first| first.first_seq);
    let nothing_until = if from <= 1 { Some(nothing_until(journal_dir)?) } else { None };
    let mut bases = std::collections::BTreeSet::new();
    for found in checkpoint::list(base_dir)? {
        if Beginning::usable(journal_dir, &found)?.is_some() {
            bases.insert(found.epoch);
        }
    }
    Ok(Begins { nothing_until, from, bases })
}

/// The epoch before a journal's first frame; where it has none, there is no such frame for ever.
fn nothing_until(journal_dir: &Path) -> Result<Epoch> {
    let first = Scan::open(journal_dir, 0)?.next_frame()?;
    Ok(first.map_or(Epoch::MAX, |frame| frame.meta.epoch - 1))
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
        let from = if store.list()?.is_empty() { Beginning::default() } else { self.newest()? };
        let fold = |base: &mut Base, frame: Committed| {
            let Committed { envelopes, recorded, signals, .. } = frame;
            base.fold(entries(envelopes, &recorded), &signals, &self.settings);
        };
        let compact = |base: &mut Base| base.compact(&self.settings);
        let Tip { epoch, seq, hash } = goal;
        let (base, reached) = from.through(&self.journal_dir, epoch, fold, compact)?;
        ensure!(reached == epoch, "the journal ends before its segments do");
        store.write(&about(epoch, seq, hash), &encode(epoch, &base, None))?;
        info!(events = base.len(), record = seq, "journal folded into the base");
        Ok(())
    }

    /// The newest whole base, though the journal may still have its beginning.
    fn newest(&self) -> Result<Beginning> {
        for found in checkpoint::list(&self.base_dir)? {
            if let Ok(beginning) = Beginning::read(&found) {
                return Ok(beginning);
            }
        }
        Beginning::of(&self.journal_dir, &self.base_dir)
    }
}

/// What a base file is of.
pub(crate) fn about(epoch: Epoch, seq: u64, hash: Hash) -> About {
    About { definition: SHAPE.to_owned(), epoch, seq, hash, changelog: None }
}

/// `watermark`: that of all journals, where there are several.
pub(crate) fn encode(epoch: Epoch, base: &Base, watermark: Option<EventTime>) -> Kept {
    let part = Part { name: SHAPE.to_owned(), bytes: base.encode().into_bytes() };
    let watermark =
        watermark.map(|it| Part { name: WATERMARK.to_owned(), bytes: it.to_string().into_bytes() });
    Kept { epoch, workers: vec![std::iter::once(part).chain(watermark).collect()] }
}

fn decode(kept: &Kept) -> Result<(Base, Option<EventTime>)> {
    let parts = kept.workers.first().map(Vec::as_slice).unwrap_or_default();
    let text = |part: &'_ Part| String::from_utf8(part.bytes.clone()).context("it is not text");
    let base = parts.first().filter(|part| part.name == SHAPE);
    let base = text(base.context("it is no base of this version's")?)?;
    let watermark = match parts.get(1).filter(|part| part.name == WATERMARK) {
        Some(part) => Some(text(part)?.parse().context("its watermark is no number")?),
        None => None,
    };
    Ok((Base::decode(&base).map_err(anyhow::Error::msg)?, watermark))
}

/// Where the base is, beside the checkpoints of a data directory.
pub(crate) fn base_in(data_dir: &Path) -> PathBuf {
    data_dir.join("base")
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
