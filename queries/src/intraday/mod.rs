//! Intraday: each queue's business day, forecast again whenever an interval ends or a surge is seen.
//!
//! ```text
//! outcomes ─┐
//! forecasts ├─► timed per queue ─► Spoken ─┬─ Row       reforecast, staffing
//! profiles  │   (a day is a row of         ├─ Refresh   forecast_refresh
//! triggers ─┘    intervals; 140 are kept)  └─ Accuracy  reforecast_accuracy
//! ```
//!
//! A refresh is a published fact: what was said with what was known when the watermark reached the interval's end, a
//! function of the journal like everything else. Late contacts change the next refresh and the accuracy of earlier ones,
//! never what was issued.

mod calendar;
mod day;
mod desk;
#[cfg(test)]
mod tests;

use highwater_dataflow::{EventTime, Millis, Table};
use highwater_model::{Event, Name, Opening, QueueId};
use serde::{Deserialize, Serialize};

use crate::contacts::Outcome;
use crate::forecast::Method;
use crate::input::Inputs;
use crate::settings::{ClosedSide, Settings};

pub use desk::{Desk, HISTORY_DAYS};

/// Why a forecast is refreshed ahead of the next interval's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// More contacts than forecast, beyond chance.
    VolumeSurge,
}

impl Trigger {
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::VolumeSurge => "volume_surge",
        }
    }
}

/// What a queue's day is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Heard {
    /// A contact was offered in the interval that starts then.
    Offered {
        start: EventTime,
    },
    /// One was finished in it.
    Completed {
        start: EventTime,
        handle: Millis,
    },
    Forecast(Piece),
    /// The queue's hours, by a profile from `at` on.
    Hours {
        at: EventTime,
        opening: Option<Opening>,
    },
    Trigger {
        at: EventTime,
        trigger: Trigger,
    },
}

/// A forecast of one interval; of several that start together the greatest counts, the version before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Piece {
    pub version: i64,
    pub at: EventTime,
    pub start: EventTime,
    pub end: EventTime,
    pub volume_milli: i64,
    pub aht_ms: i64,
}

/// What is said of a queue's day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Spoken {
    Row(Interval),
    Refresh(Refresh),
    Accuracy(Accuracy),
}

/// One interval of the business day under way, as of the latest refresh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    pub queue: QueueId,
    pub start: EventTime,
    pub end: EventTime,
    /// What the day's forecast expects, in thousandths of a contact.
    pub forecast_milli: i64,
    pub forecast_aht_ms: Option<i64>,
    /// What came, of intervals that are over.
    pub actual: Option<i64>,
    pub actual_aht_ms: Option<i64>,
    /// What is expected now; of intervals that are over, what was issued last before they were over.
    pub reforecast_milli: Option<i64>,
    pub reforecast_aht_ms: Option<i64>,
    /// The method of the latest refresh.
    pub method: Method,
    pub refreshed_at: EventTime,
}

/// One refresh of one queue's forecast: the sources' `ForecastRefresh`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refresh {
    pub queue: QueueId,
    pub at: EventTime,
    pub trigger: Name,
    pub method: Method,
    /// Intervals of the rest of the day with a forecast.
    pub intervals_updated: i64,
    /// By how much the rest of the day now differs from the day's forecast, thousandths of a percent.
    pub volume_change_mpct: i64,
    /// Probability that its volume lies within 10 % of the forecast, millionths.
    pub confidence_ppm: i64,
}

/// How well a method did, at one time of day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Accuracy {
    pub queue: QueueId,
    pub method: Method,
    /// When it was asked, minutes after midnight on the queue's clock.
    pub cut_min: i64,
    pub errors: Errors,
}

/// Errors of issued forecasts, e = forecast less actual, in thousandths of a contact.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Errors {
    pub intervals: i64,
    pub absolute_milli: i64,
    pub error_milli: i64,
    pub actual_milli: i64,
}

/// Follows every queue's day.
///
/// `triggers` are the surges: `(Queue, (event time, why))`, a refresh each. State: see [`Desk`].
pub fn intraday<'s>(
    input: &Inputs<'s>,
    outcomes: Table<'s, (QueueId, (EventTime, Outcome))>,
    triggers: Table<'s, (QueueId, (EventTime, Trigger))>,
    settings: &Settings,
) -> Table<'s, Spoken> {
    let size = settings.interval();
    let right = i64::from(settings.closed == ClosedSide::Right);
    let start = move |at: EventTime| (at - right).div_euclid(size) * size;
    let contacts = outcomes.flat_map(move |(queue, (at, outcome))| {
        let heard = match outcome {
            Outcome::Arrived { offered: true, .. } => Heard::Offered { start: start(at) },
            Outcome::Completed { handle } => Heard::Completed { start: start(at), handle },
            _ => return None,
        };
        Some((queue, heard))
    });
    let reference = input.reference().flat_map(|envelope| match envelope.event {
        Event::ForecastUpdate(forecast) => {
            let piece = Piece {
                version: forecast.version,
                at: envelope.at,
                start: forecast.interval_start_at,
                end: forecast.interval_end_at,
                volume_milli: forecast.volume_milli,
                aht_ms: forecast.aht_ms,
            };
            Some((forecast.queue, Heard::Forecast(piece)))
        }
        Event::QueueProfile(profile) => {
            Some((profile.queue, Heard::Hours { at: envelope.at, opening: profile.opening }))
        }
        _ => None,
    });
    let triggers = triggers.map(|(queue, (at, trigger))| (queue, Heard::Trigger { at, trigger }));
    let desk = Desk { size, right, correction: settings.correction() };
    contacts.concat(reference).concat(triggers).timed("intraday", desk)
}
