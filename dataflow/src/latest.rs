//! The value in force per key: the one with the greatest event time, whatever order they arrived in.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::table::Table;
use crate::time::{EventTime, Point};

#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Datum, V: Datum")]
struct Latest<K, V> {
    current: FxHashMap<K, Point<V>>,
    /// Keys by when to look whether they are over.
    expiry: BTreeMap<EventTime, Vec<K>>,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Point<V>)> {
    /// Per key the point with the greatest `(at, value)`.
    ///
    /// The input may only grow. State: one point per key, for ever; use it where keys are bounded (agents, queues),
    /// or [`Table::latest_per_key_until`] where they are not.
    pub fn latest_per_key(self, name: &str) -> Table<'s, (K, Point<V>)> {
        self.latest_per_key_until(name, |_, _| EventTime::MAX)
    }

    /// As [`Table::latest_per_key`], forgetting a key without retracting it once the watermark reaches `until`.
    ///
    /// A point that comes after its key was forgotten counts as the first of a new key: choose `until` beyond the
    /// correction horizon.
    pub fn latest_per_key_until(
        self,
        name: &str,
        until: impl Fn(&K, &Point<V>) -> EventTime + 'static,
    ) -> Table<'s, (K, Point<V>)> {
        let latest: Latest<K, V> =
            Latest { current: FxHashMap::default(), expiry: BTreeMap::new() };
        let mut before: FxHashMap<K, Option<Point<V>>> = FxHashMap::default();
        closed(
            self,
            name,
            |(key, _)| route(key),
            latest,
            move |Latest { current, expiry }, now, rows, out| {
                for ((key, point), _, diff) in rows.drain(..) {
                    assert!(diff > 0, "the latest of a table that shrinks is not defined");
                    match current.get_mut(&key) {
                        None => {
                            before.entry(key.clone()).or_insert(None);
                            current.insert(key, point);
                        }
                        Some(latest) if (point.at, &point.value) > (latest.at, &latest.value) => {
                            let old = std::mem::replace(latest, point);
                            before.entry(key).or_insert(Some(old));
                        }
                        // Of two records that say the same, the first in the journal is the cause.
                        Some(latest)
                            if *latest == Point { seq: latest.seq, ..point.clone() }
                                && point.seq < latest.seq =>
                        {
                            let old = std::mem::replace(latest, point);
                            before.entry(key).or_insert(Some(old));
                        }
                        Some(_) => {}
                    }
                }
                for (key, old) in before.drain() {
                    let latest = &current[&key];
                    let at = until(&key, latest);
                    if at < EventTime::MAX {
                        expiry.entry(at).or_default().push(key.clone());
                    }
                    if let Some(old) = old {
                        out.give((key.clone(), old), -1);
                    }
                    out.give((key, latest.clone()), 1);
                }
                while let Some(entry) = expiry.first_entry() {
                    if *entry.key() > now.watermark {
                        break;
                    }
                    for key in entry.remove() {
                        if current.get(&key).is_some_and(|p| until(&key, p) <= now.watermark) {
                            current.remove(&key);
                        }
                    }
                }
            },
        )
    }
}
