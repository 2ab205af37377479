//! Totals at an instant: what had added up by the time somebody took a reading, corrected when that turns out otherwise.
//!
//! A reading is held against two sums: of the elements of its window up to its instant, and of all elements up to it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed2, route};
use crate::keyed::Keyed;
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, Millis, Point};
use crate::window::{FixedWindows, Group, LateElement, LateReason, Window, WindowFn};

/// A reading beside the sums it is held against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Total<P, V> {
    pub window: Window,
    /// The window's last reading.
    pub reading: Point<P>,
    /// Of the window, up to the reading's instant.
    pub within: V,
    /// Of all time, up to that instant.
    pub up_to: V,
    /// No later window of its key has a reading.
    pub latest: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "P: Datum, V: Serialize + DeserializeOwned")]
struct Cell<P, V> {
    elements: BTreeMap<EventTime, V>,
    total: V,
    reading: Option<Point<P>>,
    within: V,
    shown: Option<Total<P, V>>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "P: Datum, V: Serialize + DeserializeOwned")]
struct Lane<P, V> {
    /// Of all elements before the cells.
    base: V,
    /// By start of the window.
    cells: BTreeMap<EventTime, Cell<P, V>>,
    /// The latest window with a reading.
    latest: EventTime,
    /// Its row, where the window is final.
    last: Option<Total<P, V>>,
}

impl<P, V: Group> Default for Lane<P, V> {
    fn default() -> Self {
        Lane { base: V::zero(), cells: BTreeMap::new(), latest: BEGINNING, last: None }
    }
}

impl<P, V: Group> Default for Cell<P, V> {
    fn default() -> Self {
        let zero = V::zero;
        let elements = BTreeMap::new();
        Cell { elements, total: zero(), reading: None, within: zero(), shown: None }
    }
}

impl<'s, K: Datum, V: Group + Datum> Table<'s, (K, (EventTime, V))> {
    /// The last reading of each window of its key, with the sums of the elements up to it; and readings that came when
    /// their window was final.
    ///
    /// Readings only ever come. A late reading replaces an earlier one, a late element corrects every sum it belongs to
    /// until the window is final, `allowed_lateness` after its end. State per key: elements, summed by instant, and
    /// readings of windows that are not final, and one sum of all before.
    pub fn totals_at<P: Datum>(
        self,
        name: &str,
        readings: Table<'s, (K, Point<P>)>,
        windows: FixedWindows,
        allowed_lateness: Millis,
    ) -> (Table<'s, (K, Total<P, V>)>, Table<'s, (K, LateElement)>) {
        let state: (Keyed<K, Lane<P, V>>, EventTime) = (Keyed::new(), BEGINNING);
        let over =
            move |window: Window| windows.complete_at(window).saturating_add(allowed_lateness);
        let window_of = move |at: EventTime| {
            let mut assigned = Vec::with_capacity(1);
            windows.assign(at, &mut assigned);
            assigned[0]
        };
        let mut due = Vec::new();
        closed2(
            self,
            |(key, _)| route(key),
            readings,
            |(key, _)| route(key),
            name,
            state,
            move |(keyed, before), now, rows, readings, out, late| {
                let was = std::mem::replace(before, now.watermark);
                let mut touched = BTreeMap::new();
                keyed.group(rows, |slot, _, lane, changes| {
                    let mut first = EventTime::MAX;
                    for ((at, value), diff) in changes {
                        let window = window_of(*at);
                        if over(window) <= was {
                            lane.base.add(value, diff);
                            first = BEGINNING;
                        } else {
                            lane.cells.entry(window.start).or_default().add(*at, value, diff);
                            first = first.min(window.start);
                        }
                    }
                    touched.insert(slot, first);
                });
                keyed.group(readings, |slot, key, lane, changes| {
                    let first = touched.entry(slot).or_insert(EventTime::MAX);
                    for (reading, diff) in changes {
                        assert!(diff > 0, "a reading was taken; it is not taken back");
                        let window = window_of(reading.at);
                        if over(window) <= was {
                            let (at, reason) = (reading.at, LateReason::Expired);
                            let lateness = was.saturating_sub(at).max(0);
                            let element =
                                LateElement { window, at, lateness, reason, deletion: false };
                            late.give((key.clone(), element), diff);
                            continue;
                        }
                        lane.cells.entry(window.start).or_default().read(reading);
                        if window.start > lane.latest {
                            *first = (*first).min(lane.latest);
                            lane.latest = window.start;
                        }
                        *first = (*first).min(window.start);
                    }
                });
                due.clear();
                keyed.due(now.watermark, &mut due);
                for (slot, first) in touched {
                    let (key, lane) = keyed.get(slot);
                    lane.tell(first, window_of, |total, diff| out.give((key.clone(), total), diff));
                    due.push(slot);
                }
                for slot in due.drain(..) {
                    let (_, lane) = keyed.get(slot);
                    lane.finish(|start| over(window_at(start, window_of)) <= now.watermark);
                    if let Some(start) = lane.cells.keys().next().copied() {
                        keyed.wake(slot, over(window_at(start, window_of)));
                    }
                }
            },
        )
    }
}

