//! Interval overlap join: two tables of spans, met where both hold at once.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed2, route};
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::{EventTime, Millis, Span};

/// The spans of both sides of one key, sorted.
#[derive(Serialize, Deserialize)]
#[serde(bound = "A: Datum, B: Datum")]
struct Sides<A, B> {
    left: Vec<(Span<A>, isize)>,
    right: Vec<(Span<B>, isize)>,
}

impl<A, B> Default for Sides<A, B> {
    fn default() -> Self {
        Sides { left: Vec::new(), right: Vec::new() }
    }
}

impl<'s, K: Datum, A: Datum> Table<'s, (K, Span<A>)> {
    /// One row per pair of overlapping spans of a key, over the time both hold.
    ///
    /// As-of semantics: a late change on either side recomputes exactly the overlaps it touches. State: the spans of
    /// both sides that end within `horizon` of the watermark or later; older ones go, their overlaps stay.
    pub fn overlap_join<B: Datum, C: Datum>(
        self,
        name: &str,
        right: Table<'s, (K, Span<B>)>,
        horizon: Millis,
        f: impl Fn(&K, &A, &B) -> C + 'static,
    ) -> Table<'s, (K, Span<C>)> {
        let mut due = Vec::new();
        let mut changed: Vec<((K, Span<C>), isize)> = Vec::new();
        let (joined, _) = closed2(
            self,
            |(key, _)| route(key),
            right,
            |(key, _)| route(key),
            name,
            Keyed::<K, Sides<A, B>>::new(),
            move |keyed, now, lefts, rights, out, _: &mut crate::closed::Out<()>| {
                let oldest = now.watermark.saturating_sub(horizon);
                let mut touched = Vec::new();
                keyed.group(lefts, |slot, key, sides, rows| {
                    touched.push(slot);
                    for (span, diff) in rows {
                        for (other, copies) in overlapping(&sides.right, span.from, span.to) {
                            let row = meet(span, other, f(key, &span.value, &other.value));
                            changed.push(((key.clone(), row), diff * copies));
                        }
                        put(&mut sides.left, span, diff);
                    }
                });
                keyed.group(rights, |slot, key, sides, rows| {
                    touched.push(slot);
                    for (span, diff) in rows {
                        for (other, copies) in overlapping(&sides.left, span.from, span.to) {
                            let row = meet(other, span, f(key, &other.value, &span.value));
                            changed.push(((key.clone(), row), diff * copies));
                        }
                        put(&mut sides.right, span, diff);
                    }
                });
                out.give_net(&mut changed);
                due.clear();
                keyed.due(now.watermark, &mut due);
                for slot in touched.into_iter().chain(due.iter().copied()) {
                    let (_, sides) = keyed.get(slot);
                    sides.left.retain(|(span, _)| span.to >= oldest);
                    sides.right.retain(|(span, _)| span.to >= oldest);
                    let ends = sides.left.iter().map(|(span, _)| span.to);
                    let ends = ends.chain(sides.right.iter().map(|(span, _)| span.to));
                    if let Some(end) = ends.filter(|&end| end < EventTime::MAX).min() {
                        keyed.wake(slot, end.saturating_add(horizon).saturating_add(1));
                    }
                }
            },
        );
        joined
    }
}

fn meet<A, B, C>(left: &Span<A>, right: &Span<B>, value: C) -> Span<C> {
    Span { from: left.from.max(right.from), to: left.to.min(right.to), value, seq: left.seq }
}

fn overlapping<T>(
    spans: &[(Span<T>, isize)],
    from: EventTime,
    to: EventTime,
) -> impl Iterator<Item = (&Span<T>, isize)> {
    let before = spans.partition_point(|(span, _)| span.from < to);
    spans[..before].iter().filter(move |(span, _)| span.to > from).map(|(span, n)| (span, *n))
}
