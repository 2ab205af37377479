//! Unfold: rows that come with the watermark, as each key's value says.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, FOREVER, Millis};

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum")]
struct Unfolded<V> {
    values: Vec<(V, isize)>,
    told_to: EventTime,
}

impl<V> Default for Unfolded<V> {
    fn default() -> Self {
        Unfolded { values: Vec::new(), told_to: BEGINNING }
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// Inserts `(key, t)` for each `t` that `f(key, value, from, to)` names in `[from, to)` as the watermark moves from
    /// `from` to `to`: a calendar that fills itself.
    ///
    /// A new key starts at most `reach` before the watermark. A changed value counts from then on. Rows are never
    /// retracted. State: one value and one instant per key.
    pub fn unfold(
        self,
        name: &str,
        reach: Millis,
        f: impl Fn(&K, &V, EventTime, EventTime) -> Vec<EventTime> + 'static,
    ) -> Table<'s, (K, EventTime)> {
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Unfolded<V>>::new(),
            move |keyed, now, rows, out| {
                keyed.group(rows, |_, _, unfolded, changes| {
                    for (value, diff) in changes {
                        crate::multiset::put(&mut unfolded.values, value, diff);
                    }
                });
                // An input that has ended says nothing about what follows it.
                if now.watermark == BEGINNING || now.watermark == FOREVER {
                    return;
                }
                keyed.each(|key, unfolded| {
                    let from = unfolded.told_to.max(now.watermark.saturating_sub(reach));
                    let to = now.watermark.saturating_add(1);
                    if let Some((value, _)) = unfolded.values.last()
                        && from < to
                    {
                        for at in f(key, value, from, to) {
                            out.give((key.clone(), at), 1);
                        }
                        unfolded.told_to = to;
                    }
                });
            },
        )
    }
}
