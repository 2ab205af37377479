//! Volume surge: more contacts in the running interval than its forecast, beyond what chance explains.
//!
//! in   outcomes (Queue, arrivals)   forecasts (Queue, interval, volume)   terms (Queue, Terms over time)
//! out  incidents, one per stretch of event time with too many arrivals so far; alerts follow them, and refreshes of the forecast
//!
//! Each full minute of an interval is judged when the watermark has passed it: arrivals so far against the forecast's share
//! of the time so far. They surge above that by `above_pct`, and above the upper bound of a negative binomial whose
//! variance is `dispersion` times its mean E (calls are over-dispersed: Poisson limits fire far too often), by
//! Cornish-Fisher: E + z sqrt(d E) + (2d - 1)(z^2 - 1)/6, where z is `sigmas`.

use highwater_dataflow::window::{Count, Window, WindowFn};
use highwater_dataflow::{
    Alarm, Alerts, EventTime, FOREVER, Finding, Millis, Point, Revision, Span, Table, Trigger,
};
use highwater_model::{Envelope, Event, Name, QueueId};

use crate::contacts::Outcome;
use crate::intraday;
use crate::registry::Shared;
use crate::rule::{Definition, Parameter, Terms, incident, raise, terms};
use crate::settings::Settings;

pub const VOLUME_SURGE: Definition = Definition {
    name: "volume_surge",
    scope: "queue",
    enabled: true,
    parameters: &[
        Parameter::number("above_pct", 25_000, 0, "how far above the forecast, percent"),
        Parameter::number(
            "dispersion",
            4_000,
            1_000,
            "variance of an interval's arrivals over their mean",
        ),
        Parameter::number("sigmas", 2_000, 0, "how unlikely, in standard deviations"),
    ],
};
const ABOVE_PCT: usize = 0;
const DISPERSION: usize = 1;
const SIGMAS: usize = 2;

/// How often an interval is judged, ms.
pub const STEP: Millis = 60_000;

/// Length of the intervals that are judged; forecasts of other lengths are not, ms.
pub const INTERVAL: Millis = 900_000;

/// Windows that begin with an interval and grow by a step at a time.
struct Growing;

impl WindowFn for Growing {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        let start = at.saturating_sub(at.rem_euclid(INTERVAL));
        let mut end = start.saturating_add(((at - start) / STEP + 1) * STEP);
        while end <= start.saturating_add(INTERVAL) {
            windows.push(Window { start, end });
            end = end.saturating_add(STEP);
        }
    }

    fn slice(&self, at: EventTime) -> Window {
        let start = at.saturating_sub(at.rem_euclid(STEP));
        Window { start, end: start.saturating_add(STEP) }
    }
}

/// Arrivals so far, and how many were expected so far, in thousandths.
type Pace = (i64, i64);

/// The alerts of the surges.
pub fn volume_surge<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let Surges { alarms, revisions } = shared.surges(settings);
    let incidents = alarms.map(|(queue, alarm)| incident(queue, alarm, Vec::new()));
    raise(&VOLUME_SURGE, incidents, revisions, shared.input.correction)
}

/// Where each queue's arrivals surge, and the records that changed what is known of it.
#[derive(Clone)]
pub struct Surges<'s> {
    alarms: Table<'s, (Name, Alarm<Pace>)>,
    revisions: Table<'s, (Name, Revision)>,
}

impl<'s> Surges<'s> {
    /// When each began, as what refreshes the queue's forecast. What is only amended does not begin again.
    pub(crate) fn starts(self) -> Table<'s, (QueueId, (EventTime, intraday::Trigger))> {
        self.alarms
            .map(|(queue, alarm)| (QueueId(queue), (alarm.from, intraday::Trigger::VolumeSurge)))
            .consolidate()
    }
}

