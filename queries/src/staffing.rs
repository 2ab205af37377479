//! Staffing: how many agents each interval of the business day under way takes, by Erlang C and Erlang A.
//!
//! in   rows of the day (spoken by `intraday`)   queue profiles (target, threshold)
//! out  staffing   one row per queue and interval with a forecast, as of the latest refresh

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_model::QueueId;
use serde::{Deserialize, Serialize};

use crate::forecast::erlang::{
    Load, agents_by_erlang_a, agents_by_erlang_c, erlang_a, erlang_c, with_shrinkage,
};
use crate::input::Inputs;
use crate::intraday::{Interval, Spoken};

/// What a deployment may choose about staffing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StaffingSettings {
    /// Share of paid time in which agents are not available: breaks, training, absence. Default 0.3.
    pub shrinkage: f64,
    /// Mean time after which a waiting contact gives up, seconds (Erlang A). Default 180.
    pub patience_s: f64,
}

impl Default for StaffingSettings {
    fn default() -> Self {
        StaffingSettings { shrinkage: 0.3, patience_s: 180.0 }
    }
}

impl StaffingSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..1.0).contains(&self.shrinkage) {
            let is = self.shrinkage;
            return Err(format!(
                "queries.staffing.shrinkage is {is}; it must be 0 or more and less than 1"
            ));
        }
        if !(1.0..=1e9).contains(&self.patience_s) {
            let is = self.patience_s;
            return Err(format!(
                "queries.staffing.patience_s is {is}; it must be at least 1 second"
            ));
        }
        Ok(())
    }

    pub(crate) fn rounded(self) -> Rounded {
        Rounded {
            shrinkage_ppm: (self.shrinkage * 1e6).round() as i64,
            patience_ms: (self.patience_s * 1e3).round() as i64,
        }
    }
}

/// The settings in whole numbers, which rows can be compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rounded {
    pub shrinkage_ppm: i64,
    pub patience_ms: i64,
}

/// An interval of the day with what its queue promises.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Staffed {
    pub interval: Interval,
    pub target_ppm: i64,
    pub threshold_ms: i64,
    pub settings: Rounded,
}

/// The common promise, where a queue has no profile: 80 % within 20 seconds.
const TARGET_PPM: i64 = 800_000;
const THRESHOLD_MS: i64 = 20_000;

/// Rows of the day with what their queue promises by its latest profile.
///
/// State: the rows of the day under way and one profile per queue.
pub fn staffed<'s>(
    input: &Inputs<'s>,
    spoken: Table<'s, Spoken>,
    settings: &StaffingSettings,
) -> Table<'s, Staffed> {
    let settings = settings.rounded();
    let promises = input
        .queue_profiles()
        .latest_per_key("queue target")
        .map_values(|_, point| (point.value.target_ppm, point.value.threshold_ms));
    let rows = spoken.flat_map(|spoken| match spoken {
        Spoken::Row(interval) => Some((interval.queue.clone(), interval)),
        _ => None,
    });
    rows.lookup("queue target", promises, move |_: &QueueId, interval, promise| {
        let (target_ppm, threshold_ms) = promise.copied().unwrap_or((TARGET_PPM, THRESHOLD_MS));
        Staffed { interval: interval.clone(), target_ppm, threshold_ms, settings }
    })
}

impl Staffed {
    /// What is expected now, else what was forecast; `None` while the handle time is unknown.
    fn load(&self) -> Option<Load> {
        let interval = &self.interval;
        let aht_ms = interval.reforecast_aht_ms.or(interval.forecast_aht_ms)?;
        Some(Load {
            contacts: self.volume(),
            interval_s: (interval.end - interval.start) as f64 / 1000.0,
            aht_s: aht_ms as f64 / 1000.0,
        })
    }

    fn volume(&self) -> f64 {
        let interval = &self.interval;
        interval.reforecast_milli.unwrap_or(interval.forecast_milli) as f64 / 1000.0
    }

