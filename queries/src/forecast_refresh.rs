//! Forecast refresh: every time the rest of a queue's day was forecast again, as the sources' `ForecastRefresh`.
//!
//! in   refreshes (spoken by `intraday`): at each interval's end and on each surge
//! out  forecast_refresh   one row per refresh; a published fact, never rewritten

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_model::{ForecastRefresh as Event, Name};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::intraday::{Refresh, Spoken};

/// A row of `forecast_refresh`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForecastRefresh(pub Refresh);

impl ViewRow for ForecastRefresh {
    const VIEW: &'static View = &View {
        name: "forecast_refresh",
        doc: "Every refresh of a queue's forecast, with the fields of the ForecastRefresh event.",
        key: 3,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("timestamp_ms", "event time of the refresh, ms UTC"),
            Column::text("trigger", "scheduled_Nmin at an interval's end, or volume_surge"),
            Column::text("event_id", "identity of the event; the same in every replay"),
            Column::text(
                "forecast_version",
                "intraday-YYYYMMDD-HHMM, UTC; seconds and milliseconds where there are any",
            ),
            Column::int("intervals_updated", "intervals of the rest of the day with a forecast"),
            Column::text("method", "how it was forecast"),
            Column::real(
                "volume_change_pct",
                "by how much the rest of the day differs from the day's forecast, percent",
            ),
            Column::real(
                "confidence",
                "probability that its volume lies within 10 % of the forecast, 0 to 1",
            ),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let refresh = &self.0;
        let event = self.event();
        row.extend([
            Value::from(refresh.queue.0.clone()),
            refresh.at.into(),
            refresh.trigger.clone().into(),
            self.event_id().into(),
            event.forecast_version.into(),
            event.intervals_updated.into(),
            event.method.into(),
            (event.volume_change_mpct as f64 / 1000.0).into(),
            (event.confidence_ppm as f64 / 1e6).into(),
        ]);
    }
}

impl ForecastRefresh {
    /// The event of the sources that this row is.
    pub fn event(&self) -> Event {
        let refresh = &self.0;
        let format = match refresh.at.rem_euclid(60_000) {
            0 => "intraday-%Y%m%d-%H%M",
            within if within % 1_000 == 0 => "intraday-%Y%m%d-%H%M%S",
            _ => "intraday-%Y%m%d-%H%M%S%3f",
        };
        Event {
            forecast_version: self.format(format),
            queue: refresh.queue.clone(),
            intervals_updated: refresh.intervals_updated,
            trigger: refresh.trigger.clone(),
            method: refresh.method.as_str().into(),
            volume_change_mpct: refresh.volume_change_mpct,
            confidence_ppm: refresh.confidence_ppm,
        }
    }

    /// `evt-YYYYMMDD-HHMMSS-f-QUEUE`, with milliseconds after the seconds where there are any, and `surge` instead of
    /// `f` where it is no interval's end. The queue comes last: whatever it is called, no two refreshes share an identity.
    pub fn event_id(&self) -> Name {
        let Refresh { queue, trigger, at, .. } = &self.0;
        let whole = at.rem_euclid(1_000) == 0;
        let stamp = self.format(if whole { "evt-%Y%m%d-%H%M%S" } else { "evt-%Y%m%d-%H%M%S%3f" });
        let why = if trigger.starts_with("scheduled") { "f" } else { "surge" };
        format!("{stamp}-{why}-{queue}").into()
    }

    fn format(&self, format: &str) -> Name {
        let instant = Timestamp::from_millisecond(self.0.at).unwrap_or_default();
        Zoned::new(instant, TimeZone::UTC).strftime(format).to_string().into()
    }
}

pub fn forecast_refresh(spoken: Table<'_, Spoken>) -> Table<'_, ForecastRefresh> {
    spoken.flat_map(|spoken| match spoken {
        Spoken::Refresh(refresh) => Some(ForecastRefresh(refresh)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::forecast::Method;

    /// Rule changes may begin a surge at any millisecond, and queues may be called anything.
    #[test]
    fn no_two_refreshes_share_an_identity() {
        let mut seen = BTreeSet::new();
        for at in [1_778_855_700_000, 1_778_855_700_001, 1_778_855_700_999, 1_778_855_701_000] {
            for queue in ["a", "a-surge", "surge-a", "f-a"] {
                for trigger in ["scheduled_15min", "volume_surge"] {
                    let row = ForecastRefresh(Refresh {
                        queue: queue.into(),
                        at,
                        trigger: trigger.into(),
                        method: Method::Static,
                        intervals_updated: 1,
                        volume_change_mpct: 0,
                        confidence_ppm: 0,
                    });
                    assert!(seen.insert(row.event_id()), "{} twice", row.event_id());
                }
            }
        }
        assert!(seen.contains("evt-20260515-143500001-surge-a"), "{seen:?}");
    }
}
