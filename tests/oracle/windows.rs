//! Windows: which elements each one holds, and from when on it holds them for good.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::QueueId;

use super::sums::Sums;

/// What adds up in a window.
pub(crate) trait Amount: Copy + Default {
    fn add(&mut self, other: &Self);
}

impl Amount for i64 {
    fn add(&mut self, other: &i64) {
        *self += other;
    }
}

impl Amount for Sums {
    fn add(&mut self, other: &Sums) {
        Sums::add(self, other);
    }
}

/// Windows of `size` ms per key, one beginning every `every` ms; `right`: `(start, end]`.
pub(crate) struct Windows<K = QueueId, S = Sums> {
    pub(crate) size: i64,
    pub(crate) every: i64,
    pub(crate) right: bool,
    pub(crate) lateness: i64,
    /// What windows held when their time was over.
    frozen: BTreeMap<(K, i64), Held<S>>,
}

/// How many elements a window holds, and their sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held<S = Sums> {
    pub(crate) elements: i64,
    pub(crate) sums: S,
}

impl<K: Ord + Clone + ToString, S: Amount> Windows<K, S> {
    pub(crate) fn new(size_s: i64, every_s: i64, right: bool, lateness_s: i64) -> Self {
        let (size, every) = (size_s * 1000, every_s * 1000);
        Windows { size, every, right, lateness: lateness_s * 1000, frozen: BTreeMap::new() }
    }

    /// What every window holds after an epoch in which the watermark went from `before` to `after`; and for each window
    /// that was over `before`, by how many elements it would have changed since.
    #[expect(clippy::type_complexity, reason = "two maps by key and start of the window")]
    pub(crate) fn hold(
        &mut self,
        elements: &[(K, EventTime, S)],
        before: EventTime,
        after: EventTime,
    ) -> (BTreeMap<(K, i64), Held<S>>, BTreeMap<(K, i64), i64>) {
        let mut now: BTreeMap<(K, i64), Held<S>> = BTreeMap::new();
        for (key, at, sums) in elements {
            // `(start, end]` holds the same whole milliseconds as `[start + 1, end + 1)`.
            let at = if self.right { at - 1 } else { *at };
            let mut start = at.div_euclid(self.every) * self.every;
            while start > at - self.size {
                let held = now.entry((key.clone(), start)).or_default();
                held.elements += 1;
                held.sums.add(sums);
                start -= self.every;
            }
        }
        let mut late = BTreeMap::new();
        let mut shown = self.frozen.clone();
        for (window, frozen) in &self.frozen {
            let since = now.get(window).map_or(0, |held| held.elements) - frozen.elements;
            late.insert(window.clone(), since);
        }
        for (window, held) in now {
            if self.over(window.1) > before {
                if self.over(window.1) <= after {
                    self.frozen.insert(window.clone(), held);
                }
                shown.insert(window, held);
            } else if !self.frozen.contains_key(&window) {
                // It was over before anything of it was known.
                late.insert(window, held.elements);
            }
        }
        late.retain(|_, n| *n != 0);
        (shown, late)
    }

    /// The rows of `late_elements` that say of `view` by how many elements its windows would have changed.
    pub(crate) fn late_rows(
        &self,
        view: &str,
        late: impl IntoIterator<Item = ((K, i64), i64)>,
    ) -> Vec<Row> {
        let row = |((key, start), n): ((K, i64), i64)| {
            vec![
                Value::Text(view.into()),
                Value::Text(key.to_string().into()),
                Value::Int(start),
                Value::Int(start + self.size),
                Value::Int(n),
            ]
        };
        late.into_iter().map(row).collect()
    }

    /// When the watermark says that all of a window has come.
    pub(crate) fn complete(&self, start: i64) -> i64 {
        start + self.size + i64::from(self.right)
    }

    fn over(&self, start: i64) -> i64 {
        self.complete(start) + self.lateness
    }

    pub(crate) fn status(&self, start: i64, watermark: EventTime) -> &'static str {
        if watermark >= self.over(start) {
            "final"
        } else if watermark >= self.complete(start) {
            "closing"
        } else {
            "open"
        }
    }
}

impl Windows {
    /// A row of a view of queue measures.
    pub(crate) fn row(&self, queue: QueueId, start: i64, sums: &Sums, watermark: EventTime) -> Row {
        let mut row = vec![Value::Text(queue.0), Value::Int(start), Value::Int(start + self.size)];
        row.extend(sums.cells());
        row.push(Value::Text(self.status(start, watermark).into()));
        row
    }
}
