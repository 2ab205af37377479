//! What the door turned away, kept by the process whose journal has it.
//!
//! When retention drops a part of its journal, a process of a cluster folds what that part says, alone. Whether a record
//! of it counted is known to all together only: that depends on the watermark of all journals, and on who told an event
//! first. So the graph tells each process which of its records did not count, and how the watermark stood.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::admit::Refused;
use crate::closed::{Now, closed};
use crate::graph::Graph;
use crate::keep::{Kept, take};
use crate::table::Table;
use crate::time::{BEGINNING, Epoch, EventTime};

const NAME: &str = "Refusals";

/// The journals of a cluster, as far as the graph has to know them.
#[derive(Clone)]
pub struct Journals {
    /// The process whose journal has the record of this number.
    pub home: fn(u64) -> usize,
    /// The watermark is noted as of multiples of this; the same in every process, and positive.
    pub mark_every: Epoch,
    /// What is folded already.
    pub folded: Arc<Folded>,
}

/// How far the journal of this process is folded: what was noted of it up to here is not asked for any more.
#[derive(Debug, Default)]
pub struct Folded {
    epoch: AtomicU64,
    seq: AtomicU64,
}

impl Folded {
    /// Up to `epoch`, whose last record is `seq`.
    pub fn advance(&self, epoch: Epoch, seq: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
        self.seq.fetch_max(seq, Ordering::Relaxed);
    }
}

/// The records of a journal that were turned away, and the watermark as of some epochs.
///
/// Size: an entry per run of records turned away one after the other, and per noted epoch, since what was folded last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The first and the last record of each run.
    runs: BTreeMap<u64, u64>,
    marks: BTreeMap<Epoch, EventTime>,
    /// The last epoch that was noted, though it may be forgotten.
    marked: Epoch,
    /// The watermark now.
    watermark: EventTime,
}

impl Refusals {
    /// What the workers of a process have kept of it; `None` outside of a cluster.
    ///
    /// Errors: it is not what this version keeps.
    pub fn of(kept: &Kept) -> Result<Option<Refusals>, String> {
        let Some(part) =
            kept.workers.first().and_then(|parts| parts.iter().find(|it| it.name == NAME))
        else {
            return Ok(None);
        };
        let mut bytes = part.bytes.as_slice();
        // What every operator keeps comes first.
        let _: EventTime = take(&mut bytes)?;
        take(&mut bytes).map(Some)
    }

    /// Whether a record was turned away.
    pub fn contains(&self, seq: u64) -> bool {
        self.runs.range(..=seq).next_back().is_some_and(|(_, last)| seq <= *last)
    }

    /// The last noted epoch that is not after `until`.
    pub fn last_mark(&self, until: Epoch) -> Option<Epoch> {
        self.marks.range(..=until).next_back().map(|(epoch, _)| *epoch)
    }

    /// The watermark as of a noted epoch.
    pub fn watermark(&self, epoch: Epoch) -> Option<EventTime> {
        self.marks.get(&epoch).copied()
    }

    fn insert(&mut self, seq: u64) {
        if self.contains(seq) {
            return;
        }
        let (mut first, mut last) = (seq, seq);
        if let Some((&start, &end)) = self.runs.range(..seq).next_back()
            && end + 1 == seq
        {
            first = start;
        }
        if let Some(end) = self.runs.remove(&(seq + 1)) {
            last = end;
        }
        self.runs.insert(first, last);
    }

    /// Notes the watermark as of the last multiple of `every` before an epoch in which it advances: that says the same
    /// on every process, and in a replay.
    fn advance(&mut self, now: Now, every: Epoch) {
        let mark = now.epoch.saturating_sub(1) / every * every;
        if mark > self.marked {
            self.marks.insert(mark, self.watermark);
            self.marked = mark;
        }
        self.watermark = now.watermark;
    }

    fn forget(&mut self, folded: &Folded) {
        let (epoch, seq) =
            (folded.epoch.load(Ordering::Relaxed), folded.seq.load(Ordering::Relaxed));
        while let Some(first) = self.runs.first_entry().filter(|run| *run.get() <= seq) {
            first.remove();
        }
        while let Some(first) = self.marks.first_entry().filter(|mark| *mark.key() <= epoch) {
            first.remove();
        }
    }
}

impl<'s, E: Datum> Graph<'s, E> {
    /// In a cluster, keeps what the door turned away with the process whose journal has it; elsewhere does nothing.
    ///
    /// `seq`: the number of a row's record; `None` for what is not folded. State: see [`Refusals`]; it shrinks when the
    /// journal is folded.
    pub fn keep_refused(
        &mut self,
        refused: Table<'s, Refused<E>>,
        seq: impl Fn(&E) -> Option<u64> + 'static,
    ) {
        let Some((journals, workers)) = self.cluster.clone() else { return };
        let Journals { home, mark_every, folded } = journals;
        assert!(mark_every > 0, "epochs are noted at a distance");
        let first = refused.scope().index().is_multiple_of(workers);
        let records = refused.flat_map(move |refused| seq(&refused.row));
        let state = Refusals { watermark: BEGINNING, ..Refusals::default() };
        let route = move |seq: &u64| (home(*seq) * workers) as u64;
        let told = closed(records, NAME, route, state, move |state, now, rows, _| {
            if !first {
                return;
            }
            if now.advanced {
                state.advance(now, mark_every);
            }
            rows.drain(..).for_each(|(seq, _, _)| state.insert(seq));
            state.forget(&folded);
        });
        // An epoch is over when this is through with it, too.
        self.observe(NAME, told, |_, _: &[((), Epoch, isize)]| {});
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn runs_grow_together_and_are_forgotten_once_they_are_folded() {
        let mut refusals = Refusals::default();
        for seq in [5, 7, 6, 1, 9, 9, 6] {
            refusals.insert(seq);
        }
        assert_eq!(refusals.runs, BTreeMap::from([(1, 1), (5, 7), (9, 9)]));
        let there: Vec<u64> = (0..12).filter(|seq| refusals.contains(*seq)).collect();
        assert_eq!(there, [1, 5, 6, 7, 9]);
        let folded = Folded::default();
        folded.advance(10, 6);
        refusals.forget(&folded);
        assert_eq!(refusals.runs, BTreeMap::from([(5, 7), (9, 9)]), "a run goes as a whole");
        folded.advance(10, 7);
        refusals.forget(&folded);
        assert_eq!(refusals.runs, BTreeMap::from([(9, 9)]));
    }

    #[test]
    fn a_mark_says_the_watermark_as_of_its_epoch_whatever_is_forgotten() {
        let at = |epoch, watermark| Now { epoch, watermark, advanced: true };
        let mut refusals = Refusals { watermark: BEGINNING, ..Refusals::default() };
        for now in [at(3, 30), at(10, 100), at(11, 110), at(19, 190), at(47, 470)] {
            refusals.advance(now, 10);
        }
        assert_eq!(refusals.watermark(10), Some(100), "of epoch 10 itself, not of the next");
        assert_eq!(refusals.watermark(40), Some(190));
        assert_eq!(refusals.watermark(20), None, "nothing happened between: 40 says the same");
        assert_eq!((refusals.last_mark(39), refusals.last_mark(99)), (Some(10), Some(40)));
        let folded = Folded::default();
        folded.advance(40, 0);
        refusals.forget(&folded);
        refusals.advance(at(49, 490), 10);
        assert_eq!(refusals.last_mark(99), None, "it is not noted again with a later watermark");
    }
}
