//! Overlay: what was so (points) laid over what was meant to be (spans), as one step function of event time per key.
//!
//! This is the state interval x schedule interval join of adherence. The last segment of a key is open and moves on
//! with the key's own present: the watermark or its latest point, whichever is later. Boundaries of spans take effect
//! when the present reaches them, without any event; nothing is said about the future.

use std::collections::BTreeMap;

use crate::Datum;
use crate::closed::{closed2, route};
use crate::diff::difference;
use crate::keyed::{Keyed, in_order, run_of};
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

/// A statement that changed what had been said: of the past, or by ending a segment that was told as open. One may have
/// been made long before: a boundary of a span, which ends the open segment when the present comes to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    pub at: EventTime,
    pub seq: u64,
}

/// What an overlay reads of its values beyond what they are, to say by which records its segments were revised.
pub struct Provenance<B, C> {
    /// Journal positions of the records for which a span, said by one and the same record, has another value than
    /// before. They name the revision where that changed a segment; the span's own record does not.
    pub amended: fn(&B, &B) -> Vec<u64>,
    /// Values whose end is a revision though one of the same class follows.
    pub exact: fn(&C) -> bool,
}

impl<B, C> Default for Provenance<B, C> {
    fn default() -> Self {
        Provenance { amended: |_, _| Vec::new(), exact: |_| false }
    }
}

/// The two outputs of [`Table::overlay`].
pub struct Overlay<'s, K: Datum, C: Datum> {
    /// `(K, Segment<C>)`, contiguous per key, the last one open.
    pub segments: Table<'s, (K, Segment<C>)>,
    /// `(K, Revision)`: insertions only, one per statement that changed what had been told, in the epoch it
    /// took effect: that in which it came, or that in which the present came to what it says.
    pub revisions: Table<'s, (K, Revision)>,
}

