//! Windows that merge: an element may bridge two sessions, a deletion may split one.
//!
//! Connected windows are found among the live ones and all of the epoch's changes together, so that the order of
//! arrival within the epoch does not matter and an element is judged by the window it ends up in.

use std::collections::VecDeque;
use std::mem;

use crate::Datum;
use crate::time::EventTime;

use super::aggregate::Aggregate;
use super::assign::WindowFn;
use super::operator::{KeyId, Operator, held};
use super::state::{Live, Pending, Placed, Point};
use super::trigger::{Moment, TriggerState};
use super::{LateReason, TimestampCombiner, Window};

impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> Operator<K, V, W, A> {
    /// Puts an epoch's changes of one key into its merging windows.
    pub(crate) fn merge_in(&mut self, id: KeyId, pending: &mut Vec<Pending<A::Acc>>) {
        pending.sort_by_key(|change| change.slice.start);
        pending.dedup_by(|next, first| {
            let same = next.slice.start == first.slice.start;
            if same {
                self.aggregate.merge(&mut first.acc, &next.acc);
                first.inserted += next.inserted;
                first.deleted += next.deleted;
            }
            same
        });
        let mut changes: Vec<(Window, Pending<A::Acc>)> =
            pending.drain(..).map(|change| (self.window_of(change.slice.start), change)).collect();
        changes.sort_by_key(|(window, _)| *window);

        let mut changes = changes.into_iter().peekable();
        while let Some((window, change)) = changes.next() {
            let mut span = window;
            let mut together = vec![change];
            let mut sources = Vec::new();
            // Whatever overlaps the span joins it and may widen it.
            loop {
                let before = span;
                while let Some((next, change)) = changes.next_if(|(next, _)| overlap(*next, span)) {
                    span = hull(span, next);
                    together.push(change);
                }
                let windows = &mut self.keys[id as usize].windows;
                while let Some(index) = overlapping(windows, span) {
                    let Some(live) = windows.remove(index) else { break };
                    span = hull(span, live.window);
                    sources.push(live.into_live());
                }
                if span == before {
                    break;
                }
            }
            self.connect(id, span, sources, together);
        }
    }

    fn window_of(&mut self, at: EventTime) -> Window {
        let assigned = &mut self.assigned.windows;
        self.windows.assign(at, assigned);
        let window = assigned.pop();
        assert!(assigned.is_empty(), "a merging window function assigns one window");
        window.expect("a merging window function assigns a window to each element")
    }

    /// Merges connected windows and changes into the window `span`.
    fn connect(
        &mut self,
        id: KeyId,
        span: Window,
        sources: Vec<Live<A::Acc, A::Output>>,
        changes: Vec<Pending<A::Acc>>,
    ) {
        let complete = self.windows.complete_at(span);
        let refusal = if complete.saturating_add(self.plan.allowed_lateness) <= self.watermark {
            Some(LateReason::Expired)
        } else if sources.is_empty() && closed_by(&self.keys[id as usize].windows, span) {
            Some(LateReason::Closed)
        } else {
            None
        };
        if let Some(reason) = refusal {
            debug_assert!(sources.is_empty(), "a live window outlives what it merges into");
            for change in changes {
                self.refuse(id, change.slice.start, reason);
            }
            return;
        }

        let moment = Moment { past_end: complete <= self.watermark, clock: self.now };
        let mut live = self.merge(id, span, sources, moment);
        let mut shrunk = false;
        for change in changes {
            let at = change.slice.start;
            let net = change.inserted - change.deleted;
            if !self.discarding {
                let place = place_of(&live.points, at);
                let known = place.map_or(0, |index| live.points[index].elements);
                if known + net < 0 || (known == 0 && net <= 0) {
                    self.refuse(id, at, LateReason::Unknown);
                    continue;
                }
                match place {
                    Ok(index) => {
                        let point = &mut live.points[index];
                        point.elements += net;
                        self.aggregate.merge(&mut point.acc, &change.acc);
                        if point.elements == 0 {
                            live.points.remove(index);
                            shrunk = true;
                        }
                    }
                    Err(index) => {
                        let acc = change.acc.clone();
                        live.points.insert(index, Point { at, elements: net, acc });
                    }
                }
            }
            match &mut live.acc {
                Some(acc) => self.aggregate.merge(acc, &change.acc),
                None => live.acc = Some(change.acc),
            }
            live.elements += net;
            let came = change.inserted + change.deleted;
            live.changes += came;
            self.machine.on_element(&mut live.trigger, moment, came);
            if !moment.past_end {
                let combiner = self.plan.timestamps;
                live.hold = held(combiner, live.hold, at, complete - 1, self.watermark);
            }
        }
        if !self.discarding && (shrunk || live.points.is_empty()) {
            for part in self.split(id, live) {
                self.place(id, part);
            }
        } else {
            self.place(id, live);
        }
    }

    /// Records that the session an element would have fallen in did not take it.
    fn refuse(&mut self, id: KeyId, at: EventTime, reason: LateReason) {
        let window = self.window_of(at);
        self.keys[id as usize].refused.push((at, window, reason));
        self.any_refused = true;
    }

    /// One window made of several, as yet without this epoch's changes.
    fn merge(
        &mut self,
        id: KeyId,
        span: Window,
        mut sources: Vec<Live<A::Acc, A::Output>>,
        moment: Moment,
    ) -> Live<A::Acc, A::Output> {
        if sources.len() == 1 && sources[0].window == span {
            return sources.remove(0);
        }
        let mut merged = Live::new(span);
        if sources.is_empty() {
            return merged;
        }
        // Their rows go in the order of time.
        sources.sort_by_key(|source| source.window);
        if let Ok(index) = self.keys[id as usize].find(span) {
            // A closed window of the same bounds comes back to life, and its row with it.
            let closed = self.keys[id as usize].windows.remove(index);
            merged.shown_before.extend(closed.and_then(|mut closed| closed.shown.take()));
        }
        let states: Vec<&TriggerState> = sources.iter().map(|source| &source.trigger).collect();
        let own = sources.iter().find(|source| source.window == span);
        merged.trigger = self.machine.merge(&states, own.map(|own| &own.trigger), moment);
        if let Some(own) = own {
            // Panes are counted by window: a new window begins anew.
            merged.panes = own.panes;
            merged.settled_panes = own.settled_panes;
        }
        for mut source in sources {
            merged.elements += source.elements;
            merged.changes += source.changes;
            merged.shown_before.extend(source.shown.take());
            merged.shown_before.append(&mut source.shown_before);
            merged.hold = match (merged.hold, source.hold, self.plan.timestamps) {
                (Some(a), Some(b), TimestampCombiner::Latest) => Some(a.max(b)),
                (Some(a), Some(b), _) => Some(a.min(b)),
                (a, b, _) => a.or(b),
            };
            match (&mut merged.acc, source.acc) {
                (Some(acc), Some(other)) => self.aggregate.merge(acc, &other),
                (acc @ None, other) => *acc = other,
                (Some(_), None) => {}
            }
            // Live sessions are disjoint, and so are their points.
            merged.points.append(&mut source.points);
        }
        merged.points.sort_by_key(|point| point.at);
        if self.plan.timestamps == TimestampCombiner::EndOfWindow {
            merged.hold = (!moment.past_end).then(|| self.windows.complete_at(span) - 1);
        }
        merged
    }

    /// What is left of a session after deletions: itself, a smaller one, several, or none.
    fn split(
        &mut self,
        id: KeyId,
        mut live: Live<A::Acc, A::Output>,
    ) -> Vec<Live<A::Acc, A::Output>> {
        let mut spans: Vec<Window> = Vec::new();
        for point in &live.points {
            let window = self.window_of(point.at);
            match spans.last_mut() {
                Some(last) if overlap(*last, window) => *last = hull(*last, window),
                _ => spans.push(window),
            }
        }
        if spans.len() == 1 && spans[0] == live.window {
            return vec![live];
        }
        let mut points = mem::take(&mut live.points);
        let mut shown = mem::take(&mut live.shown_before);
        shown.extend(live.shown.take());
        let single = spans.len() == 1;
        let mut parts = Vec::with_capacity(spans.len());
        for span in spans {
            let mut part = Live::new(span);
            let later = points.split_off(points.partition_point(|point| point.at < span.end));
            part.points = mem::replace(&mut points, later);
            let mut acc = self.aggregate.zero();
            for point in &part.points {
                self.aggregate.merge(&mut acc, &point.acc);
                part.elements += point.elements;
            }
            part.acc = Some(acc);
            part.changes = part.elements;
            let past_end = self.windows.complete_at(span) <= self.watermark;
            let moment = Moment { past_end, clock: self.now };
            if single {
                part.trigger = live.trigger.clone();
                part.hold = live.hold.filter(|hold| *hold < self.windows.complete_at(span));
            } else {
                self.machine.on_element(&mut part.trigger, moment, part.elements);
            }
            let (mine, others) =
                mem::take(&mut shown).into_iter().partition(|row| overlap(row.window, span));
            (part.shown_before, shown) = (mine, others);
            parts.push(part);
        }
        self.orphans.extend(shown.into_iter().map(|row| (id, row)));
        parts
    }

    /// Gives a window its place among the key's, and has its trigger asked.
    fn place(&mut self, id: KeyId, mut live: Live<A::Acc, A::Output>) {
        let window = live.window;
        let past_end = self.windows.complete_at(window) <= self.watermark;
        live.passed = past_end;
        live.alarm = super::state::NO_ALARM;
        live.dirty = past_end || self.machine.speaks_early();
        if live.dirty {
            // Its place is found when it is asked: others may still merge.
            self.dirty.push((id, window, usize::MAX));
        }
        let keyed = &mut self.keys[id as usize];
        match keyed.find(window) {
            Err(index) => keyed.windows.insert(index, Placed::new(live)),
            Ok(index) => {
                // Splitting led back to a window that had been closed: it lives again, with its row.
                live.shown_before.extend(keyed.windows[index].shown.take());
                keyed.windows[index] = Placed::new(live);
            }
        }
        self.expect_end(id, window);
    }
}

