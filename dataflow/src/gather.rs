//! Gather: what several rows of one key say together, told anew whenever one of them changes.

use crate::Datum;
use crate::closed::{closed, route};
use crate::diff::difference;
use crate::keyed::Keyed;
use crate::multiset::room;
use crate::table::Table;
use crate::time::EventTime;

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// Recomputes a key's rows from all of its values (sorted, each once), and forgets the key when its time is over.
    ///
    /// `until` says at which watermark the key is over; `f` is then asked a last time with `over` set, its answer stays,
    /// and later values of the key start anew. Unlike `reduce` this bounds the state by event time. State: the values
    /// of keys that are not over. Cost of a change: linear in the key's values (keep them few).
    pub fn gather<O: Datum>(
        self,
        name: &str,
        until: impl Fn(&[V]) -> EventTime + 'static,
        f: impl Fn(&K, &[V], bool, &mut Vec<O>) + 'static,
    ) -> Table<'s, O> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut net: Vec<(V, isize)> = Vec::new();
        let mut due = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Vec<V>>::new(),
            move |keyed, now, rows, out| {
                let mut wakes = Vec::new();
                keyed.group(rows, |slot, key, values, changes| {
                    before.clear();
                    after.clear();
                    if !values.is_empty() {
                        f(key, values, false, &mut before);
                    }
                    // What goes and comes again in one epoch stays.
                    net.extend(changes.map(|(value, diff)| (value.clone(), diff)));
                    differential_dataflow::consolidation::consolidate(&mut net);
                    for (value, diff) in net.drain(..) {
                        match values.binary_search(&value) {
                            Ok(at) if diff < 0 => drop(values.remove(at)),
                            Err(at) if diff > 0 => {
                                room(values);
                                values.insert(at, value);
                            }
                            _ => {}
                        }
                    }
                    if !values.is_empty() {
                        f(key, values, false, &mut after);
                    }
                    difference(&before, &after, |row, diff| out.give(row, diff));
                    wakes.push((
                        slot,
                        if values.is_empty() { now.watermark } else { until(values) },
                    ));
                });
                for (slot, at) in wakes.drain(..) {
                    keyed.wake(slot, at);
                }
                due.clear();
                keyed.due(now.watermark, &mut due);
                for &slot in &due {
                    let (key, values) = keyed.get(slot);
                    if values.is_empty() {
                        keyed.remove(slot);
                        continue;
                    }
                    let at = until(values);
                    if at > now.watermark {
                        keyed.wake(slot, at);
                        continue;
                    }
                    before.clear();
                    after.clear();
                    f(key, values, false, &mut before);
                    f(key, values, true, &mut after);
                    difference(&before, &after, |row, diff| out.give(row, diff));
                    keyed.remove(slot);
                }
            },
        )
    }
}
