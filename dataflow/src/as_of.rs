//! As-of join: each row with what was in force at its event time, and again when that turns out otherwise.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed2, route};
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::{EventTime, Millis, Span};

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum, W: Datum")]
struct Sides<V, W> {
    /// Sorted by event time.
    rows: Vec<((EventTime, V), isize)>,
    versions: Vec<(Span<W>, isize)>,
}

impl<V, W> Default for Sides<V, W> {
    fn default() -> Self {
        Sides { rows: Vec::new(), versions: Vec::new() }
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, (EventTime, V))> {
    /// Each timestamped row with the version of its key that covers its event time (of several the one that starts last).
    ///
    /// A late row finds the version of its own time; a late edit of a version changes the rows it covers. State: rows of
    /// the last `horizon` before the watermark, and the versions that end after that.
    pub fn as_of_join<W: Datum, O: Datum>(
        self,
        name: &str,
        versions: Table<'s, (K, Span<W>)>,
        horizon: Millis,
        f: impl Fn(&K, EventTime, &V, Option<&W>) -> O + 'static,
    ) -> Table<'s, O> {
        let mut changed: Vec<(O, isize)> = Vec::new();
        let mut due = Vec::new();
        let (joined, _) = closed2(
            self,
            |(key, _)| route(key),
            versions,
            |(key, _)| route(key),
            name,
            Keyed::<K, Sides<V, W>>::new(),
            move |keyed, now, rows, versions, out, _: &mut Out<()>| {
                let oldest = now.watermark.saturating_sub(horizon);
                keyed.group(versions, |_, key, sides, changes| {
                    let changes: Vec<_> = changes.map(|(span, d)| (span.clone(), d)).collect();
                    let from = changes.iter().map(|(span, _)| span.from).min();
                    let first = sides.rows.partition_point(|((at, _), _)| Some(*at) < from);
                    tell(key, &sides.rows[first..], &sides.versions, -1, &f, &mut changed);
                    for (span, diff) in &changes {
                        put(&mut sides.versions, span, *diff);
                    }
                    tell(key, &sides.rows[first..], &sides.versions, 1, &f, &mut changed);
                });
                let mut wakes = Vec::new();
                keyed.group(rows, |slot, key, sides, changes| {
                    for (row, diff) in changes {
                        let version = covering(&sides.versions, row.0);
                        changed.push((f(key, row.0, &row.1, version), diff));
                        put(&mut sides.rows, row, diff);
                    }
                    wakes.push(slot);
                });
                out.give_net(&mut changed);
                due.clear();
                keyed.due(now.watermark, &mut due);
                wakes.extend(due.iter().copied());
                for slot in wakes {
                    let (_, sides) = keyed.get(slot);
                    // In bulk: a vector is not shortened from the front for every row.
                    let final_rows = sides.rows.partition_point(|((at, _), _)| *at < oldest);
                    if final_rows > sides.rows.len() / 8 {
                        sides.rows.drain(..final_rows);
                    }
                    sides.versions.retain(|(span, _)| span.to > oldest);
                    let quarter = sides.rows.get(sides.rows.len() / 4).map(|((at, _), _)| *at);
                    if let Some(at) = quarter {
                        keyed.wake(slot, at.saturating_add(horizon).saturating_add(1));
                    }
                }
            },
        );
        joined
    }
}

fn covering<W>(versions: &[(Span<W>, isize)], at: EventTime) -> Option<&W> {
    let before = versions.partition_point(|(span, _)| span.from <= at);
    let found = versions[..before].iter().rev().find(|(span, _)| span.to > at);
    found.map(|(span, _)| &span.value)
}

fn tell<K, V, W, O>(
    key: &K,
    rows: &[((EventTime, V), isize)],
    versions: &[(Span<W>, isize)],
    sign: isize,
    f: &impl Fn(&K, EventTime, &V, Option<&W>) -> O,
    out: &mut Vec<(O, isize)>,
) {
    for ((at, value), copies) in rows {
        out.push((f(key, *at, value, covering(versions, *at)), sign * copies));
    }
}
