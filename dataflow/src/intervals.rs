//! Points become spans: each value holds until the next point of its key.

use std::collections::VecDeque;

use differential_dataflow::consolidation::consolidate;
use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::multiset::room_behind;
use crate::table::Table;
use crate::time::{EventTime, FOREVER, Millis, Point, Span};

/// The points of one key, by instant and value; of several at one instant the greatest value holds.
type Points<V> = VecDeque<Held<V>>;

/// A point, and how often it is there.
#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum")]
struct Held<V> {
    at: EventTime,
    /// Of the records that say so, the first in the journal.
    seq: u64,
    copies: u32,
    value: V,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Point<V>)> {
    /// Each point as the span until the next point of its key; the last one is open (`to` is `FOREVER`).
    ///
    /// An insertion or removal in the middle moves the points behind it and changes the spans beside it only. State: the
    /// points of the last `horizon` before the watermark, and one before them, per key.
    pub fn intervals(self, name: &str, horizon: Millis) -> Table<'s, (K, Span<V>)> {
        let mut changes: Vec<(Span<V>, isize)> = Vec::new();
        let mut net: Vec<(Point<V>, isize)> = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Points<V>>::new(),
            move |keyed, now, rows, out| {
                let oldest = now.watermark.saturating_sub(horizon);
                keyed.group(rows, |_, key, points, changed| {
                    net.extend(changed.map(|(point, diff)| (point.clone(), diff)));
                    if net.len() > 1 {
                        // What is still to go was there before. It goes first: another record may say the same now.
                        consolidate(&mut net);
                        net.sort_by_key(|(_, diff)| *diff > 0);
                    }
                    for (point, diff) in net.drain(..) {
                        let point = &point;
                        let place = find(points, point);
                        if diff < 0 && place.is_err() {
                            // It left memory at the horizon: final.
                            continue;
                        }
                        let first = points.partition_point(|held| held.at < point.at);
                        let before = first.checked_sub(1).map(|last| points[last].at);
                        let touched = [before, Some(point.at)];
                        for at in touched.into_iter().flatten() {
                            changes.extend(span(points, at).map(|span| (span, -1)));
                        }
                        put(points, place, point, diff);
                        for at in touched.into_iter().flatten() {
                            changes.extend(span(points, at).map(|span| (span, 1)));
                        }
                    }
                    consolidate(&mut changes);
                    for (span, diff) in changes.drain(..) {
                        out.give((key.clone(), span), diff);
                    }
                    // What lies before the horizon is final: the last point there carries on, the others go.
                    let after = points.partition_point(|held| held.at <= oldest);
                    if let Some(last) = after.checked_sub(1).map(|last| points[last].at) {
                        let over = points.partition_point(|held| held.at < last);
                        points.drain(..over);
                    }
                });
            },
        )
    }
}

/// Where a point is, or would be.
fn find<V: Datum>(points: &Points<V>, point: &Point<V>) -> Result<usize, usize> {
    let of = |held: &Held<V>| (held.at, &held.value).cmp(&(point.at, &point.value));
    // Nearly always it is the newest.
    match points.back() {
        Some(last) if of(last).is_lt() => Err(points.len()),
        _ => points.binary_search_by(of),
    }
}

/// Adds or takes copies of a point at its place.
fn put<V: Datum>(
    points: &mut Points<V>,
    place: Result<usize, usize>,
    point: &Point<V>,
    diff: isize,
) {
    match place {
        Ok(at) => {
            let held = &mut points[at];
            held.seq = held.seq.min(point.seq);
            let copies = held.copies as isize + diff;
            held.copies = u32::try_from(copies.max(0)).expect("fewer than 2^32 copies of a row");
            if held.copies == 0 {
                points.remove(at);
            }
        }
        Err(at) => {
            let copies = u32::try_from(diff).expect("a new point has some copies, below 2^32");
            room_behind(points);
            let value = point.value.clone();
            points.insert(at, Held { at: point.at, seq: point.seq, copies, value });
        }
    }
}

/// The span that begins at `at`, if one does.
fn span<V: Datum>(points: &Points<V>, at: EventTime) -> Option<Span<V>> {
    let after = points.partition_point(|held| held.at <= at);
    let held = points.get(after.checked_sub(1)?).filter(|held| held.at == at)?;
    let to = points.get(after).map_or(FOREVER, |next| next.at);
    Some(Span { from: at, to, value: held.value.clone(), seq: held.seq })
}
