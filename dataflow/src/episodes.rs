//! Episodes: stretches of event time over which at least so many members of a group hold at once.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::diff::difference;
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, FOREVER, Millis, Span};

/// A maximal stretch `[from, to)` during which the group's count stayed at or above the minimum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Episode<M> {
    pub from: EventTime,
    /// `FOREVER` while it lasts.
    pub to: EventTime,
    /// The greatest count during it.
    pub peak: usize,
    /// Everybody who took part, sorted.
    pub members: Vec<M>,
    /// Journal positions of the records that put the first ones in, sorted.
    pub causes: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "M: Datum")]
struct Group<M> {
    spans: Vec<(Span<M>, isize)>,
    shown: Vec<Episode<M>>,
}

impl<M> Default for Group<M> {
    fn default() -> Self {
        Group { spans: Vec::new(), shown: Vec::new() }
    }
}

impl<'s, G: Datum, M: Datum> Table<'s, (G, Span<M>)> {
    /// When at least `minimum` spans of a group overlap, as maximal stretches.
    ///
    /// A late change rewrites the episodes it touches and no others. State per group: the spans and episodes that end
    /// within `horizon` of the watermark or later. Cost of a change: linear in those spans.
    pub fn at_least(
        self,
        name: &str,
        minimum: usize,
        horizon: Millis,
    ) -> Table<'s, (G, Episode<M>)> {
        assert!(minimum > 0, "an episode needs at least one member");
        let mut due = Vec::new();
        let mut moved: Vec<((EventTime, u64, M), isize)> = Vec::new();
        let mut edges = Vec::new();
        closed(
            self,
            name,
            |(group, _)| route(group),
            Keyed::<G, Group<M>>::new(),
            move |groups, now, rows, out| {
                let oldest = now.watermark.saturating_sub(horizon);
                let mut touched = Vec::new();
                groups.group(rows, |slot, key, group, changes| {
                    moved.clear();
                    for (span, diff) in changes {
                        moved.push(((span.from, span.seq, span.value.clone()), diff));
                        moved.push(((span.to, 0, span.value.clone()), -diff));
                        put(&mut group.spans, span, diff);
                    }
                    // A span that merely got its end changes nothing at its start; another member's does.
                    differential_dataflow::consolidation::consolidate(&mut moved);
                    if let Some(&((changed, _, _), _)) = moved.first() {
                        group.rewrite(changed, minimum, &mut edges, |episode, diff| {
                            out.give((key.clone(), episode), diff);
                        });
                    }
                    touched.push(slot);
                });
                due.clear();
                groups.due(now.watermark, &mut due);
                for slot in touched.into_iter().chain(due.iter().copied()) {
                    let (_, group) = groups.get(slot);
                    group.shown.retain(|episode| episode.to >= oldest);
                    // What an episode still shown is made of stays as long as it does.
                    let keep = group.shown.first().map_or(oldest, |first| first.from.min(oldest));
                    group.spans.retain(|(span, _)| span.to >= keep);
                    let ends = group.spans.iter().map(|(span, _)| span.to).filter(|&t| t < FOREVER);
                    if let Some(end) = ends.min() {
                        let at = end.max(oldest.saturating_add(60_000)).saturating_add(horizon);
                        groups.wake(slot, at.saturating_add(1));
                    }
                }
            },
        )
    }
}

impl<M: Datum> Group<M> {
    /// Tells anew everything from `changed` on, and gives the difference.
    fn rewrite(
        &mut self,
        changed: EventTime,
        minimum: usize,
        edges: &mut Vec<(EventTime, isize)>,
        give: impl FnMut(Episode<M>, isize),
    ) {
        let kept = self.shown.partition_point(|episode| episode.to < changed);
        let start = self.shown.get(kept).map_or(changed, |episode| episode.from.min(changed));
        let mut count = 0;
        edges.clear();
        for (span, copies) in &self.spans {
            if span.to < start {
                continue;
            }
            if span.from < start {
                count += copies;
            } else {
                edges.push((span.from, *copies));
            }
            if span.to < FOREVER {
                edges.push((span.to, -copies));
            }
        }
        edges.sort_unstable();
        let mut told = Vec::new();
        let mut running: Option<(EventTime, isize)> = None;
        let minimum = minimum as isize;
        if count >= minimum {
            running = Some((BEGINNING, count));
        }
        for instant in edges.chunk_by(|a, b| a.0 == b.0) {
            count += instant.iter().map(|(_, n)| n).sum::<isize>();
            let at = instant[0].0;
            match &mut running {
                None if count >= minimum => running = Some((at, count)),
                Some((_, peak)) if count >= minimum => *peak = (*peak).max(count),
                Some((from, peak)) => {
                    told.push(self.episode(*from, at, *peak));
                    running = None;
                }
                None => {}
            }
        }
        if let Some((from, peak)) = running {
            told.push(self.episode(from, FOREVER, peak));
        }
        difference(&self.shown[kept..], &told, give);
        self.shown.truncate(kept);
        self.shown.append(&mut told);
    }

    fn episode(&self, from: EventTime, to: EventTime, peak: isize) -> Episode<M> {
        let inside = self.spans.iter().map(|(span, _)| span);
        let inside = inside.filter(|span| span.from < to && span.to > from);
        let mut members: Vec<M> = inside.clone().map(|span| span.value.clone()).collect();
        members.sort_unstable();
        members.dedup();
        let mut causes: Vec<u64> =
            inside.filter(|span| span.from <= from).map(|span| span.seq).collect();
        causes.sort_unstable();
        causes.dedup();
        Episode { from, to, peak: peak.unsigned_abs(), members, causes }
    }
}