impl<'s, K: Datum, A: Datum> Table<'s, (K, Point<A>)> {
    /// Judges every stretch of time by the point and the span in force.
    ///
    /// `judge` gets the value of the latest point (`None` before the first) and of the covering span (of several the one
    /// that starts last; `None` where there is none) and may decline to say anything. Segments whose `class` is equal
    /// and that follow each other share `since`.
    ///
    /// A span of no length holds nowhere. It says that spans which go in its epoch were taken back, and by which record:
    /// where nothing takes their place, no other row could tell.
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
        self.overlay_told_by(name, spans, horizon, judge, class, Provenance::default())
    }

    /// As [`Table::overlay`], for spans whose value is made of several records.
    pub fn overlay_told_by<B: Datum, C: Datum, R: PartialEq + 'static>(
        self,
        name: &str,
        spans: Table<'s, (K, Span<B>)>,
        horizon: Millis,
        judge: impl Fn(Option<&A>, Option<&B>) -> Option<C> + 'static,
        class: impl Fn(&C) -> R + 'static,
        provenance: Provenance<B, C>,
    ) -> Overlay<'s, K, C> {
        let Provenance { amended, exact } = provenance;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let (mut by_point, mut by_span) = (Vec::new(), Vec::new());
        let (mut touched, mut said, mut amends) = (Vec::new(), Vec::new(), Vec::new());
        let (segments, revisions) = closed2(
            self,
            |(key, _)| route(key),
            spans,
            |(key, _)| route(key),
            name,
            (BEGINNING, Keyed::<K, Track<A, B, C>>::new()),
            move |(before, tracks), now, points, spans, out, revised| {
                let before = std::mem::replace(before, now.watermark);
                let judging = Judging { judge: &judge, class: &class };
                tracks.arrange(points, &mut by_point);
                tracks.arrange(spans, &mut by_span);
                touched.clear();
                tracks.due(now.watermark, &mut touched);
                touched.extend(by_point.iter().chain(&by_span).map(|&(slot, _)| slot));
                touched.sort_unstable();
                touched.dedup();
                let (mut points_done, mut spans_done) = (0, 0);
                for &slot in &touched {
                    let points = in_order(points, run_of(&by_point, &mut points_done, slot));
                    let spans = in_order(spans, run_of(&by_span, &mut spans_done, slot));
                    let (key, track) = tracks.get(slot);

                    old.clear();
                    let first = points.clone().map(|(point, _)| point.at);
                    let first = first.chain(spans.clone().map(|(span, _)| span.from)).min();
                    let changed = first.unwrap_or(FOREVER).min(track.present.saturating_add(1));
                    let from = track.boundary_before(changed);
                    // Nearly always the change lies within what is open: told before, and where it comes from is known.
                    let tail = track.tail.take();
                    let tail = tail.filter(|tail| tail.from <= from && tail.from < changed);
                    if let Some(tail) = &tail {
                        old.push(tail.clone());
                    } else {
                        track.tell(from, None, track.present, &judging, &mut old);
                    }

                    said.clear();
                    amends.clear();
                    let replaced = points.clone().any(|(_, diff)| diff < 0);
                    for (point, diff) in points {
                        if diff > 0 {
                            said.push(Revision { at: point.at, seq: point.seq });
                        }
                        put(&mut track.points, point, diff);
                    }
                    let takes_back = |span: &Span<B>| span.from == span.to;
                    let same = |span: &Span<B>| (span.from, span.to, span.seq);
                    let gone = spans.clone().filter(|(_, diff)| *diff < 0).map(|(span, _)| span);
                    let gone: BTreeMap<_, &B> = gone.map(|s| (same(s), &s.value)).collect();
                    for (span, diff) in spans.clone() {
                        if diff > 0 && !takes_back(span) {
                            let revised = |seq| Revision { at: span.from, seq };
                            match gone.get(&same(span)) {
                                Some(was) => {
                                    amends
                                        .extend(amended(was, &span.value).into_iter().map(revised));
                                }
                                None => said.push(revised(span.seq)),
                            }
                        }
                        put(&mut track.spans, span, diff);
                    }
                    for (by, _) in spans.clone().filter(|(span, n)| *n > 0 && takes_back(span)) {
                        let gone = spans.clone().filter(|(span, n)| *n < 0 && !takes_back(span));
                        said.extend(gone.map(|(span, _)| Revision { at: span.from, seq: by.seq }));
                    }
                    if spans.count() > 0 {
                        track.cover();
                    }
                    new.clear();
                    let told_to = track.present.max(before);
                    track.present = track.present.max(now.watermark).max(track.latest());
                    track.tell(from, tail, track.present, &judging, &mut new);
                    track.tail = new.last().filter(|last| last.to == FOREVER).cloned();
                    let mut differs = false;
                    difference(&old, &new, |segment, diff| {
                        differs = true;
                        out.give((key.clone(), segment), diff);
                    });
                    // An open segment was a promise for others to count on: what ends its class revises that too.
                    let class = |segments: &[Segment<C>]| {
                        let last = segments.last().map(|last| &last.value);
                        (last.map(judging.class), last.filter(|last| exact(last)).cloned())
                    };
                    let turned = class(&old) != class(&new);
                    // What is open was told up to the watermark; what another point replaces there was told as well.
                    let again = said.iter().filter(|it| replaced && !turned && it.at == told_to);
                    again.for_each(|it| revised.give((key.clone(), it.clone()), 1));
                    if differs {
                        said.append(&mut amends);
                    }
                    said.retain(|revision| turned || revision.at < told_to);
                    track.passed(told_to, &new, &judging, exact, &mut said);
                    said.sort_unstable();
                    said.dedup();
                    for revision in said.drain(..) {
                        revised.give((key.clone(), revision), 1);
                    }

                    if track.shrink_at <= now.watermark {
                        track.forget(now.watermark.saturating_sub(horizon), &judging);
                        track.shrink_at = FOREVER;
                    }
                    if track.shrink_at == FOREVER {
                        let second = track.second_boundary().saturating_add(horizon);
                        track.shrink_at = second.saturating_add(SHRINK_SLACK);
                    }
                    let wake = track.next_edge(track.present).min(track.shrink_at);
                    tracks.wake(slot, wake);
                }
            },
        );
        Overlay { segments, revisions }
    }
}

/// State past the horizon may stay this long, so that it is dropped in bulk.
const SHRINK_SLACK: Millis = 15 * 60_000;

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
    /// What the spans amount to, by instant; made anew whenever they change.
    edges: Vec<Edge>,
    /// What has been told reaches up to here: the key's present.
    present: EventTime,
    /// The open segment as told last.
    tail: Option<Segment<C>>,
    /// Nothing changes any more before the floor; the segment that was in progress there.
    floor: EventTime,
    floor_run: Option<Segment<C>>,
    /// The watermark at which enough lies behind the horizon to be dropped; `FOREVER` if that is not known.
    shrink_at: EventTime,
}

/// An instant at which spans begin or end, and what holds from there to the next.
#[derive(Serialize, Deserialize)]
struct Edge {
    at: EventTime,
    /// The greatest journal position among those spans.
    seq: u64,
    /// Index of the span in force from here on: of several the one that starts last.
    span: Option<u32>,
}

impl<A, B, C> Default for Track<A, B, C> {
    fn default() -> Self {
        Track {
            points: Vec::new(),
            spans: Vec::new(),
            edges: Vec::new(),
            present: BEGINNING,
            tail: None,
            floor: BEGINNING,
            floor_run: None,
            shrink_at: FOREVER,
        }
    }
}

