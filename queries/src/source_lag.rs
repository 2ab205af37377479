//! Source lag: how long after they happened a source's events come, interval by interval of their receipt.
//!
//! in   receipts: what each frame of the journal holds of one partition
//! out  source_lag      one row per source and interval of the source's own clock; status open, closing, final
//! side late_elements   receipts for intervals that are final
//!
//! Lag is the source's clock at receipt less event time; both are journaled, so a replay finds the same.

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Aggregate, Behavior, FixedWindows, Histogram, LateElement, Max, Quantiles,
    RowStatus, Sum, Trigger, Window, over,
};
use highwater_dataflow::{BEGINNING, FOREVER, Table};
use highwater_model::Name;
use serde::{Deserialize, Serialize};

use crate::input::{Inputs, Receipt};
use crate::settings::Settings;

/// A row of `source_lag`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceLag {
    pub source: Name,
    pub window: Window,
    pub events: i64,
    pub dead_letters: i64,
    /// The greatest event time that came.
    pub newest: Option<i64>,
    /// The last receipt, and the watermark once it was in.
    pub last: Option<(i64, i64)>,
    pub lags: Histogram,
    pub lag_max: Option<i64>,
    pub status: RowStatus,
}

impl ViewRow for SourceLag {
    const VIEW: &'static View = &View {
        name: "source_lag",
        doc: "How far behind each source's events come, and how far the watermark is, per interval of receipt.",
        key: 2,
        columns: &[
            Column::text("source", "the source's partition"),
            Column::int(
                "interval_start_ms",
                "start of the interval, by the source's clock, ms UTC",
            ),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::int("events", "events that came, duplicates included"),
            Column::int("dead_letters", "input that was no event"),
            Column::int("last_event_ms", "the greatest event time that came, ms UTC"),
            Column::int(
                "last_received_ms",
                "when the last one came, by the source's clock, ms UTC",
            ),
            Column::int("lag_p50_ms", "receipt less event time, median, ms; within 1 %"),
            Column::int("lag_p95_ms", "95 in 100 came at most so late, ms"),
            Column::int("lag_p99_ms", "99 in 100 came at most so late, ms"),
            Column::int("lag_max_ms", "the latest, ms"),
            Column::int(
                "watermark_lag_ms",
                "the last receipt less the watermark after it, ms; null without a watermark",
            ),
            Column::text("status", "open (not over), closing (late events still count) or final"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let known = |watermark: i64| watermark != BEGINNING && watermark != FOREVER;
        let behind = self.last.filter(|(_, watermark)| known(*watermark));
        row.extend([
            Value::from(self.source.clone()),
            self.window.start.into(),
            self.window.end.into(),
            self.events.into(),
            self.dead_letters.into(),
            self.newest.into(),
            self.last.map(|(received, _)| received).into(),
        ]);
        let quantile = |q| if self.lags.count() > 0 { self.lags.quantile(q) } else { None };
        row.extend([0.5, 0.95, 0.99].map(|q| Value::from(quantile(q))));
        row.extend([
            self.lag_max.into(),
            behind.map(|(received, watermark)| received.saturating_sub(watermark)).into(),
            self.status.as_str().into(),
        ]);
    }
}

/// The lags of receipts, counted.
#[derive(Clone, Copy, Default)]
struct Lags(Quantiles);

impl Aggregate<(Receipt, i64)> for Lags {
    type Acc = <Quantiles as Aggregate<i64>>::Acc;
    type Output = Histogram;

    fn zero(&self) -> Self::Acc {
        Aggregate::<i64>::zero(&self.0)
    }

    fn add(&self, acc: &mut Self::Acc, (receipt, _): &(Receipt, i64), diff: isize) {
        for (lag, n) in &receipt.lags {
            self.0.add(acc, lag, diff * *n as isize);
        }
    }

    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        Aggregate::<i64>::merge(&self.0, acc, other);
    }

    fn output(&self, acc: &Self::Acc) -> Histogram {
        Aggregate::<i64>::output(&self.0, acc)
    }
}

/// The view and its late side output.
pub fn source_lag<'s>(
    input: &Inputs<'s>,
    settings: &Settings,
) -> (Table<'s, SourceLag>, Table<'s, (Name, LateElement)>) {
    let every_epoch = || Trigger::repeatedly(Trigger::after_count(1));
    let panes = input
        .receipts()
        .with_watermark("receipts")
        .map(|(receipt, watermark)| {
            (receipt.source.clone(), (receipt.received_at, (receipt, watermark)))
        })
        .window_into("source_lag", FixedWindows::of(settings.interval()))
        .trigger(Trigger::after_watermark().early(every_epoch()).late(every_epoch()))
        .allowed_lateness(settings.allowed_lateness())
        .accumulation(Accumulation::AccumulatingRetracting)
        .on_time_behavior(Behavior::FireAlways)
        .closing_behavior(Behavior::FireAlways)
        .aggregate((
            over(|(receipt, _): &(Receipt, i64)| [receipt.events, receipt.dead_letters], Sum),
            over(|(receipt, _): &(Receipt, i64)| receipt.newest, Max),
            over(|(receipt, watermark): &(Receipt, i64)| (receipt.received_at, *watermark), Max),
            Lags::default(),
            over(|(receipt, _): &(Receipt, i64)| receipt.lags.last().map(|(lag, _)| *lag), Max),
        ));
    let rows = panes.panes.map(|(source, pane)| {
        let window = pane.window;
        let status = pane.status();
        let ([events, dead_letters], newest, last, lags, lag_max) = pane.value;
        let (newest, lag_max) = (newest.flatten(), lag_max.flatten());
        SourceLag { source, window, events, dead_letters, newest, last, lags, lag_max, status }
    });
    (rows, panes.late)
}