/// State: one count per queue, interval and minute of the last two correction horizons, and as many forecasts.
pub(crate) fn surges<'s>(shared: &Shared<'s>, settings: &Settings) -> Surges<'s> {
    let horizon = shared.input.correction;
    let paces = paces(shared);
    let queues = paces.clone().keys("queues with a pace");
    let told = terms(&VOLUME_SURGE, settings, shared.rules.clone(), queues, None);
    let levels = paces.clone().map(|(queue, pace)| (queue.clone(), (queue, pace)));
    let found = paces.alarms("above forecast", told.terms, horizon, |terms, paces| {
        let (value, expected) = **paces.last()?;
        let threshold = bound(terms, expected);
        (value > threshold).then_some(Finding { value, threshold, lasting: 0, kind: 0 })
    });
    // A level is a count of many records held against another one: those of its interval, up to it, bear on it.
    let heard = shared.input.contact_events().flat_map(|envelope| match envelope.event {
        Event::ContactArrival(e) => Some((e.queue.0, envelope.at, envelope.seq)),
        _ => None,
    });
    let forecast = shared.input.reference().flat_map(|envelope| match envelope.event {
        Event::ForecastUpdate(e) => Some((e.queue.0, e.interval_start_at, envelope.seq)),
        _ => None,
    });
    let records = heard.concat(forecast).map(|(queue, at, seq)| (queue, Revision { at, seq }));
    let revised = levels.revised("paces revised", records, |(queue, pace), by| {
        let last = pace.from - 1;
        let start = last - last.rem_euclid(INTERVAL);
        (start..pace.from).contains(&by.at).then(|| queue.clone())
    });
    Surges { alarms: found.alarms, revisions: revised.concat(told.words) }
}

/// The pace of each queue at every minute of its intervals, until the next.
fn paces<'s>(shared: &Shared<'s>) -> Table<'s, (Name, Span<Pace>)> {
    let horizon = shared.input.correction;
    let forecasts = shared
        .input
        .reference()
        .flat_map(|envelope: Envelope| match envelope.event {
            Event::ForecastUpdate(update)
                if update.interval_end_at - update.interval_start_at == INTERVAL =>
            {
                let point =
                    Point { at: update.version, value: update.volume_milli, seq: envelope.seq };
                Some(((update.queue, update.interval_start_at), point))
            }
            _ => None,
        })
        .latest_per_key_until("forecast to pace", move |(_, start): &(QueueId, EventTime), _| {
            start.saturating_add(INTERVAL + 3 * horizon)
        });
    shared
        .outcomes
        .clone()
        .filter(|(_, (_, outcome))| matches!(outcome, Outcome::Arrived { .. }))
        .map(|(queue, (at, _))| (queue, (at, ())))
        .window_into("pace", Growing)
        .trigger(Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(1))))
        .allowed_lateness(2 * horizon)
        .aggregate(Count)
        .panes
        .filter(|(_, pane)| pane.value > 0)
        .map(|(queue, pane)| ((queue, pane.window.start), (pane.window.end, pane.value)))
        .lookup_until(
            "forecast of the pace",
            forecasts,
            move |(end, _)| end.saturating_add(3 * horizon),
            |(queue, start), (end, arrived), forecast| {
                forecast.map(|volume| {
                    let expected = volume.value * (end - start) / INTERVAL;
                    let value = (*arrived, expected);
                    let span = Span { from: *end, to: FOREVER, value, seq: volume.seq };
                    (queue.0.clone(), span)
                })
            },
        )
        .flat_map(|pace| pace)
        .lasts_at_most("pace known", STEP)
}

/// The most arrivals that are no surge where `expected` thousandths are.
fn bound(terms: &Terms, expected: i64) -> i64 {
    let mean = expected as f64 / 1000.0;
    let above = terms.milli(ABOVE_PCT) as f64 / 100_000.0;
    let (d, z) = (terms.milli(DISPERSION) as f64 / 1000.0, terms.milli(SIGMAS) as f64 / 1000.0);
    let skew = (2.0 * d - 1.0) * (z * z - 1.0).max(0.0) / 6.0;
    let chance = mean + z * (d * mean).sqrt() + skew;
    chance.max(mean * (1.0 + above)).floor() as i64
}
