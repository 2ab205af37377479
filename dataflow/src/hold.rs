//! Conditions that must last, and rows that hold or are present only for a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed};
use crate::table::{Change, Table};
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

fn flush<D: Datum>(changes: &mut Vec<(D, isize)>, out: &mut Out<D>) {
    differential_dataflow::consolidation::consolidate(changes);
    for (row, diff) in changes.drain(..) {
        out.give(row, diff);
    }
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
        let mut changes = Vec::new();
        closed(
            self,
            name,
            |(key, _)| crate::closed::route(key),
            Pending::new(),
            move |pending, now, rows: &mut Vec<Change<(K, Span<V>)>>, out| {
                pending.due(now.watermark, &mut changes);
                for (row, _, diff) in rows.drain(..) {
                    let matures = row.1.from.saturating_add(duration);
                    if row.1.to < FOREVER {
                        if row.1.to >= matures {
                            changes.push((row, diff));
                        }
                    } else if matures <= now.watermark {
                        changes.push((row, diff));
                    } else {
                        pending.at(matures, row, diff);
                    }
                }
                flush(&mut changes, out);
            },
        )
    }

    /// Each span for at most `duration` of event time: what was said long ago is no longer known.
    ///
    /// An open span ends once the watermark is `duration` past its start. State: open spans younger than that.
    pub fn lasts_at_most(self, name: &str, duration: Millis) -> Self {
        let mut changes = Vec::new();
        closed(
            self,
            name,
            |(key, _)| crate::closed::route(key),
            Pending::new(),
            move |pending, now, rows: &mut Vec<Change<(K, Span<V>)>>, out| {
                pending.due(now.watermark, &mut changes);
                for ((key, span), _, diff) in rows.drain(..) {
                    let over = span.from.saturating_add(duration);
                    let ended = (key, Span { to: span.to.min(over), ..span });
                    if span.to < FOREVER || over <= now.watermark {
                        changes.push((ended, diff));
                        continue;
                    }
                    let open = (ended.0.clone(), Span { to: FOREVER, ..ended.1.clone() });
                    changes.push((open.clone(), diff));
                    pending.at(over, open, -diff);
                    pending.at(over, ended, diff);
                }
                flush(&mut changes, out);
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
        let mut changes = Vec::new();
        let pending = Pending::new();
        closed(self, name, crate::closed::route, pending, move |pending, now, rows, out| {
            pending.due(now.watermark, &mut changes);
            for (row, _, diff) in rows.drain(..) {
                let (from, to) = active(&row);
                // What never ends is there also when the input has ended.
                if (to <= now.watermark && to < FOREVER) || to <= from {
                    continue;
                }
                if to < FOREVER {
                    pending.at(to, row.clone(), -diff);
                }
                if from <= now.watermark {
                    changes.push((row, diff));
                } else {
                    pending.at(from, row, diff);
                }
            }
            flush(&mut changes, out);
        })
    }
}
