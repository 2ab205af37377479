//! Queue rolling: complete sliding windows that hold anything.

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_queries::Settings;

use super::sums::{Element, mean, percent};
use super::windows::Windows;

pub(crate) struct Rolling {
    windows: Windows,
}

impl Rolling {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (size, every) = (settings.rolling_s, settings.rolling_every_s);
        Rolling { windows: Windows::new(size, every, false, settings.allowed_lateness_s) }
    }

    pub(crate) fn rows(
        &mut self,
        measured: &[Element],
        before: EventTime,
        now: EventTime,
    ) -> Vec<Row> {
        let (held, _) = self.windows.hold(measured, before, now);
        let mut rows = Vec::new();
        for ((queue, start), held) in held {
            let status = self.windows.status(start, now);
            if status == "open" {
                continue;
            }
            let m = held.sums;
            rows.push(vec![
                Value::Text(queue.0),
                Value::Int(start),
                Value::Int(start + self.windows.size),
                Value::Int(m.arrivals),
                Value::Int(m.offered),
                Value::Int(m.answered),
                Value::Int(m.abandoned),
                Value::Int(m.completed),
                mean(m.handle_ms, m.completed),
                mean(m.wait_ms, m.answered),
                percent(m.answered_in_time, m.answered + m.abandoned),
                Value::Text(status.into()),
            ]);
        }
        rows
    }
}
