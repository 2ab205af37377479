//! Lookup: each row with the other table's row of the same key, or without one.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed2, route};
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::EventTime;

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum, W: Datum")]
struct Sides<V, W> {
    rows: Vec<(V, isize)>,
    other: Vec<(W, isize)>,
}

impl<V, W> Default for Sides<V, W> {
    fn default() -> Self {
        Sides { rows: Vec::new(), other: Vec::new() }
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// A left outer join with a table that has at most one row per key (the greatest counts if there are more).
    ///
    /// State: both sides; shrinks as their rows are retracted.
    pub fn lookup<W: Datum, O: Datum>(
        self,
        name: &str,
        other: Table<'s, (K, W)>,
        f: impl Fn(&K, &V, Option<&W>) -> O + 'static,
    ) -> Table<'s, O> {
        self.lookup_until(name, other, |_| EventTime::MAX, f)
    }

    /// As [`Table::lookup`]; a row is forgotten, its answer final, once the watermark reaches its `until`.
    pub fn lookup_until<W: Datum, O: Datum>(
        self,
        name: &str,
        other: Table<'s, (K, W)>,
        until: impl Fn(&V) -> EventTime + 'static,
        f: impl Fn(&K, &V, Option<&W>) -> O + 'static,
    ) -> Table<'s, O> {
        let mut changed: Vec<(O, isize)> = Vec::new();
        let mut due = Vec::new();
        let (found, _) = closed2(
            self,
            |(key, _)| route(key),
            other,
            |(key, _)| route(key),
            name,
            Keyed::<K, Sides<V, W>>::new(),
            move |keyed, now, rows, others, out, _: &mut Out<()>| {
                keyed.group(others, |_, key, sides, changes| {
                    let before = sides.other.last().map(|(w, _)| w.clone());
                    for (row, diff) in changes {
                        put(&mut sides.other, row, diff);
                    }
                    let after = sides.other.last().map(|(w, _)| w);
                    if before.as_ref() != after {
                        for (row, copies) in &sides.rows {
                            changed.push((f(key, row, before.as_ref()), -copies));
                            changed.push((f(key, row, after), *copies));
                        }
                    }
                });
                let mut wakes = Vec::new();
                keyed.group(rows, |slot, key, sides, changes| {
                    let other = sides.other.last().map(|(w, _)| w);
                    let mut over = EventTime::MAX;
                    for (row, diff) in changes {
                        let last = until(row);
                        let over_already = last <= now.watermark && last < EventTime::MAX;
                        if over_already && diff < 0 {
                            continue;
                        }
                        changed.push((f(key, row, other), diff));
                        if !over_already {
                            put(&mut sides.rows, row, diff);
                            over = over.min(last);
                        }
                    }
                    if over < EventTime::MAX {
                        wakes.push((slot, over));
                    }
                });
                out.give_net(&mut changed);
                for (slot, at) in wakes {
                    keyed.wake(slot, at);
                }
                due.clear();
                keyed.due(now.watermark, &mut due);
                for &slot in &due {
                    let (_, sides) = keyed.get(slot);
                    sides.rows.retain(|(row, _)| {
                        let last = until(row);
                        last > now.watermark || last == EventTime::MAX
                    });
                    if let Some(next) = sides.rows.iter().map(|(row, _)| until(row)).min() {
                        keyed.wake(slot, next);
                    }
                }
            },
        );
        found
    }
}
