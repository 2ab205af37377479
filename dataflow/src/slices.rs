//! Slices: spans cut at the hours of a clock, so that each piece can be counted where it belongs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, FOREVER, Millis, Span};

/// The spans that go on, and the multiple of the step up to which they were told.
#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Datum, V: Datum")]
struct GoingOn<K, V> {
    spans: BTreeMap<(K, Span<V>), isize>,
    told_to: EventTime,
}

impl<K: Datum, V: Datum> Table<'_, (K, Span<V>)> {
    /// Each span as the pieces between multiples of `step`.
    ///
    /// A span that is over is cut at once. One that goes on, as `goes_on` says, shows up to the last multiple of `step`
    /// that the watermark has reached; it may have an end nevertheless, which it keeps. Of a span longer than `longest`
    /// only so much shows: its end was lost. An input that has ended extends nothing. State: the spans that go on and are
    /// neither that long nor at their end.
    pub fn slices(
        self,
        name: &str,
        step: Millis,
        longest: Millis,
        goes_on: impl Fn(&Span<V>) -> bool + 'static,
    ) -> Self {
        assert!(step > 0, "slices need a positive step, not {step} ms");
        let mut changes = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            GoingOn::<K, V> { spans: BTreeMap::new(), told_to: BEGINNING },
            move |going_on, now, rows, out| {
                let GoingOn { spans: open, told_to } = going_on;
                for (row, _, diff) in rows.drain(..) {
                    if !goes_on(&row.1) {
                        cut(&row, row.1.from, row.1.to, step, longest, diff, &mut changes);
                        continue;
                    }
                    cut(&row, row.1.from, *told_to, step, longest, diff, &mut changes);
                    if last(&row.1, longest) > *told_to {
                        let copies = open.entry(row).or_insert(0);
                        *copies += diff;
                    }
                }
                open.retain(|_, copies| *copies != 0);
                if now.watermark < FOREVER && now.watermark > BEGINNING {
                    let to = now.watermark.div_euclid(step) * step;
                    if to > *told_to {
                        for (row, copies) in &*open {
                            let from = row.1.from.max(*told_to);
                            cut(row, from, to, step, longest, *copies, &mut changes);
                        }
                        *told_to = to;
                        open.retain(|(_, span), _| last(span, longest) > to);
                    }
                }
                out.give_net(&mut changes);
            },
        )
    }
}

/// Where the last piece of a span can end.
fn last<V>(span: &Span<V>, longest: Millis) -> EventTime {
    span.to.min(span.from.saturating_add(longest))
}

/// The pieces of a span within `[from, to)`.
fn cut<K: Datum, V: Datum>(
    (key, span): &(K, Span<V>),
    from: EventTime,
    to: EventTime,
    step: Millis,
    longest: Millis,
    diff: isize,
    out: &mut Vec<((K, Span<V>), isize)>,
) {
    let to = to.min(last(span, longest));
    let mut at = from;
    while at < to {
        let next = (at.div_euclid(step) + 1).saturating_mul(step).min(to);
        let piece = Span { from: at, to: next, value: span.value.clone(), seq: span.seq };
        out.push(((key.clone(), piece), diff));
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Step, run};

    fn span(from: EventTime, to: EventTime) -> (u8, Span<()>) {
        (1, Span { from, to, value: (), seq: 0 })
    }

    #[test]
    fn a_span_is_cut_and_an_open_one_follows_the_watermark() {
        run(
            2,
            |spans| spans.slices("slices", 10, 100, |span| span.to == FOREVER),
            [
                Step::Add(vec![span(5, 31)]),
                Step::Table(vec![span(5, 10), span(10, 20), span(20, 30), span(30, 31)]),
                Step::Remove(vec![span(5, 31)]),
                Step::Table(vec![]),
                Step::Add(vec![span(7, FOREVER)]),
                Step::Table(vec![]),
                Step::Watermark(29),
                Step::Table(vec![span(7, 10), span(10, 20)]),
                Step::Change(vec![(span(7, FOREVER), -1), (span(7, 13), 1)]),
                Step::Table(vec![span(7, 10), span(10, 13)]),
            ],
        );
    }

    #[test]
    fn what_never_ends_is_given_up_and_the_end_of_the_input_adds_nothing() {
        run(
            1,
            |spans| spans.slices("slices", 10, 15, |span| span.to == FOREVER),
            [
                Step::Add(vec![span(0, FOREVER), span(27, FOREVER)]),
                Step::Watermark(35),
                Step::Table(vec![span(0, 10), span(10, 15), span(27, 30)]),
                Step::Watermark(FOREVER),
                Step::Table(vec![span(0, 10), span(10, 15), span(27, 30)]),
                Step::Remove(vec![span(0, FOREVER)]),
                Step::Table(vec![span(27, 30)]),
            ],
        );
    }
}
