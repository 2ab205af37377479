//! Sequences: this, then that, soon enough, and nothing in between that forbids it.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed, route};
use crate::diff::difference;
use crate::keyed::Keyed;
use crate::table::Table;
use crate::time::{EventTime, Millis, Point};

/// Points of one key by instant, then value, each with its journal position and how often it is there.
type Points<V> = BTreeMap<EventTime, BTreeMap<V, (u64, isize)>>;

/// A point and the one that followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence<V> {
    pub first: Point<V>,
    pub then: Point<V>,
}

/// Which points make a sequence: `first`, then `then` at most `within` ms later, and no `unless` between them.
///
/// Between means strictly between by event time: what happens at the very instant of either end is not in between, and
/// what happens at the instant of `first` does not follow it.
pub struct Pattern<V> {
    within: Millis,
    first: Box<dyn Fn(&V) -> bool>,
    then: Box<dyn Fn(&V) -> bool>,
    unless: Box<dyn Fn(&V) -> bool>,
}

impl<V: 'static> Pattern<V> {
    /// `first`, and then `then`, at most `within` ms apart. Panics unless `within` is positive.
    pub fn new(
        within: Millis,
        first: impl Fn(&V) -> bool + 'static,
        then: impl Fn(&V) -> bool + 'static,
    ) -> Self {
        assert!(within > 0, "a sequence needs a positive length, not {within} ms");
        Pattern {
            within,
            first: Box::new(first),
            then: Box::new(then),
            unless: Box::new(|_| false),
        }
    }

    /// Without `unless` in between.
    pub fn unless(self, unless: impl Fn(&V) -> bool + 'static) -> Self {
        Pattern { unless: Box::new(unless), ..self }
    }

    /// The sequences that begin from `from` to `to`, both included, in their order.
    fn find(&self, points: &Points<V>, from: EventTime, to: EventTime, out: &mut Vec<Sequence<V>>)
    where
        V: Datum,
    {
        for (&at, here) in points.range(from..=to) {
            for (value, &(seq, copies)) in here.iter().filter(|(value, _)| (self.first)(value)) {
                let Some(then) = self.end(points, at) else { continue };
                let found = Sequence { first: Point { at, value: value.clone(), seq }, then };
                out.extend(std::iter::repeat_n(found, copies.unsigned_abs()));
            }
        }
    }

    /// The first end of a sequence that begins at `at`.
    fn end(&self, points: &Points<V>, at: EventTime) -> Option<Point<V>>
    where
        V: Datum,
    {
        let latest = at.saturating_add(self.within);
        for (&at, here) in points.range((Bound::Excluded(at), Bound::Included(latest))) {
            if let Some((value, &(seq, _))) = here.iter().find(|(value, _)| (self.then)(value)) {
                return Some(Point { at, value: value.clone(), seq });
            }
            if here.keys().any(|value| (self.unless)(value)) {
                return None;
            }
        }
        None
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Point<V>)> {
    /// Each point that begins `pattern`, with the first that ends it.
    ///
    /// A sequence shows as soon as both of its ends are there. A late point in between takes it back or gives it another
    /// end. State: per key the points of the last `horizon` before the watermark and of the pattern's length before
    /// that; sequences that are older stay. Cost of a change: the points within the pattern's length around it.
    pub fn sequences(
        self,
        name: &str,
        pattern: Pattern<V>,
        horizon: Millis,
    ) -> Table<'s, (K, Sequence<V>)> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut due = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, Points<V>>::new(),
            move |keyed, now, rows, out| {
                let mut touched = Vec::new();
                let reach = horizon.saturating_add(pattern.within);
                let oldest = now.watermark.saturating_sub(reach);
                keyed.group(rows, |slot, key, points, changes| {
                    let changes: Vec<(&Point<V>, isize)> = changes.collect();
                    let times = changes.iter().map(|(point, _)| point.at);
                    let (Some(from), Some(to)) = (times.clone().min(), times.max()) else { return };
                    let from = from.saturating_sub(pattern.within);
                    before.clear();
                    after.clear();
                    pattern.find(points, from, to, &mut before);
                    for (point, diff) in changes {
                        put(points, point, diff);
                    }
                    pattern.find(points, from, to, &mut after);
                    difference(&before, &after, |found, diff| out.give((key.clone(), found), diff));
                    touched.push(slot);
                });
                due.clear();
                keyed.due(now.watermark, &mut due);
                touched.append(&mut due);
                touched.sort_unstable();
                touched.dedup();
                for &slot in &touched {
                    let (_, points) = keyed.get(slot);
                    while points.first_key_value().is_some_and(|(at, _)| *at < oldest) {
                        points.pop_first();
                    }
                    match points.first_key_value().map(|(at, _)| *at) {
                        Some(first) => {
                            keyed.wake(slot, first.saturating_add(reach).saturating_add(1));
                        }
                        None => keyed.remove(slot),
                    }
                }
            },
        )
    }
}

/// Adds or takes copies of a point. One that is taken and not there had left memory at the horizon: it is final.
fn put<V: Datum>(points: &mut Points<V>, point: &Point<V>, diff: isize) {
    let here = points.entry(point.at).or_default();
    let (seq, there) = here.get(&point.value).copied().unwrap_or((point.seq, 0));
    if there + diff > 0 {
        here.insert(point.value.clone(), (seq.min(point.seq), there + diff));
    } else {
        here.remove(&point.value);
    }
    if here.is_empty() {
        points.remove(&point.at);
    }
}
