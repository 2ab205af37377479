//! Overlay: what was so (points) laid over what was meant to be (spans), as one step function of event time per key.
//!
//! This is the state interval x schedule interval join of adherence. The last segment of a key is open and moves on
//! with the key's own present: the watermark or its latest point, whichever is later. Boundaries of spans take effect
//! when the present reaches them, without any event; nothing is said about the future.

use crate::Datum;
use crate::closed::{closed2, route};
use crate::diff::difference;
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, FOREVER, Millis, Point, Span};
use serde::{Deserialize, Serialize};

/// A maximal stretch of a key's history over which the judged value does not change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Segment<C> {
    pub from: EventTime,
    /// `FOREVER` on the last segment of a key: it holds until now.
    pub to: EventTime,
    pub value: C,
    /// Start of the unbroken run of segments of the same class that this one belongs to.
    pub since: EventTime,
    /// Journal position of the record whose statement begins here.
    pub seq: u64,
}

/// A statement that changed what had been said: of the past, or by ending a segment that was told as open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    pub at: EventTime,
    pub seq: u64,
}

/// The two outputs of [`Table::overlay`].
pub struct Overlay<'s, K: Datum, C: Datum> {
    /// `(K, Segment<C>)`, contiguous per key, the last one open.
    pub segments: Table<'s, (K, Segment<C>)>,
    /// `(K, Revision)`: insertions only, one per statement that changed what had been told, in the epoch it
    /// took effect.
    pub revisions: Table<'s, (K, Revision)>,
}

impl<'s, K: Datum, A: Datum> Table<'s, (K, Point<A>)> {
    /// Judges every stretch of time by the point and the span in force.
    ///
    /// `judge` gets the value of the latest point (`None` before the first) and of the covering span (of several the one
    /// that starts last; `None` where there is none) and may decline to say anything. Segments whose `class` is equal
    /// and that follow each other share `since`.
    ///
    /// State per key: the points and spans of the last `horizon` before the watermark, one point before them, and all
    /// spans ahead. Corrections reach back `horizon` at least.
    pub fn overlay<B: Datum, C: Datum, R: PartialEq + 'static>(
        self,
        name: &str,
        spans: Table<'s, (K, Span<B>)>,
        horizon: Millis,
        judge: impl Fn(Option<&A>, Option<&B>) -> Option<C> + 'static,
        class: impl Fn(&C) -> R + 'static,
    ) -> Overlay<'s, K, C> {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut due = Vec::new();
        let mut touched: Vec<(u32, EventTime)> = Vec::new();
        let mut said: Vec<(u32, Revision)> = Vec::new();
        let (segments, revisions) = closed2(
            self,
            |(key, _)| route(key),
            spans,
            |(key, _)| route(key),
            name,
            Keyed::<K, Track<A, B, C>>::new(),
            move |tracks, now, points, spans, out, revised| {
                let judging = Judging { judge: &judge, class: &class };
                touched.clear();
                // First note where each key changes, while its old history can still be told.
                tracks.group(points, |slot, _, _, rows| {
                    let at = rows.map(|(point, _)| point.at).min().unwrap_or(FOREVER);
                    touched.push((slot, at));
                });
                tracks.group(spans, |slot, _, _, rows| {
                    touched.push((slot, first_edge(rows)));
                });
                due.clear();
                tracks.due(now.watermark, &mut due);
                touched.extend(due.iter().map(|&slot| (slot, FOREVER)));
                touched.sort_unstable();
                touched.dedup_by_key(|(slot, _)| *slot);

                old.clear();
                let mut ranges = Vec::with_capacity(touched.len());
                for &(slot, at) in &touched {
                    let (_, track) = tracks.get(slot);
                    let begin = old.len();
                    let changed = at.min(track.present.saturating_add(1));
                    let from = track.boundary_before(changed);
                    // Nearly always the change lies within what is open: told before, and where it comes from is known.
                    let tail =
                        track.tail.clone().filter(|tail| tail.from <= from && tail.from < changed);
                    if let Some(tail) = &tail {
                        old.push(tail.clone());
                    } else {
                        track.tell(from, None, track.present, &judging, &mut old);
                    }
                    ranges.push((begin, from, tail));
                }
                said.clear();
                tracks.group(points, |slot, _, track, rows| {
                    for (point, diff) in rows {
                        if diff > 0 {
                            said.push((slot, Revision { at: point.at, seq: point.seq }));
                        }
                        put(&mut track.points, point, diff);
                    }
                });
                tracks.group(spans, |slot, _, track, rows| {
                    for (span, diff) in rows {
                        if diff > 0 {
                            said.push((slot, Revision { at: span.from, seq: span.seq }));
                        }
                        put(&mut track.spans, span, diff);
                    }
                });
                said.sort_unstable();
                for (i, &(slot, _)) in touched.iter().enumerate() {
                    let (begin, from, tail) = (ranges[i].0, ranges[i].1, ranges[i].2.take());
                    let end = ranges.get(i + 1).map_or(old.len(), |(next, _, _)| *next);
                    let (key, track) = tracks.get(slot);
                    let told_to = track.present;
                    track.present = track.present.max(now.watermark).max(track.latest());
                    new.clear();
                    track.tell(from, tail, track.present, &judging, &mut new);
                    track.tail = new.last().filter(|last| last.to == FOREVER).cloned();
                    // An open segment was a promise for others to count on: what ends its class revises that too.
                    let class = |segments: &[Segment<C>]| {
                        segments.last().map(|last| (judging.class)(&last.value))
                    };
                    let turned = class(&old[begin..end]) != class(&new);
                    let first = said.partition_point(|(of, _)| *of < slot);
                    for (_, revision) in said[first..].iter().take_while(|(of, _)| *of == slot) {
                        if turned || revision.at < told_to {
                            revised.give((key.clone(), revision.clone()), 1);
                        }
                    }
                    difference(&old[begin..end], &new, |segment, diff| {
                        out.give((key.clone(), segment), diff);
                    });
                    track.forget(now.watermark.saturating_sub(horizon), &judging);
                    let wake = track.next_edge(track.present);
                    let shrink = track.second_boundary().saturating_add(horizon);
                    tracks.wake(slot, wake.min(shrink.saturating_add(SHRINK_SLACK)));
                }
            },
        );
        Overlay { segments, revisions }
    }
}

