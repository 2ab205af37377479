//! Queue rolling: complete sliding windows that hold anything.

use highwater_dataflow::EventTime;
use highwater_dataflow::view::Row;
use highwater_model::{Envelope, QueueId};
use highwater_queries::{Attribution, Settings};

use super::contacts::Telling;
use super::spent::Spent;
use super::sums::attributed;
use super::windows::{Held, Windows};

pub(crate) struct Rolling {
    attribution: Attribution,
    windows: Windows,
    spent: Spent,
}

impl Rolling {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (size, every) = (settings.rolling_s, settings.rolling_every_s);
        Rolling {
            attribution: settings.attribution,
            windows: Windows::new(size, every, false, settings.allowed_lateness_s),
            spent: Spent::new(settings, every * 1000, false),
        }
    }

    /// The rows, and those of `late_elements`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        told: &[Telling],
        before: EventTime,
        now: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let mut elements = attributed(known, told, self.attribution);
        elements.extend(self.spent.elements(known, told, now));
        let (held, late) = self.windows.hold(&elements, before, now);
        let complete =
            held.into_iter().filter(|((_, start), _)| self.windows.complete(*start) <= now);
        let row = |((queue, start), held): ((QueueId, i64), Held)| {
            self.windows.row(queue, start, &held.sums, now)
        };
        (complete.map(row).collect(), self.windows.late_rows("queue_rolling", late))
    }
}