    fn target(&self) -> (f64, f64) {
        (self.target_ppm as f64 / 1e6, self.threshold_ms as f64 / 1000.0)
    }

    pub(crate) fn agents_by_erlang_c(&self) -> Option<u32> {
        let (target, threshold_s) = self.target();
        Some(agents_by_erlang_c(self.load()?, target, threshold_s))
    }
}

/// A row of `staffing`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Staffing(pub Staffed);

impl ViewRow for Staffing {
    const VIEW: &'static View = &View {
        name: "staffing",
        doc: "Agents that each interval of the business day under way takes, as of the latest refresh.",
        key: 2,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("interval_start_ms", "start of the interval, ms UTC"),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::real("volume", "contacts expected: reforecast, else forecast"),
            Column::int("aht_ms", "their average handle time, ms; null if unknown"),
            Column::real("target_pct", "share to be served within the threshold"),
            Column::int("threshold_ms", "within which time, ms"),
            Column::int("agents_erlang_c", "fewest agents who reach the target if nobody gives up"),
            Column::int(
                "agents_erlang_a",
                "fewest agents who reach it if waiting contacts give up after the mean patience",
            ),
            Column::int("scheduled_erlang_c", "agents_erlang_c / (1 - shrinkage), rounded up"),
            Column::int("scheduled_erlang_a", "agents_erlang_a / (1 - shrinkage), rounded up"),
            Column::real("sl_pct", "service level with agents_erlang_c, Erlang C"),
            Column::real("asa_s", "average speed of answer with agents_erlang_c, seconds"),
            Column::real("occupancy_pct", "busy share of agents_erlang_c"),
            Column::real("sl_erlang_a_pct", "share served in time with agents_erlang_a, Erlang A"),
            Column::real("wait_erlang_a_s", "mean wait with agents_erlang_a, seconds"),
            Column::real("occupancy_erlang_a_pct", "busy share of agents_erlang_a"),
            Column::real("abandon_erlang_a_pct", "share that gives up with agents_erlang_a"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let staffed = &self.0;
        let interval = &staffed.interval;
        let aht_ms = interval.reforecast_aht_ms.or(interval.forecast_aht_ms);
        row.extend([
            Value::from(interval.queue.0.clone()),
            interval.start.into(),
            interval.end.into(),
            staffed.volume().into(),
            aht_ms.into(),
            (staffed.target_ppm as f64 / 10_000.0).into(),
            staffed.threshold_ms.into(),
        ]);
        let Some(load) = staffed.load() else {
            row.extend(std::iter::repeat_n(Value::Null, 11));
            return;
        };
        let (target, threshold_s) = staffed.target();
        let shrinkage = staffed.settings.shrinkage_ppm as f64 / 1e6;
        let patience_s = staffed.settings.patience_ms as f64 / 1000.0;
        let c = agents_by_erlang_c(load, target, threshold_s);
        let a = agents_by_erlang_a(load, target, threshold_s, patience_s);
        let by_c = erlang_c(load, c, threshold_s).ok();
        let by_a = erlang_a(load, a, threshold_s, patience_s);
        row.extend([
            Value::from(i64::from(c)),
            i64::from(a).into(),
            i64::from(with_shrinkage(c, shrinkage)).into(),
            i64::from(with_shrinkage(a, shrinkage)).into(),
            by_c.map(|by_c| rounded(by_c.service_level * 100.0)).into(),
            by_c.map(|by_c| rounded(by_c.mean_wait_s)).into(),
            by_c.map(|by_c| rounded(by_c.occupancy * 100.0)).into(),
            rounded(by_a.service_level * 100.0).into(),
            rounded(by_a.mean_wait_s).into(),
            rounded(by_a.occupancy * 100.0).into(),
            rounded(by_a.abandon_probability * 100.0).into(),
        ]);
    }
}

/// To three decimals: more would be noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

pub fn staffing(staffed: Table<'_, Staffed>) -> Table<'_, Staffing> {
    staffed.map(Staffing)
}
