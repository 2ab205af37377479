//! Retention in a cluster: every process folds its own journal, all of them as of the same epochs, and drops what two
//! bases of everybody have.
//!
//! As of an epoch of the past, the graph tells how the watermark stood and which records did not count (`Refusals`, kept
//! in every checkpoint). So a process needs nobody else's journal to fold its own, and the bases of all journals
//! together are what one base of one journal would be.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::{Epoch, EventTime, Folded, Kept, Refusals};
use highwater_ingest::checkpoint::{self, About, Checkpoints};
use highwater_ingest::journal::{self, Committed, SegmentStat, Tip};
use highwater_queries::retain::Base;
use tracing::info;

use crate::base::{self, Beginning, Retention};
use crate::cluster::{Bases, Number};
use crate::feed::entries;

/// Into so many parts the time that is retained is cut: how far apart the epochs are that can be folded up to.
const MARKS: i64 = 168;

/// How far apart, in epochs, the watermark is noted. `retain_ms`: what the journals hold at least.
pub(crate) fn mark_every(retain_ms: i64) -> Epoch {
    let epochs = retain_ms.saturating_mul(1_000) / MARKS;
    Epoch::try_from(epochs).unwrap_or(1).max(1)
}

/// Drops segments of this process's journal.
pub(crate) struct Trim {
    pub(crate) retention: Retention,
    pub(crate) number: Number,
    pub(crate) bases: Bases,
    pub(crate) folded: Arc<Folded>,
}

impl Trim {
    /// Folds what all are to fold, asks for it where old segments wait, and drops what the older of two bases of
    /// everybody has. `kept`: the checkpoint that was just written to `checkpoints`. Returns how many segments went.
    pub(crate) fn look(&self, checkpoints: &Checkpoints, kept: &Kept) -> Result<usize> {
        let refusals = Refusals::of(kept).map_err(anyhow::Error::msg)?;
        let refusals = refusals.context("the checkpoint does not say what did not count")?;
        let store = Checkpoints::open_on(&self.retention.base_dir, (self.retention.disk)())?;
        for epoch in self.bases.wanted(kept.epoch) {
            // With another time to retain others were noted: then the next one is folded.
            if let Some(watermark) = refusals.watermark(epoch) {
                self.fold(&store, epoch, watermark, &refusals)?;
                self.bases.folded(epoch);
            }
        }
        let cutoff = self.retention.clock.now_ms().saturating_sub(self.retention.retain_ms);
        let segments = journal::segments(&self.retention.journal_dir)?;
        let over = |until: Epoch| {
            let over = move |pair: &&[SegmentStat]| {
                pair[1].created_ms <= cutoff && pair[1].before.epoch <= until
            };
            segments.windows(2).take_while(over).last().map(|pair| &pair[1])
        };
        let until = Epoch::try_from(cutoff.saturating_mul(1_000)).unwrap_or(0).min(kept.epoch);
        if let Some(mark) = refusals.last_mark(until)
            && let Some(last) = over(mark)
            && store.list()?.first().is_none_or(|newest| newest.epoch < last.before.epoch)
            && self.bases.may_call()
        {
            self.bases.call(mark);
        }
        let dropped = self.drop_before(&store, checkpoints, over)?;
        self.bases.say();
        Ok(dropped)
    }

    fn drop_before<'s>(
        &self,
        store: &Checkpoints,
        checkpoints: &Checkpoints,
        over: impl Fn(Epoch) -> Option<&'s SegmentStat>,
    ) -> Result<usize> {
        let Some([older, _]) = self.bases.kept() else { return Ok(0) };
        // A start may go on from the older of its checkpoints.
        let held = checkpoints.list()?;
        let Some(oldest) = held.get(checkpoint::KEPT - 1) else { return Ok(0) };
        let dropped = match over(older.min(oldest.epoch)) {
            Some(first) => self.retention.journal.drop_before(first.first_seq)?,
            None => 0,
        };
        store.drop_before(older)?;
        self.bases.forget(older);
        if let Some(tip) = journal::tip_until(&self.retention.journal_dir, older)? {
            self.folded.advance(older, self.number.seq(tip.seq));
        }
        Ok(dropped)
    }

    /// Makes the base as of `goal` of the one before it and the journal between.
    fn fold(
        &self,
        store: &Checkpoints,
        goal: Epoch,
        watermark: EventTime,
        refusals: &Refusals,
    ) -> Result<()> {
        let Retention { journal_dir, base_dir, settings, .. } = &self.retention;
        let mut before = store.list()?.into_iter().filter(|found| found.epoch < goal);
        let before = before.find_map(|found| Beginning::read(&found).ok());
        let from = match before {
            Some(before) => before,
            None if journal::segments(journal_dir)?.first().is_none_or(|it| it.first_seq <= 1) => {
                Beginning::default()
            }
            None => bail!("no base in {} is whole", base_dir.display()),
        };
        let fold = |base: &mut Base, frame: Committed| {
            let refused = |seq| refusals.contains(self.number.seq(seq));
            let Committed { envelopes, recorded, signals, .. } = frame;
            base.fold_admitted(entries(envelopes, &recorded), &signals, refused);
        };
        let compact = |base: &mut Base| base.compact_at(watermark, settings);
        let (base, _) = from.through(journal_dir, goal, fold, compact)?;
        let tip = journal::tip_until(journal_dir, goal)?;
        let Tip { seq, hash, .. } = tip.context("the journal's past is gone")?;
        let about = base::about(goal, seq, hash);
        store.put(&about, &base::encode(goal, &base, Some(watermark)))?;
        let About { epoch, seq, .. } = about;
        info!(epoch, events = base.len(), record = seq, "journal folded into the base");
        Ok(())
    }
}
