//! Copies: what an epoch's changes amount to, and how often each row occurs.

use rustc_hash::FxHashMap;

use crate::Datum;
use crate::closed::{Out, closed, route};
use crate::table::{Change, Table};

impl<D: Datum> Table<'_, D> {
    /// Changes that cancel within an epoch removed.
    pub fn consolidate(self) -> Self {
        let mut net = Vec::new();
        closed(self, "consolidate", route, (), move |(), _, rows, out| {
            net.extend(rows.drain(..).map(|(row, _, diff)| (row, diff)));
            out.give_net(&mut net);
        })
    }

    /// Each row once. State: one entry per distinct row, gone when its last copy is retracted.
    pub fn distinct(self) -> Self {
        self.copies("distinct", |row, before, after, out| match (before > 0, after > 0) {
            (false, true) => out.give(row, 1),
            (true, false) => out.give(row, -1),
            _ => {}
        })
    }
}

impl<'s, D: Datum> Table<'s, D> {
    /// Rows with how often they occur. State: as [`Table::distinct`].
    pub fn count(self) -> Table<'s, (D, isize)> {
        self.copies("count", |row, before, after, out| {
            if before != 0 {
                out.give((row.clone(), before), -1);
            }
            if after != 0 {
                out.give((row, after), 1);
            }
        })
    }

    /// Tells `each` of the rows that occur more or less often than before an epoch.
    fn copies<O: Datum>(
        self,
        name: &str,
        each: impl Fn(D, isize, isize, &mut Out<O>) + 'static,
    ) -> Table<'s, O> {
        let mut net = Vec::new();
        let counted: FxHashMap<D, isize> = FxHashMap::default();
        closed(self, name, route, counted, move |counted, _, rows: &mut Vec<Change<D>>, out| {
            net.extend(rows.drain(..).map(|(row, _, diff)| (row, diff)));
            differential_dataflow::consolidation::consolidate(&mut net);
            for (row, diff) in net.drain(..) {
                let before = counted.get(&row).copied().unwrap_or(0);
                let after = before + diff;
                match after {
                    0 => drop(counted.remove(&row)),
                    _ => drop(counted.insert(row.clone(), after)),
                }
                each(row, before, after, out);
            }
            crate::scratch::clear(&mut net);
        })
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// How many rows each key has; keys without rows have none. State: one entry per key with rows.
    pub fn count_per_key(self) -> Table<'s, (K, isize)> {
        self.map(|(k, _)| k).count()
    }
}
