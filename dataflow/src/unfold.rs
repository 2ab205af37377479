//! Unfold: rows that come with the watermark, as the value in force at their time says.

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, FOREVER, Millis, Span};

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum")]
struct Unfolded<V> {
    /// Sorted by start; of several at one instant the one that starts last holds.
    spans: Vec<(Span<V>, isize)>,
    /// What stands, ascending, as far back as it can be taken back.
    told: Vec<EventTime>,
}

/// The calendars of all keys, and how far they have come.
#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Datum, V: Datum")]
struct Calendar<K, V> {
    keyed: Keyed<K, Unfolded<V>>,
    /// The watermark of the epoch before.
    before: EventTime,
    /// The first instant there is.
    origin: Option<EventTime>,
    /// The one after the last that was told.
    end: EventTime,
}

impl<V> Default for Unfolded<V> {
    fn default() -> Self {
        Unfolded { spans: Vec::new(), told: Vec::new() }
    }
}

/// How far back a calendar reaches.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Rows of the last so many ms before the watermark are told anew when a value of their time changes; older ones are
    /// final, and none is told that is older when its time is known.
    pub correction: Millis,
    /// How long before the first watermark there is to know the calendar begins, where a value holds so long already.
    pub beginning: Millis,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Span<V>)> {
    /// Holds `(key, t)` for each `t` up to the watermark that `f(key, value, from, to)` names in `[from, to)`, where
    /// `value` is in force over that time: a calendar that fills itself.
    ///
    /// A watermark that jumps leaves nothing out: what it passed in one step is told as if in many. An input that has
    /// ended says nothing about what follows it. State per key: the spans and rows of the reach.
    pub fn unfold(
        self,
        name: &str,
        reach: Reach,
        f: impl Fn(&K, &V, EventTime, EventTime) -> Vec<EventTime> + 'static,
    ) -> Table<'s, (K, EventTime)> {
        closed(
            self,
            name,
            |(key, _)| route(key),
            Calendar::<K, V> {
                keyed: Keyed::new(),
                before: BEGINNING,
                origin: None,
                end: BEGINNING,
            },
            move |calendar, now, rows, out| {
                let Calendar { keyed, before, origin, end } = calendar;
                let was = std::mem::replace(before, now.watermark);
                let told_to = *end;
                if now.watermark > BEGINNING && now.watermark < FOREVER {
                    origin.get_or_insert(now.watermark.saturating_sub(reach.beginning));
                    *end = now.watermark.saturating_add(1);
                }
                let first = was.saturating_sub(reach.correction).saturating_add(1);
                let first = first.max(origin.unwrap_or(BEGINNING));
                let mut changed = Vec::new();
                keyed.group(rows, |slot, _, unfolded, changes| {
                    for (span, diff) in changes {
                        put(&mut unfolded.spans, span, diff);
                    }
                    changed.push(slot);
                });
                let end = *end;
                if told_to < end {
                    keyed.each(|key, unfolded| {
                        let from = told_to.max(first);
                        let start = unfolded.told.len();
                        unfolded.name(key, from, end, &f);
                        for at in &unfolded.told[start..] {
                            out.give((key.clone(), *at), 1);
                        }
                        unfolded.spans.retain(|(span, _)| span.to > first);
                        let last = unfolded.told.partition_point(|at| *at < first);
                        unfolded.told.drain(..last);
                    });
                }
                for slot in changed {
                    let (key, unfolded) = keyed.get(slot);
                    let kept = unfolded.told.partition_point(|at| *at < first);
                    let stood = unfolded.told.split_off(kept);
                    unfolded.told.clear();
                    unfolded.name(key, first, end, &f);
                    crate::diff::difference(&stood, &unfolded.told, |at, diff| {
                        out.give((key.clone(), at), diff);
                    });
                }
            },
        )
    }
}

impl<V: Datum> Unfolded<V> {
    /// Adds the instants within `[from, to)` that the values in force name.
    fn name<K>(
        &mut self,
        key: &K,
        from: EventTime,
        to: EventTime,
        f: &impl Fn(&K, &V, EventTime, EventTime) -> Vec<EventTime>,
    ) {
        for (n, (span, _)) in self.spans.iter().enumerate() {
            let next = self.spans.get(n + 1).map_or(FOREVER, |(next, _)| next.from);
            let (from, to) = (span.from.max(from), span.to.min(next).min(to));
            if from < to {
                self.told.extend(f(key, &span.value, from, to));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Step, run};

    const REACH: Reach = Reach { correction: 100, beginning: 20 };

    fn every(step: Millis, from: EventTime, to: EventTime) -> Vec<EventTime> {
        (from..to).filter(|at| at % step == 0).collect()
    }

    #[test]
    fn an_edit_of_the_past_changes_what_stands_there_whenever_it_comes() {
        let span = |from, to, step| ("q".to_owned(), Span { from, to, value: step, seq: 0 });
        let rows = |all: &[EventTime]| -> Vec<(String, EventTime)> {
            all.iter().map(|at| ("q".to_owned(), *at)).collect()
        };
        run(
            2,
            |spans| {
                spans.unfold("calendar", REACH, |_: &String, step, from, to| every(*step, from, to))
            },
            [
                Step::Add(vec![span(0, FOREVER, 10)]),
                Step::Table(vec![]),
                Step::Watermark(30),
                Step::Table(rows(&[10, 20, 30])),
                Step::Watermark(70),
                Step::Change(vec![
                    (span(0, FOREVER, 10), -1),
                    (span(0, 45, 10), 1),
                    (span(45, FOREVER, 25), 1),
                ]),
                Step::Table(rows(&[10, 20, 30, 40, 50])),
                Step::Watermark(300),
                Step::Change(vec![(span(0, 45, 10), -1), (span(0, 45, 9), 1)]),
                Step::Watermark(FOREVER),
                Step::Table(rows(&[
                    10, 20, 30, 40, 50, 75, 100, 125, 150, 175, 200, 225, 250, 275, 300,
                ])),
            ],
        );
    }
}
