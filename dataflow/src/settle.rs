//! Settle: what holds of several values that were said of one key at one instant.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::multiset::{fit, room_behind};
use crate::table::Table;
use crate::time::{EventTime, Millis, Point};

/// What was said of one key, by instant and value, each once.
type Words<V> = VecDeque<Word<V>>;

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum")]
struct Word<V> {
    at: EventTime,
    /// On the first word of its instant: the record since which it is as it is. Of no meaning on the others.
    seq: u64,
    value: V,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Point<V>)> {
    /// One point per key and instant: what `holds` of all values said of that instant (ascending, each once).
    ///
    /// Operators behind this one never meet two points at one instant, so all of them agree on which value holds. A point
    /// is replaced when another word on its instant changes what holds; its `seq` is the record that did so, or the
    /// first one that said so: in the order of epochs, within one in that of the journal.
    ///
    /// The input may only grow, and not behind `horizon`: no point comes from before the watermark of the epoch before,
    /// less `horizon`. State: the words of the last `horizon` before the watermark, per key. What lies before that goes
    /// with the key's next word; of a key that has fallen silent everything goes a `horizon` later at the latest, and the
    /// key with it. Cost of a word on an instant newer than all that is known of its key: an append; of any other: linear
    /// in the words on its instant.
    pub fn settle<U: Datum>(
        self,
        name: &str,
        horizon: Millis,
        holds: impl Fn(&[&V]) -> U + 'static,
    ) -> Table<'s, (K, Point<U>)> {
        let mut changes: Vec<(Point<U>, isize)> = Vec::new();
        let (mut spoke, mut due) = (Vec::new(), Vec::new());
        // The watermark at which the newest word is out of reach, and with it all others.
        let over = move |newest: &Word<V>| newest.at.saturating_add(horizon).saturating_add(1);
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Words<V>>::new(),
            move |keyed, now, rows, out| {
                // One worker gets them in journal order already; the check is cheaper than the sort.
                if !rows.is_sorted_by_key(|((_, point), _, _)| point.seq) {
                    rows.sort_by_key(|((_, point), _, _)| point.seq);
                }
                let oldest = now.watermark.saturating_sub(horizon);
                keyed.group(rows, |slot, key, words, points| {
                    for (point, diff) in points {
                        assert!(diff > 0, "what was said is not taken back, only overruled");
                        take_in(words, point, &holds, &mut changes);
                    }
                    if changes.len() > 1 {
                        differential_dataflow::consolidation::consolidate(&mut changes);
                    }
                    for (point, diff) in changes.drain(..) {
                        out.give((key.clone(), point), diff);
                    }
                    forget(words, oldest);
                    spoke.push((slot, words.back().map_or(now.watermark, over)));
                });
                for (slot, at) in spoke.drain(..) {
                    keyed.wake(slot, at);
                }
                keyed.due(now.watermark, &mut due);
                for slot in due.drain(..) {
                    let (_, words) = keyed.get(slot);
                    forget(words, oldest);
                    fit(words);
                    match words.back().map(over) {
                        Some(at) => keyed.wake(slot, at),
                        None => keyed.remove(slot),
                    }
                }
            },
        )
    }
}

/// Drops the words on instants before `oldest`: nothing more comes there.
fn forget<V>(words: &mut Words<V>, oldest: EventTime) {
    let over = words.partition_point(|word| word.at < oldest);
    words.drain(..over);
}