/// The window that starts at `start`, whichever end belongs to it.
fn window_at(start: EventTime, window_of: impl Fn(EventTime) -> Window) -> Window {
    window_of(start.saturating_add(1))
}

impl<P: Datum, V: Group> Cell<P, V> {
    fn add(&mut self, at: EventTime, value: &V, diff: isize) {
        self.total.add(value, diff);
        self.elements.entry(at).or_insert_with(V::zero).add(value, diff);
        if self.reading.as_ref().is_some_and(|reading| at <= reading.at) {
            self.within.add(value, diff);
        }
    }

    /// Takes a reading, if it is the window's last: of several at one instant the greatest counts.
    fn read(&mut self, reading: &Point<P>) {
        let (since, last) = match &self.reading {
            Some(held) => (held.at, (held.at, &held.value) >= (reading.at, &reading.value)),
            None => (BEGINNING, false),
        };
        if last {
            return;
        }
        for (at, value) in self.elements.range(since..=reading.at) {
            if *at > since || self.reading.is_none() {
                self.within.add(value, 1);
            }
        }
        self.reading = Some(reading.clone());
    }
}

impl<P: Datum, V: Group + Datum> Lane<P, V> {
    /// Tells the windows from `first` on anew.
    fn tell(
        &mut self,
        first: EventTime,
        window_of: impl Fn(EventTime) -> Window,
        mut give: impl FnMut(Total<P, V>, isize),
    ) {
        let mut up_to = self.base.clone();
        for (start, cell) in &mut self.cells {
            let before = up_to.clone();
            up_to.add(&cell.total, 1);
            let Some(reading) = cell.reading.clone().filter(|_| *start >= first) else { continue };
            let mut up_to = before;
            up_to.add(&cell.within, 1);
            let total = Total {
                window: window_at(*start, &window_of),
                reading,
                within: cell.within.clone(),
                up_to,
                latest: *start == self.latest,
            };
            if cell.shown.as_ref() != Some(&total) {
                if let Some(shown) = cell.shown.replace(total.clone()) {
                    give(shown, -1);
                }
                give(total, 1);
            }
        }
        if let Some(last) = self.last.take_if(|last| last.window.start < self.latest) {
            give(last.clone(), -1);
            give(Total { latest: false, ..last }, 1);
        }
    }

    /// Lets go of the windows that are final.
    fn finish(&mut self, over: impl Fn(EventTime) -> bool) {
        while let Some(cell) = self.cells.first_entry().filter(|cell| over(*cell.key())) {
            let cell = cell.remove();
            self.base.add(&cell.total, 1);
            if cell.shown.as_ref().is_some_and(|shown| shown.latest) {
                self.last = cell.shown;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Step, run};

    #[test]
    fn a_reading_meets_what_had_added_up_by_then() {
        type Row = (bool, EventTime, i64);
        let element = |at, value| (true, at, value);
        let reading = |at, value| (false, at, value);
        let row =
            |start, at, value, within, up_to, latest| (start, at, value, within, up_to, latest);
        run(
            2,
            |rows: Table<'_, Row>| {
                let elements = rows.clone().filter(|row| row.0);
                let elements = elements.map(|(_, at, value)| ((), (at, value)));
                let readings = rows
                    .filter(|row| !row.0)
                    .map(|(_, at, value)| ((), Point { at, value, seq: 0 }));
                let windows = FixedWindows::of(10);
                let (totals, _) = elements.totals_at("totals", readings, windows, 5);
                totals.map(|((), t)| {
                    let Total { window, reading, within, up_to, latest } = t;
                    (window.start, reading.at, reading.value, within, up_to, latest)
                })
            },
            [
                Step::Add(vec![element(2, 1), element(7, 10), reading(5, 500), element(12, 100)]),
                Step::Table(vec![row(0, 5, 500, 1, 1, true)]),
                Step::Add(vec![reading(8, 800), element(5, 1000)]),
                Step::Table(vec![row(0, 8, 800, 1011, 1011, true)]),
                Step::Add(vec![reading(14, 1400)]),
                Step::Table(vec![
                    row(0, 8, 800, 1011, 1011, false),
                    row(10, 14, 1400, 100, 1111, true),
                ]),
                // The first window is final; a late element still belongs to all of time.
                Step::Watermark(16),
                Step::Add(vec![element(1, 5)]),
                Step::Table(vec![
                    row(0, 8, 800, 1011, 1011, false),
                    row(10, 14, 1400, 100, 1116, true),
                ]),
                Step::Watermark(40),
                Step::Remove(vec![element(2, 1)]),
                Step::Add(vec![reading(43, 1)]),
                Step::Table(vec![
                    row(0, 8, 800, 1011, 1011, false),
                    row(10, 14, 1400, 100, 1116, false),
                    row(40, 43, 1, 0, 1115, true),
                ]),
            ],
        );
    }
}