/// State past the horizon may stay this long, so that it is dropped in bulk.
const SHRINK_SLACK: Millis = 15 * 60_000;

/// The earliest instant at which a set of span changes makes a difference.
fn first_edge<B: Datum>(rows: &mut dyn Iterator<Item = (&Span<B>, isize)>) -> EventTime {
    rows.map(|(span, _)| span.from).min().unwrap_or(FOREVER)
}

struct Judging<'f, J, L> {
    judge: &'f J,
    class: &'f L,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "A: Datum, B: Datum, C: Datum")]
struct Track<A, B, C> {
    /// Sorted by `(at, value)`, with copies: of several at one instant the last holds.
    points: Vec<(Point<A>, isize)>,
    /// Sorted by `(from, to, value)`, with copies.
    spans: Vec<(Span<B>, isize)>,
    /// What has been told reaches up to here: the key's present.
    present: EventTime,
    /// The open segment as told last.
    tail: Option<Segment<C>>,
    /// Nothing changes any more before the floor; the segment that was in progress there.
    floor: EventTime,
    floor_run: Option<Segment<C>>,
}

impl<A, B, C> Default for Track<A, B, C> {
    fn default() -> Self {
        Track {
            points: Vec::new(),
            spans: Vec::new(),
            present: BEGINNING,
            tail: None,
            floor: BEGINNING,
            floor_run: None,
        }
    }
}

impl<A: Datum, B: Datum, C: Datum> Track<A, B, C> {
    fn latest(&self) -> EventTime {
        self.points.last().map_or(BEGINNING, |(point, _)| point.at)
    }

    /// The point in force at `at`.
    fn in_force(&self, at: EventTime) -> Option<&Point<A>> {
        let after = self.points.partition_point(|(point, _)| point.at <= at);
        Some(&self.points[after.checked_sub(1)?].0)
    }

    /// The span in force at `at`: of several the one that starts last.
    fn covering(&self, at: EventTime) -> Option<&Span<B>> {
        let before = self.spans.partition_point(|(span, _)| span.from <= at);
        self.spans[..before].iter().rev().map(|(span, _)| span).find(|span| span.to > at)
    }