/// Whether what falls in `span` belongs to a session that is closed. A window that holds a closed one within it is
/// another, larger session, and lives.
fn closed_by<A, O>(windows: &VecDeque<Placed<A, O>>, span: Window) -> bool {
    let holds = |inner: Window| span.start <= inner.start && inner.end <= span.end;
    windows.iter().take_while(|placed| placed.window.start < span.end).any(|placed| {
        let window = placed.window;
        overlap(window, span) && (window == span || !holds(window)) && placed.closed
    })
}

/// Where the point is, or where it would be.
fn place_of<A>(points: &[Point<A>], at: EventTime) -> Result<usize, usize> {
    match points.last() {
        None => Err(0),
        Some(last) if last.at < at => Err(points.len()),
        Some(_) => points.binary_search_by_key(&at, |point| point.at),
    }
}

/// A live window that overlaps `span`. Live windows of a key are disjoint; closed ones may lie among them.
fn overlapping<A, O>(windows: &VecDeque<Placed<A, O>>, span: Window) -> Option<usize> {
    let after = windows.partition_point(|placed| placed.window.start < span.end);
    let before = (0..after).rev().filter(|&index| !windows[index].closed);
    before.take(1).find(|&index| windows[index].window.end > span.start)
}

fn overlap(a: Window, b: Window) -> bool {
    a.start < b.end && b.start < a.end
}

fn hull(a: Window, b: Window) -> Window {
    Window { start: a.start.min(b.start), end: a.end.max(b.end) }
}
