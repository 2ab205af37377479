//! Source lag: receipts by interval of the source's clock, every lag kept and sorted.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_queries::{Entry, Settings};

use super::windows::Windows;

type Place = (String, EventTime);

pub(crate) struct Lag {
    windows: Windows<String>,
    held: BTreeMap<Place, Held>,
    late: BTreeMap<Place, i64>,
}

#[derive(Default)]
struct Held {
    events: i64,
    dead_letters: i64,
    newest: Option<EventTime>,
    last: Option<(EventTime, EventTime)>,
    lags: Vec<i64>,
}

impl Lag {
    pub(crate) fn new(settings: &Settings) -> Self {
        let size = settings.interval_s;
        let windows = Windows::new(size, size, false, settings.allowed_lateness_s);
        Lag { windows, held: BTreeMap::new(), late: BTreeMap::new() }
    }

    /// The rows, and those of `late_elements`, after an epoch in which the watermark went from `before` to `now`.
    pub(crate) fn rows(
        &mut self,
        entries: &[Entry],
        before: EventTime,
        now: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let size = self.windows.size;
        for entry in entries {
            let Entry::Receipt(receipt) = entry else { continue };
            let start = receipt.received_at.div_euclid(size) * size;
            let place = (receipt.source.to_string(), start);
            if self.windows.status(start, before) == "final" {
                *self.late.entry(place).or_default() += 1;
                continue;
            }
            let held = self.held.entry(place).or_default();
            held.events += receipt.events;
            held.dead_letters += receipt.dead_letters;
            held.newest = held.newest.max(receipt.newest);
            held.last = held.last.max(Some((receipt.received_at, now)));
            for (lag, n) in &receipt.lags {
                held.lags.extend(std::iter::repeat_n(*lag, *n as usize));
            }
            held.lags.sort_unstable();
        }
        let int = |n: Option<i64>| n.map_or(Value::Null, Value::Int);
        let row = |((source, start), held): (&Place, &Held)| {
            let behind = held.last.filter(|(_, w)| *w != BEGINNING && *w != FOREVER);
            vec![
                Value::Text(source.as_str().into()),
                Value::Int(*start),
                Value::Int(start + size),
                Value::Int(held.events),
                Value::Int(held.dead_letters),
                int(held.newest),
                int(held.last.map(|(received, _)| received)),
                int(held.at(50)),
                int(held.at(95)),
                int(held.at(99)),
                int(held.lags.last().copied()),
                int(behind.map(|(received, watermark)| received - watermark)),
                Value::Text(self.windows.status(*start, now).into()),
            ]
        };
        let late = self.windows.late_rows("source_lag", self.late.clone());
        (self.held.iter().map(row).collect(), late)
    }
}

impl Held {
    /// The lag that so many in a hundred do not exceed, cut to its eight leading binary digits.
    fn at(&self, percent: usize) -> Option<i64> {
        let rank = (self.lags.len() as f64 * (percent as f64 / 100.0)).ceil().max(1.0) as usize;
        let lag = (*self.lags.get(rank - 1)?).max(0);
        let mut unit = 1;
        while lag / unit >= 256 {
            unit *= 2;
        }
        Some(lag / unit * unit)
    }
}
