//! Points become spans: each value holds until the next point of its key.

use std::collections::BTreeMap;

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::table::Table;
use crate::time::{EventTime, FOREVER, Millis, Point, Span};

/// The points of one key, by instant; of several at one instant the greatest value holds.
type Points<V> = BTreeMap<EventTime, BTreeMap<V, (u64, isize)>>;

impl<'s, K: Datum, V: Datum> Table<'s, (K, Point<V>)> {
    /// Each point as the span until the next point of its key; the last one is open (`to` is `FOREVER`).
    ///
    /// An insertion or removal in the middle costs O(log n) and changes the spans beside it only. State: the points of
    /// the last `horizon` before the watermark, and one before them, per key.
    pub fn intervals(self, name: &str, horizon: Millis) -> Table<'s, (K, Span<V>)> {
        let mut changes: Vec<(Span<V>, isize)> = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Points<V>>::new(),
            move |keyed, now, rows, out| {
                let oldest = now.watermark.saturating_sub(horizon);
                keyed.group(rows, |_, key, points, changed| {
                    for (point, diff) in changed {
                        let there =
                            points.get(&point.at).is_some_and(|h| h.contains_key(&point.value));
                        if diff < 0 && !there {
                            // It left memory at the horizon: final.
                            continue;
                        }
                        let before = points.range(..point.at).next_back().map(|(&at, _)| at);
                        let touched = [before, Some(point.at)];
                        for at in touched.into_iter().flatten() {
                            changes.extend(span(points, at).map(|span| (span, -1)));
                        }
                        let here = points.entry(point.at).or_default();
                        let copies = here.entry(point.value.clone()).or_insert((point.seq, 0));
                        copies.1 += diff;
                        // Of two records that say the same, the first in the journal is the cause.
                        copies.0 = copies.0.min(point.seq);
                        if copies.1 <= 0 {
                            here.remove(&point.value);
                            if here.is_empty() {
                                points.remove(&point.at);
                            }
                        }
                        for at in touched.into_iter().flatten() {
                            changes.extend(span(points, at).map(|span| (span, 1)));
                        }
                    }
                    differential_dataflow::consolidation::consolidate(&mut changes);
                    for (span, diff) in changes.drain(..) {
                        out.give((key.clone(), span), diff);
                    }
                    // What lies before the horizon is final: the last point there carries on, the others go.
                    while points.keys().nth(1).is_some_and(|&second| second <= oldest) {
                        points.pop_first();
                    }
                });
            },
        )
    }
}

fn span<V: Datum>(points: &Points<V>, at: EventTime) -> Option<Span<V>> {
    let (value, (seq, _)) = points.get(&at)?.last_key_value()?;
    let to = points.range(at + 1..).next().map_or(FOREVER, |(&next, _)| next);
    Some(Span { from: at, to, value: value.clone(), seq: *seq })
}