impl<A: Datum, B: Datum, C: Datum> Track<A, B, C> {
    fn latest(&self) -> EventTime {
        self.points.last().map_or(BEGINNING, |(point, _)| point.at)
    }

    /// The point in force at `at`.
    fn in_force(&self, at: EventTime) -> Option<&Point<A>> {
        let after = upto(&self.points, |(point, _)| point.at <= at);
        Some(&self.points[after.checked_sub(1)?].0)
    }

    /// Works out the edges of the spans, which have changed.
    fn cover(&mut self) {
        self.edges.clear();
        for (span, _) in &self.spans {
            self.edges.push(Edge { at: span.from, seq: span.seq, span: None });
            self.edges.push(Edge { at: span.to, seq: span.seq, span: None });
        }
        self.edges.sort_unstable_by_key(|edge| (edge.at, std::cmp::Reverse(edge.seq)));
        self.edges.dedup_by_key(|edge| edge.at);
        let mut active: Vec<u32> = Vec::new();
        let mut next = 0;
        for edge in &mut self.edges {
            active.retain(|&index| self.spans[index as usize].0.to > edge.at);
            while let Some((span, _)) = self.spans.get(next).filter(|(s, _)| s.from <= edge.at) {
                if span.to > edge.at {
                    active.push(next as u32);
                }
                next += 1;
            }
            edge.span = active.last().copied();
        }
    }

    /// The last edge at or before `at`.
    fn edge(&self, at: EventTime) -> Option<&Edge> {
        let after = self.edges.partition_point(|edge| edge.at <= at);
        Some(&self.edges[after.checked_sub(1)?])
    }

    /// The span in force at `at`.
    fn covering(&self, at: EventTime) -> Option<&Span<B>> {
        Some(&self.spans[self.edge(at)?.span? as usize].0)
    }

    fn next_edge(&self, after: EventTime) -> EventTime {
        let next = self.edges.partition_point(|edge| edge.at <= after);
        self.edges.get(next).map_or(FOREVER, |edge| edge.at)
    }

    fn next_boundary(&self, after: EventTime) -> EventTime {
        let next = upto(&self.points, |(point, _)| point.at <= after);
        let point = self.points.get(next).map_or(FOREVER, |(point, _)| point.at);
        point.min(self.next_edge(after))
    }

    /// The last boundary before `at`; the floor if there is none after it.
    fn boundary_before(&self, at: EventTime) -> EventTime {
        let points = upto(&self.points, |(point, _)| point.at < at);
        let point = points.checked_sub(1).map_or(BEGINNING, |i| self.points[i].0.at);
        let edges = self.edges.partition_point(|edge| edge.at < at);
        let edge = edges.checked_sub(1).map_or(BEGINNING, |i| self.edges[i].at);
        point.max(edge).max(self.floor)
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
                let edge = self.edge(at).map(|edge| (edge.at, edge.seq));
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

    /// Appends the statements of the boundaries after `told_to` at which one of the `segments` begins or ends: what the
    /// present has come to. A point counts where the class turns there, or an exact value ends: also where it has turned
    /// back by now.
    fn passed<J, L, R>(
        &self,
        told_to: EventTime,
        segments: &[Segment<C>],
        judging: &Judging<'_, J, L>,
        exact: fn(&C) -> bool,
        out: &mut Vec<Revision>,
    ) where
        L: Fn(&C) -> R,
        R: PartialEq,
    {
        let class = |segment: &Segment<C>| (judging.class)(&segment.value);
        let mut before: Option<&Segment<C>> = None;
        for next in segments.iter().map(Some).chain([None]) {
            let joined = before.zip(next).filter(|(before, next)| before.to == next.from);
            let turns = joined.is_none_or(|(was, is)| class(was) != class(is) || exact(&was.value));
            let ended = before.filter(|_| joined.is_none()).map(|before| before.to);
            for at in ended.into_iter().chain(next.map(|next| next.from)) {
                let by_point = self.in_force(at).is_some_and(|point| point.at == at);
                if told_to < at && at < FOREVER && (turns || !by_point) {
                    out.push(Revision { at, seq: self.cause(at) });
                }
            }
            before = next;
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
        let mut at = match &open {
            // In progress there, and as it was.
            Some(_) => self.next_boundary(from),
            None if from == BEGINNING => self.first_boundary(),
            None => from,
        };
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
        self.cover();
    }
}

/// As `partition_point`, quick where the answer lies near the end.
fn upto<T>(rows: &[T], before: impl Fn(&T) -> bool) -> usize {
    let (mut end, mut step) = (rows.len(), 1);
    while end > 0 {
        let probe = end.saturating_sub(step);
        if before(&rows[probe]) {
            return probe + 1 + rows[probe + 1..end].partition_point(before);
        }
        (end, step) = (probe, step * 2);
    }
    0
}

#[cfg(test)]
mod tests;
