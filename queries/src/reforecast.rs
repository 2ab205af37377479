//! Reforecast: the business day under way per queue and interval: what was forecast, what came, what is expected now.
//!
//! in   rows of the day (spoken by `intraday`)   queue profiles
//! out  reforecast   one row per queue and interval with a forecast or contacts, as of the latest refresh

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use serde::{Deserialize, Serialize};

use crate::staffing::Staffed;

/// A row of `reforecast`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reforecast(pub Staffed);

impl ViewRow for Reforecast {
    const VIEW: &'static View = &View {
        name: "reforecast",
        doc: "Forecast, actual and reforecast of the business day under way, as of the latest refresh.",
        key: 2,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("interval_start_ms", "start of the interval, ms UTC"),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::real("forecast_volume", "contacts that the day's forecast expects"),
            Column::int("forecast_aht_ms", "and their average handle time, ms; null if unknown"),
            Column::int("actual_volume", "contacts offered; null until the interval is over"),
            Column::int("actual_aht_ms", "average handle time of the completed, ms"),
            Column::real(
                "reforecast_volume",
                "contacts expected now; of an interval that is over, as issued last before it was over",
            ),
            Column::int("reforecast_aht_ms", "and their average handle time, ms"),
            Column::int(
                "required_agents",
                "agents who reach the queue's target by Erlang C, without shrinkage",
            ),
            Column::text("method", "method of the latest refresh"),
            Column::int("refreshed_ms", "event time of the latest refresh, ms UTC"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let interval = &self.0.interval;
        let volume = |milli: i64| milli as f64 / 1000.0;
        row.extend([
            Value::from(interval.queue.0.clone()),
            interval.start.into(),
            interval.end.into(),
            volume(interval.forecast_milli).into(),
            interval.forecast_aht_ms.into(),
            interval.actual.into(),
            interval.actual_aht_ms.into(),
            interval.reforecast_milli.map(volume).into(),
            interval.reforecast_aht_ms.into(),
            self.0.agents_by_erlang_c().map(i64::from).into(),
            interval.method.as_str().into(),
            interval.refreshed_at.into(),
        ]);
    }
}

pub fn reforecast(staffed: Table<'_, Staffed>) -> Table<'_, Reforecast> {
    staffed.map(Reforecast)
}
