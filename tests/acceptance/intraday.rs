//! The stream forecasts a day exactly as the pure functions do from the same counts; what was issued stays issued.

use std::collections::BTreeMap;

use highwater_dataflow::Signal;
use highwater_dataflow::view::{Row, Value};
use highwater_model::{Channel, ContactArrival, Envelope, Event, EventKey, ForecastRefresh};
use highwater_queries::forecast::{Method, Past, Today, factors, ordinary_mean};
use highwater_queries::forecast_refresh;
use highwater_queries::intraday::Refresh;
use highwater_queries::{Entry, Settings};

use crate::oracle::Epoch;
use crate::sim::drive::{Sinks, run};
use crate::sim::random::Random;

/// Monday, 2 June 2025, 00:00 UTC.
const FIRST: i64 = 1_748_822_400_000;
const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
const QUARTER: i64 = HOUR / 4;
const DAYS: i64 = 45;

/// Arrivals from eight to six on every day, weekends quieter, each day busier or quieter as a whole.
fn arrivals() -> Vec<i64> {
    let mut random = Random::new(9);
    let mut at = Vec::new();
    for day in 0..DAYS {
        let usual = if day % 7 < 5 { 60 } else { 25 };
        let contacts = usual * random.within(80, 121) / 100;
        for _ in 0..contacts {
            at.push(FIRST + day * DAY + 8 * HOUR + random.within(0, 10 * HOUR));
        }
    }
    at.sort_unstable();
    at
}

fn entry(at: i64, seq: u64) -> Entry {
    let event = Event::ContactArrival(ContactArrival {
        contact: format!("contact-{seq}").as_str().into(),
        queue: "sales".into(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    });
    Entry::Event(Envelope { seq, key: EventKey(u128::from(seq)), at, event })
}

/// An epoch per hour up to `until` o'clock of the last of `days`, and `late` contacts in an epoch of their own.
fn epochs(arrivals: &[i64], days: i64, until: i64, late: &[i64]) -> Vec<Epoch> {
    let mut epochs = Vec::new();
    let mut seq = 0;
    let mut entries = |from: i64, to: i64| -> Vec<Entry> {
        let of_hour = arrivals.iter().filter(|at| (from..to).contains(*at));
        of_hour
            .map(|at| {
                seq += 1;
                entry(*at, seq)
            })
            .collect()
    };
    let hours = (days - 1) * 24 + until;
    for hour in 0..hours {
        let (from, bound) = (FIRST + hour * HOUR, FIRST + (hour + 1) * HOUR);
        let signals = vec![Signal::Bound { partition: 0, bound }];
        epochs.push(Epoch { number: 1 + hour as u64, entries: entries(from, bound), signals });
    }
    if !late.is_empty() {
        let entries = late.iter().zip(1_000_000..).map(|(at, seq)| entry(*at, seq)).collect();
        epochs.push(Epoch { number: 1 + hours as u64, entries, signals: Vec::new() });
    }
    epochs
}

fn views(epochs: &[Epoch]) -> BTreeMap<&'static str, Vec<Row>> {
    let mut sinks = Sinks::default();
    for commit in run(&Settings::default(), epochs, 1, false) {
        sinks.apply(&commit).unwrap();
    }
    sinks.views.into_iter().map(|(name, rows)| (name, rows.into_values().collect())).collect()
}

fn int(cell: &Value) -> i64 {
    let Value::Int(n) = cell else { panic!("no whole number: {cell:?}") };
    *n
}

/// Counts of day `day` by quarter.
fn counts(arrivals: &[i64], day: i64) -> Vec<f64> {
    let mut counts = vec![0.0; 96];
    for at in arrivals.iter().filter(|at| (**at - FIRST).div_euclid(DAY) == day) {
        counts[((at - FIRST).rem_euclid(DAY) / QUARTER) as usize] += 1.0;
    }
    counts
}

