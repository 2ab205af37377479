//! Windows: which elements each one holds, and from when on it holds them for good.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_model::QueueId;

use super::sums::{Element, Sums};

/// Windows of `size` ms, one beginning every `every` ms; `right`: `(start, end]`.
pub(crate) struct Windows {
    pub(crate) size: i64,
    pub(crate) every: i64,
    pub(crate) right: bool,
    pub(crate) lateness: i64,
    /// What windows held when their time was over.
    frozen: BTreeMap<(QueueId, i64), Held>,
}

/// How many elements a window holds, and their sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) elements: i64,
    pub(crate) sums: Sums,
}

impl Windows {
    pub(crate) fn new(size_s: i64, every_s: i64, right: bool, lateness_s: i64) -> Self {
        let (size, every) = (size_s * 1000, every_s * 1000);
        Windows { size, every, right, lateness: lateness_s * 1000, frozen: BTreeMap::new() }
    }

    /// What every window holds after an epoch in which the watermark went from `before` to `after`; and for each window
    /// that was over `before`, by how many elements it would have changed since.
    #[expect(clippy::type_complexity, reason = "two maps by queue and start of the window")]
    pub(crate) fn hold(
        &mut self,
        elements: &[Element],
        before: EventTime,
        after: EventTime,
    ) -> (BTreeMap<(QueueId, i64), Held>, BTreeMap<(QueueId, i64), i64>) {
        let mut now: BTreeMap<(QueueId, i64), Held> = BTreeMap::new();
        for (queue, at, sums) in elements {
            // `(start, end]` holds the same whole milliseconds as `[start + 1, end + 1)`.
            let at = if self.right { at - 1 } else { *at };
            let mut start = at.div_euclid(self.every) * self.every;
            while start > at - self.size {
                let held = now.entry((queue.clone(), start)).or_default();
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
