//! Conditions that must last, and rows that hold or are present only for a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed, route};
use crate::table::Table;
use crate::time::{EventTime, FOREVER, Millis, Span};

/// Changes waiting for the watermark to reach their time.
#[derive(Serialize, Deserialize)]
#[serde(bound = "D: Datum")]
struct Pending<D> {
    by_deadline: BTreeMap<EventTime, Waiting<D>>,
}

/// Changes of one deadline; what cancels out goes whenever they have doubled.
#[derive(Serialize, Deserialize)]
#[serde(bound = "D: Datum")]
struct Waiting<D> {
    changes: Vec<(D, isize)>,
    netted: usize,
}

impl<D: Datum> Pending<D> {
    fn new() -> Self {
        Pending { by_deadline: BTreeMap::new() }
    }

    fn at(&mut self, deadline: EventTime, row: D, diff: isize) {
        let waiting = self.by_deadline.entry(deadline);
        let waiting = waiting.or_insert_with(|| Waiting { changes: Vec::new(), netted: 0 });
        waiting.changes.push((row, diff));
        if waiting.changes.len() > 2 * waiting.netted + 32 {
            differential_dataflow::consolidation::consolidate(&mut waiting.changes);
            waiting.netted = waiting.changes.len();
        }
    }

    fn due(&mut self, watermark: EventTime, out: &mut Vec<(D, isize)>) {
        while let Some(entry) = self.by_deadline.first_entry() {
            if *entry.key() > watermark {
                break;
            }
            out.append(&mut entry.remove().changes);
        }
    }
}

/// Takes what is said of an epoch's rows: at once, or for when the watermark is there.
struct Saying<'a, D> {
    watermark: EventTime,
    pending: &'a mut Pending<D>,
    changes: &'a mut Vec<(D, isize)>,
}

impl<D: Datum> Saying<'_, D> {
    fn now(&mut self, row: D, diff: isize) {
        self.changes.push((row, diff));
    }

    fn at(&mut self, at: EventTime, row: D, diff: isize) {
        if at <= self.watermark {
            self.now(row, diff);
        } else {
            self.pending.at(at, row, diff);
        }
    }
}

/// What `each` says of the rows, in its time. State: what is said for times ahead of the watermark.
fn in_time<'s, D: Datum>(
    table: Table<'s, D>,
    name: &str,
    key: impl Fn(&D) -> u64 + 'static,
    each: impl Fn(&mut Saying<'_, D>, D, isize) + 'static,
) -> Table<'s, D> {
    let mut changes = Vec::new();
    closed(table, name, key, Pending::new(), move |pending, now, rows, out: &mut Out<D>| {
        pending.due(now.watermark, &mut changes);
        let mut saying = Saying { watermark: now.watermark, pending, changes: &mut changes };
        for (row, _, diff) in rows.drain(..) {
            each(&mut saying, row, diff);
        }
        out.give_net(&mut changes);
    })
}

impl<K: Datum, V: Datum> Table<'_, (K, Span<V>)> {
    /// The spans that last at least `duration` of event time.
    ///
    /// An open span shows once the watermark is `duration` past its start; with no duration at once, also ahead of the
    /// watermark. State: open spans younger than that.
    pub fn held_for(self, name: &str, duration: Millis) -> Self {
        if duration <= 0 {
            return self;
        }
        in_time(
            self,
            name,
            |(key, _)| route(key),
            move |saying, row, diff| {
                let matures = row.1.from.saturating_add(duration);
                if row.1.to == FOREVER {
                    saying.at(matures, row, diff);
                } else if row.1.to >= matures {
                    saying.now(row, diff);
                }
            },
        )
    }

    /// Each span for at most `duration` of event time: what was said long ago is no longer known.
    ///
    /// An open span ends once the watermark is `duration` past its start. State: open spans younger than that.
    pub fn lasts_at_most(self, name: &str, duration: Millis) -> Self {
        in_time(
            self,
            name,
            |(key, _)| route(key),
            move |saying, (key, span), diff| {
                let over = span.from.saturating_add(duration);
                let ended = (key, Span { to: span.to.min(over), ..span });
                if span.to < FOREVER || over <= saying.watermark {
                    saying.now(ended, diff);
                    return;
                }
                let open = (ended.0.clone(), Span { to: FOREVER, ..ended.1.clone() });
                saying.now(open.clone(), diff);
                saying.at(over, open, -diff);
                saying.at(over, ended, diff);
            },
        )
    }
}

impl<D: Datum> Table<'_, D> {
    /// The rows whose `[from, to)` contains the watermark: they come and go with it, without any event.
    ///
    /// State: rows whose start or end lies ahead of the watermark.
    pub fn while_active(
        self,
        name: &str,
        active: impl Fn(&D) -> (EventTime, EventTime) + 'static,
    ) -> Self {
        in_time(self, name, route, move |saying, row, diff| {
            let (from, to) = active(&row);
            // What never ends is there also when the input has ended.
            if (to <= saying.watermark && to < FOREVER) || to <= from {
                return;
            }
            if to < FOREVER {
                saying.at(to, row.clone(), -diff);
            }
            saying.at(from, row, diff);
        })
    }
}