/// Adds a word, and what that changes.
fn take_in<V: Datum, U: Datum>(
    words: &mut Words<V>,
    point: &Point<V>,
    holds: &impl Fn(&[&V]) -> U,
    changes: &mut Vec<(Point<U>, isize)>,
) {
    let Point { at, seq, ref value } = *point;
    let word = Word { at, seq, value: value.clone() };
    // Nearly always it is the newest.
    if words.back().is_none_or(|last| last.at < at) {
        changes.push((Point { at, value: holds(&[value]), seq }, 1));
        room_behind(words);
        words.push_back(word);
        return;
    }
    let first = words.partition_point(|word| word.at < at);
    let behind = words.partition_point(|word| word.at <= at);
    let mut said: Vec<&V> = words.range(first..behind).map(|word| &word.value).collect();
    let Err(place) = said.binary_search(&value) else { return };
    let was = (!said.is_empty()).then(|| holds(&said));
    said.insert(place, value);
    let is = holds(&said);
    // As long as the same holds, it has been said by the same record.
    let mut since = seq;
    if let Some(was) = was {
        let told = words[first].seq;
        if was == is {
            since = told;
        } else {
            changes.push((Point { at, value: was, seq: told }, -1));
            changes.push((Point { at, value: is, seq }, 1));
        }
    } else {
        changes.push((Point { at, value: is, seq }, 1));
    }
    room_behind(words);
    words.insert(first + place, word);
    words[first].seq = since;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::testing::{Bench, Step, run};
    use crate::time::{FOREVER, Span};
    use crate::{Batch, Graph, Notification, Options, Runtime, Signal};

    use super::*;

    const HORIZON: Millis = 100;

    fn point<V>(at: EventTime, value: V, seq: u64) -> (String, Point<V>) {
        ("k".to_owned(), Point { at, value, seq })
    }

    /// All that was said of the instant: nothing escapes a comparison.
    fn all(said: &[&i64]) -> Vec<i64> {
        assert!(said.is_sorted_by(|a, b| a < b), "ascending, each once: {said:?}");
        said.iter().copied().copied().collect()
    }

    fn check(script: Vec<Step<(String, Point<i64>), (String, Point<Vec<i64>>)>>) {
        for workers in [1, 2] {
            run(workers, |words| words.settle("settled", HORIZON, all), script.clone());
        }
    }

    #[test]
    fn an_instant_is_one_point_however_its_words_come() {
        check(vec![
            Step::Add(vec![point(10, 1, 1)]),
            Step::Expect(vec![(point(10, vec![1], 1), 1)]),
            // Two more in one epoch: one replacement, by the last of them in the journal.
            Step::Add(vec![point(10, 2, 4), point(10, 3, 3)]),
            Step::Expect(vec![(point(10, vec![1], 1), -1), (point(10, vec![1, 2, 3], 4), 1)]),
            // Said already, by another record.
            Step::Add(vec![point(10, 2, 5)]),
            Step::Expect(vec![]),
            // Another instant, and one between the two.
            Step::Add(vec![point(30, 1, 6), point(20, 7, 7), point(20, 5, 8)]),
            Step::Expect(vec![(point(30, vec![1], 6), 1), (point(20, vec![5, 7], 8), 1)]),
            // Late, of the first of three instants.
            Step::Add(vec![point(10, 0, 9)]),
            Step::Expect(vec![
                (point(10, vec![1, 2, 3], 4), -1),
                (point(10, vec![0, 1, 2, 3], 9), 1),
            ]),
        ]);
    }

    #[test]
    fn a_word_that_changes_nothing_is_no_cause() {
        let greatest = |said: &[&i64]| **said.last().expect("something was said");
        let script = vec![
            Step::Add(vec![point(10, 5, 1)]),
            Step::Expect(vec![(point(10, 5, 1), 1)]),
            // Sorts before the other one, whose record stays the cause.
            Step::Add(vec![point(10, 2, 2)]),
            Step::Expect(vec![]),
            Step::Add(vec![point(10, 9, 3), point(10, 1, 4)]),
            Step::Expect(vec![(point(10, 5, 1), -1), (point(10, 9, 3), 1)]),
        ];
        for workers in [1, 2] {
            run(workers, move |words| words.settle("settled", HORIZON, greatest), script.clone());
        }
    }

    #[test]
    fn what_holds_again_does_so_by_a_later_record() {
        let odd = |said: &[&i64]| said.len() % 2;
        let span = |seq| ("k".to_owned(), Span { from: 10, to: FOREVER, value: 1, seq });
        let first = || vec![Step::Add(vec![point(10, 1, 1)]), Step::Table(vec![span(1)])];
        let apart = [Step::Add(vec![point(10, 2, 2)]), Step::Add(vec![point(10, 3, 3)])];
        // In one breath as in two.
        for then in [vec![Step::Add(vec![point(10, 2, 2), point(10, 3, 3)])], apart.to_vec()] {
            let script = first().into_iter().chain(then).chain([Step::Table(vec![span(3)])]);
            run(1, move |words| words.settle("", HORIZON, odd).intervals("", HORIZON), script);
        }
    }

    #[test]
    fn what_is_within_the_horizon_can_be_overruled() {
        check(vec![
            Step::Add(vec![point(0, 1, 1), point(50, 1, 2), point(100, 1, 3)]),
            Step::Watermark(150),
            // Something that makes it forget: what can still come is not from before 50.
            Step::Add(vec![point(200, 1, 4)]),
            Step::Expect(vec![
                (point(0, vec![1], 1), 1),
                (point(50, vec![1], 2), 1),
                (point(100, vec![1], 3), 1),
                (point(200, vec![1], 4), 1),
            ]),
            Step::Add(vec![point(50, 2, 5)]),
            Step::Expect(vec![(point(50, vec![1], 2), -1), (point(50, vec![1, 2], 5), 1)]),
            // An instant nobody has spoken of, older than all that is kept.
            Step::Watermark(160),
            Step::Add(vec![point(70, 3, 6)]),
            Step::Expect(vec![(point(70, vec![3], 6), 1)]),
            Step::Add(vec![point(70, 2, 7)]),
            Step::Expect(vec![(point(70, vec![3], 6), -1), (point(70, vec![2, 3], 7), 1)]),
        ]);
    }

    #[test]
    fn who_falls_silent_is_forgotten() {
        // How much is kept once the watermark is there.
        let kept = |watermark| {
            let build = |graph: &mut Graph<'_, (String, Point<i64>)>| {
                let settled = graph.input().settle("settled", HORIZON, all);
                graph.notify(settled.flat_map(|_| None::<Notification>));
            };
            let (runtime, commits) = Runtime::start(Options::default(), build);
            let epochs = [
                ((0..20).map(|n| point(n, n, n.unsigned_abs())).collect(), Vec::new()),
                (Vec::new(), vec![Signal::Bound { partition: 0, bound: watermark }]),
            ];
            for (epoch, (events, signals)) in (1..).zip(epochs) {
                runtime.send(Batch { epoch, events, signals, stamps: Arc::default() });
            }
            let mut keeping = runtime.keep(2);
            runtime.finish();
            assert_eq!(commits.iter().count(), 2);
            let kept = keeping.poll().expect("both epochs are closed");
            let parts = kept.workers.into_iter().flatten();
            parts.filter(|part| part.name == "settled").map(|part| part.bytes.len()).sum::<usize>()
        };
        // As long as a word on the last of its instants can come.
        let (all, none) = (kept(19 + HORIZON), kept(19 + HORIZON + 1));
        assert!(all > none + 60 && none < 60, "{all} bytes, then {none}");
    }

    #[test]
    fn every_order_of_arrival_ends_alike() {
        let said: Vec<(String, Point<i64>)> =
            (0..24).map(|n| point(n % 3 * 10, n % 5, n.unsigned_abs())).collect();
        let mut ends = Vec::new();
        for step in [1, 5, 7, 11] {
            for batch in [1, 4, 24] {
                let mut bench = Bench::start(1, |words| words.settle("settled", HORIZON, all));
                let order: Vec<_> = (0..24).map(|n| said[n * step % 24].clone()).collect();
                for words in order.chunks(batch) {
                    bench.add(words.iter().cloned());
                }
                let held = bench.rows().into_iter().map(|(_, point)| (point.at, point.value));
                ends.push(held.collect::<Vec<_>>());
                bench.finish();
            }
        }
        ends.dedup();
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(ends[0], [0, 10, 20].map(|at| (at, vec![0, 1, 2, 3, 4])));
    }
}
