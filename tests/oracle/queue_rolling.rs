//! Queue rolling: complete sliding windows that hold anything.

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::Envelope;
use highwater_queries::{Attribution, Settings};

use super::contacts::Telling;
use super::spent::Spent;
use super::sums::attributed;
use super::windows::Windows;

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
        let mut rows = Vec::new();
        for ((queue, start), held) in held {
            let status = self.windows.status(start, now);
            if status == "open" {
                continue;
            }
            let end = start + self.windows.size;
            let mut row = vec![Value::Text(queue.0), Value::Int(start), Value::Int(end)];
            row.extend(held.sums.cells());
            row.push(Value::Text(status.into()));
            rows.push(row);
        }
        let late = late.into_iter().map(|((queue, start), n)| {
            vec![
                Value::Text("queue_rolling".into()),
                Value::Text(queue.0),
                Value::Int(start),
                Value::Int(start + self.windows.size),
                Value::Int(n),
            ]
        });
        (rows, late.collect())
    }
}