fn base(days: &[Vec<f64>], day: usize) -> Option<Vec<f64>> {
    let weeks = (1..=10).filter_map(|week| days.get(day.checked_sub(7 * week)?));
    ordinary_mean(&weeks.map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn a_day_with_a_past_is_forecast_as_the_functions_say() {
    let arrivals = arrivals();
    let views = views(&epochs(&arrivals, DAYS, 23, &[]));
    let days: Vec<Vec<f64>> = (0..DAYS).map(|day| counts(&arrivals, day)).collect();
    let last = DAYS as usize - 1;
    let past: Vec<Past> = (0..last)
        .filter_map(|day| Some(Past { base: base(&days, day)?, actual: days[day].clone() }))
        .collect();
    let expected = base(&days, last).unwrap();
    let midnight = FIRST + (DAYS - 1) * DAY;
    let mut seen = 0;
    for row in &views["forecast_refresh"] {
        let cut = (int(&row[1]) - midnight) / QUARTER;
        if cut < 0 {
            continue;
        }
        let today = Today { base: &expected, actual: &days[last], cut: cut as usize, elapsed: 0.0 };
        let factors = factors(&past, today, 4.0);
        let change = (factors.of(Method::CalibratedSlope) - 1.0) * 100_000.0;
        assert_eq!(row[6], Value::Text("calibrated_slope".into()), "{row:?}");
        assert_eq!(row[7], Value::Real(change.round() / 1000.0), "{row:?}");
        seen += 1;
    }
    assert!(seen > 60, "the last day is refreshed each quarter: {seen}");
    // Early days had too few to learn from, and the first two weeks nothing to forecast from.
    let first = views["forecast_refresh"].iter().map(|row| int(&row[1])).min().unwrap();
    assert_eq!(first, FIRST + 14 * DAY);
    let started = |row: &&Row| int(&row[1]) == first;
    let started = views["forecast_refresh"].iter().find(started).unwrap();
    assert_eq!(started[6], Value::Text("gamma_poisson".into()));
    // The day under way is shown in full: what came, and what was expected before it came.
    for row in &views["reforecast"] {
        let slot = ((int(&row[1]) - midnight) / QUARTER) as usize;
        assert_eq!(row[5], Value::Int(days[last][slot] as i64), "{row:?}");
        assert!(matches!(row[7], Value::Real(_)) || expected[slot] == 0.0, "{row:?}");
    }
    assert!(views["reforecast_accuracy"].len() > 5 * 10);
}

#[test]
fn late_contacts_correct_the_accuracy_and_leave_what_was_issued() {
    let arrivals = arrivals();
    // Enough to have a few forecasts.
    let days = 17;
    let eleven = FIRST + (days - 1) * DAY + 11 * HOUR + 60_000;
    let before = views(&epochs(&arrivals, days, 13, &[]));
    let after = views(&epochs(&arrivals, days, 13, &[eleven; 7]));
    assert_eq!(before["forecast_refresh"], after["forecast_refresh"]);
    assert_eq!(before["reforecast"], after["reforecast"], "as of the latest refresh");
    let actual = |views: &BTreeMap<&str, Vec<Row>>, cut: i64| {
        let of = |row: &&Row| row[1] == Value::Text("ratio".into()) && int(&row[2]) == cut;
        int(&views["reforecast_accuracy"].iter().find(of).unwrap()[8])
    };
    assert_eq!(actual(&after, 9 * 60), actual(&before, 9 * 60) + 7);
    assert_eq!(actual(&after, 12 * 60), actual(&before, 12 * 60), "noon spoke of later ones alone");
}

/// The row is the event of the sources, field by field.
#[test]
fn a_refresh_is_the_event_of_the_sources() {
    let row = forecast_refresh::ForecastRefresh(Refresh {
        queue: "queue-billing-voice".into(),
        at: 1_778_855_700_000,
        trigger: "scheduled_15min".into(),
        method: Method::CalibratedSlope,
        intervals_updated: 38,
        volume_change_mpct: 4_200,
        confidence_ppm: 850_000,
    });
    let event: ForecastRefresh = row.event();
    assert_eq!(event.forecast_version, "intraday-20260515-1435");
    assert_eq!(row.event_id(), "evt-20260515-143500-f-queue-billing-voice");
    let key = EventKey(1);
    let envelope = Envelope { seq: 0, key, at: row.0.at, event: Event::ForecastRefresh(event) };
    let text = highwater_model::encode(&envelope, &row.event_id());
    for part in [
        "\"event_type\":\"ForecastRefresh\"",
        "\"event_id\":\"evt-20260515-143500-f-queue-billing-voice\"",
        "\"timestamp\":\"2026-05-15T14:35:00.000Z\"",
        "\"forecast_version\":\"intraday-20260515-1435\"",
        "\"queue_id\":\"queue-billing-voice\"",
        "\"intervals_updated\":38",
        "\"trigger\":\"scheduled_15min\"",
        "\"method\":\"calibrated_slope\"",
        "\"volume_change_pct\":4.2",
        "\"confidence\":0.85",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}
