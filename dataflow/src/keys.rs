//! Keys: whom a table has ever spoken of.

use std::collections::BTreeSet;

use crate::Datum;
use crate::closed::{closed, route};
use crate::table::Table;
use crate::time::BEGINNING;

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// Every key once, from its first row on and for ever.
    ///
    /// Cheaper than [`Table::distinct`] where rows are many and keys few. State: one entry per key; use it where keys
    /// are bounded (agents, queues, teams).
    pub fn keys(self, name: &str) -> Table<'s, K> {
        let keys = self.map(|(key, _)| key);
        closed(keys, name, route, BTreeSet::new(), move |seen, _, rows, out| {
            for (key, _, diff) in rows.drain(..) {
                if diff > 0 && !seen.contains(&key) {
                    seen.insert(key.clone());
                    out.give(key, 1);
                }
            }
        })
    }
}

impl<D: Datum> Table<'_, D> {
    /// This table's rows, and `rows` from the first epoch with a watermark on: what is so whatever happens.
    pub fn and_always(self, name: &str, rows: Vec<D>) -> Self {
        let first = self.scope().index() == 0;
        let none = self.clone().filter(|_| false);
        let always = closed(none, name, route, false, move |told, now, _, out| {
            if !*told && now.watermark > BEGINNING {
                *told = true;
                for row in rows.iter().filter(|_| first) {
                    out.give(row.clone(), 1);
                }
            }
        });
        self.concat(always)
    }
}