    fn edges(&self) -> impl Iterator<Item = (EventTime, u64)> + '_ {
        self.spans.iter().flat_map(|(span, _)| [(span.from, span.seq), (span.to, span.seq)])
    }

    fn next_edge(&self, after: EventTime) -> EventTime {
        self.edges().map(|(at, _)| at).filter(|&at| at > after).min().unwrap_or(FOREVER)
    }

    fn next_boundary(&self, after: EventTime) -> EventTime {
        let next = self.points.partition_point(|(point, _)| point.at <= after);
        let point = self.points.get(next).map_or(FOREVER, |(point, _)| point.at);
        point.min(self.next_edge(after))
    }

    /// The last boundary before `at`; the floor if there is none after it.
    fn boundary_before(&self, at: EventTime) -> EventTime {
        let points = self.points.partition_point(|(point, _)| point.at < at);
        let point = points.checked_sub(1).map_or(BEGINNING, |i| self.points[i].0.at);
        let edges = self.edges().map(|(edge, _)| edge).filter(|&edge| edge < at);
        point.max(edges.max().unwrap_or(BEGINNING)).max(self.floor)
    }

    fn second_boundary(&self) -> EventTime {
        self.next_boundary(self.floor.max(self.first_boundary()))
    }

    fn first_boundary(&self) -> EventTime {
        if self.floor > BEGINNING { self.floor } else { self.next_boundary(BEGINNING) }
    }

    fn value<J, L>(&self, at: EventTime, judging: &Judging<'_, J, L>) -> Option<C>
    where
        J: Fn(Option<&A>, Option<&B>) -> Option<C>,
    {
        let point = self.in_force(at).map(|point| &point.value);
        (judging.judge)(point, self.covering(at).map(|span| &span.value))
    }

    /// The record that has the last word at the boundary `at`.
    fn cause(&self, at: EventTime) -> u64 {
        match self.in_force(at) {
            Some(point) if point.at == at => point.seq,
            point => {
                let edge = self.edges().filter(|&(edge, _)| edge <= at).max();
                match (point, edge) {
                    (Some(point), Some((edge, seq))) => {
                        if edge > point.at {
                            seq
                        } else {
                            point.seq
                        }
                    }
                    (Some(point), None) => point.seq,
                    (None, edge) => edge.map_or(0, |(_, seq)| seq),
                }
            }
        }
    }

    /// Start of the run of boundaries, ending with `at`, whose value satisfies `same`; the second half of the answer tells
    /// that the run reaches back to the floor.
    fn run<J, L>(
        &self,
        at: EventTime,
        judging: &Judging<'_, J, L>,
        same: impl Fn(&C) -> bool,
    ) -> (EventTime, bool)
    where
        J: Fn(Option<&A>, Option<&B>) -> Option<C>,
    {
        let mut start = at;
        while start > self.floor {
            let before = self.boundary_before(start);
            if before == BEGINNING || before >= start {
                return (start, false);
            }
            match self.value(before, judging) {
                Some(value) if same(&value) => start = before,
                _ => return (start, false),
            }
        }
        (start, true)
    }

    /// The segment in progress at the boundary `at`, still open.
    fn segment<J, L, R>(&self, at: EventTime, value: C, judging: &Judging<'_, J, L>) -> Segment<C>
    where
        J: Fn(Option<&A>, Option<&B>) -> Option<C>,
        L: Fn(&C) -> R,
        R: PartialEq,
    {
        let class = (judging.class)(&value);
        let (mut from, from_floor) = self.run(at, judging, |other| *other == value);
        let mut seq = self.cause(from);
        let (mut since, since_floor) =
            self.run(from, judging, |other| (judging.class)(other) == class);
        if let Some(before) = &self.floor_run {
            if from_floor && before.value == value {
                (from, seq) = (before.from, before.seq);
            }
            if since_floor && (judging.class)(&before.value) == class {
                since = before.since;
            }
        }
        Segment { from, to: FOREVER, value, since, seq }
    }

    /// Appends the segments from the boundary `from` (or the first one) up to the present; `open` is the segment in
    /// progress there, where that is known.
    fn tell<J, L, R>(
        &self,
        from: EventTime,
        mut open: Option<Segment<C>>,
        present: EventTime,
        judging: &Judging<'_, J, L>,
        out: &mut Vec<Segment<C>>,
    ) where
        J: Fn(Option<&A>, Option<&B>) -> Option<C>,
        L: Fn(&C) -> R,
        R: PartialEq,
    {
        let mut at = if from == BEGINNING { self.first_boundary() } else { from };
        let mut first = open.is_none();
        while at <= present && at < FOREVER {
            let value = self.value(at, judging);
            open = match (open.take(), value) {
                (Some(segment), Some(value)) if segment.value == value => Some(segment),
                (Some(mut segment), value) => {
                    segment.to = at;
                    let next = value.map(|value| {
                        let same = (judging.class)(&value) == (judging.class)(&segment.value);
                        let since = if same { segment.since } else { at };
                        Segment { from: at, to: FOREVER, value, since, seq: self.cause(at) }
                    });
                    out.push(segment);
                    next
                }
                // Only the first may continue what lies before.
                (None, Some(value)) if first => Some(self.segment(at, value, judging)),
                (None, Some(value)) => {
                    Some(Segment { from: at, to: FOREVER, value, since: at, seq: self.cause(at) })
                }
                (None, None) => None,
            };
            first = false;
            at = self.next_boundary(at);
        }
        out.extend(open);
    }

    /// Drops what can no longer change: everything before the last boundary at or before `oldest`.
    fn forget<J, L, R>(&mut self, oldest: EventTime, judging: &Judging<'_, J, L>)
    where
        J: Fn(Option<&A>, Option<&B>) -> Option<C>,
        L: Fn(&C) -> R,
        R: PartialEq,
    {
        if self.second_boundary() > oldest {
            return;
        }
        let floor = self.boundary_before(oldest.saturating_add(1));
        let value = self.value(floor, judging);
        self.floor_run = value.map(|value| self.segment(floor, value, judging));
        self.floor = floor;
        let kept = self.points.partition_point(|(point, _)| point.at <= floor);
        self.points.drain(..kept.saturating_sub(1));
        self.spans.retain(|(span, _)| span.to > floor);
    }
}
