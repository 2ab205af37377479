//! Dedup: of rows with one identity the first, for as long as copies may come.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed_with_side, route};
use crate::table::Table;
use crate::time::{EventTime, Millis};

/// Identities that were seen, and until which watermark each is remembered.
#[derive(Serialize, Deserialize)]
struct Seen<I: std::hash::Hash + Eq> {
    until: FxHashMap<I, EventTime>,
    expiry: BTreeMap<EventTime, Vec<I>>,
}

impl<'s, D: Datum> Table<'s, D> {
    /// The first row of each identity, and the copies that came after it. `id` names a row and tells its event time.
    ///
    /// First is by epoch, and within an epoch the smallest: how rows arrived does not show. An identity is remembered
    /// until the watermark is `horizon` past the event time of its row; a copy that comes later counts anew. The table
    /// may only grow. State: the identities remembered.
    pub fn dedup<I: Datum>(
        self,
        name: &str,
        horizon: Millis,
        id: impl Fn(&D) -> (I, EventTime) + Copy + 'static,
    ) -> (Table<'s, D>, Table<'s, D>) {
        let seen = Seen::<I> { until: FxHashMap::default(), expiry: BTreeMap::new() };
        closed_with_side(
            self,
            name,
            move |row| route(&id(row).0),
            seen,
            move |seen, now, rows, out, copies| {
                rows.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
                for (row, _, diff) in rows.drain(..) {
                    assert!(diff > 0, "the first of rows that may go again is not defined");
                    let (identity, at) = id(&row);
                    if seen.until.contains_key(&identity) {
                        copies.give(row, diff);
                        continue;
                    }
                    let until = at.saturating_add(horizon);
                    seen.until.insert(identity.clone(), until);
                    seen.expiry.entry(until).or_default().push(identity);
                    if diff > 1 {
                        copies.give(row.clone(), diff - 1);
                    }
                    out.give(row, 1);
                }
                while let Some(entry) = seen.expiry.first_entry()
                    && *entry.key() <= now.watermark
                {
                    for identity in entry.remove() {
                        seen.until.remove(&identity);
                    }
                }
            },
        )
    }
}
