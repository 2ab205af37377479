//! Reforecast: the day of each queue, told from all contacts and forecasts whenever the watermark reaches a quarter's end,
//! and when a surge is seen that was not seen before.
//!
//! Only what was issued is carried over: it was said with what was known then. No day here has a past to learn from, so
//! the default is Gamma-Poisson with what is assumed of an unknown queue.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{BEGINNING, FOREVER};
use highwater_model::{Envelope, Event, Opening, QueueId};
use highwater_queries::Settings;
use highwater_queries::settings::ClosedSide;

use super::alarms::Stretch;
use super::contacts::Outcome;
use super::staffing;

pub(crate) const METHODS: [&str; 5] =
    ["static", "ratio", "gamma_poisson", "smoothed_ratio", "calibrated_slope"];

/// All queues' days.
pub(crate) struct Days {
    size: i64,
    right: i64,
    queues: BTreeMap<QueueId, Queue>,
}

#[derive(Default)]
pub(crate) struct Queue {
    heard: bool,
    told_to: Option<i64>,
    offset: i64,
    pub(crate) shown: Vec<Shown>,
    pub(crate) refreshes: Vec<Refresh>,
    /// Beginnings of surges that were seen, and instants at which they refreshed the forecast.
    surged: BTreeSet<i64>,
    hours: Vec<Hour>,
    /// Errors that nothing corrects any more: the day they belong to was cut anew.
    settled: BTreeMap<(i64, usize), [i64; 4]>,
}

/// A row of the day.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) start: i64,
    pub(crate) forecast: f64,
    pub(crate) aht: Option<f64>,
    pub(crate) actual: Option<i64>,
    pub(crate) actual_aht: Option<f64>,
    pub(crate) now: Option<f64>,
    pub(crate) now_aht: Option<f64>,
    pub(crate) at: i64,
}

pub(crate) struct Refresh {
    pub(crate) at: i64,
    pub(crate) updated: i64,
    pub(crate) factor: f64,
    pub(crate) confidence: f64,
    pub(crate) surge: bool,
}

/// What was said at a full hour.
struct Hour {
    minute: i64,
    day: i64,
    /// Thousandths expected by the start of each interval that was still to come.
    expected: BTreeMap<i64, i64>,
    factors: [f64; 5],
    /// Sums of errors per method as of the latest epoch.
    errors: [[i64; 4]; 5],
}

/// What is known of a queue's intervals.
#[derive(Default)]
struct Known {
    offered: BTreeMap<i64, i64>,
    completed: BTreeMap<i64, (i64, i64)>,
    /// Start, end, contacts and handle time.
    forecasts: Vec<(i64, i64, f64, f64)>,
}

const DAY: i64 = 86_400_000;

impl Days {
    pub(crate) fn new(settings: &Settings) -> Self {
        let right = i64::from(settings.closed == ClosedSide::Right);
        Days { size: settings.interval_s * 1000, right, queues: BTreeMap::new() }
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = (&QueueId, &Queue)> {
        self.queues.iter()
    }

    pub(crate) fn size(&self) -> i64 {
        self.size
    }

    /// After an epoch.
    pub(crate) fn follow(
        &mut self,
        known: &[Envelope],
        outcomes: &[(QueueId, i64, Outcome)],
        surges: &[Stretch],
        watermark: i64,
    ) {
        let mut all: BTreeMap<QueueId, Known> = BTreeMap::new();
        let size = self.size;
        for (queue, at, outcome) in outcomes {
            let start = (at - self.right).div_euclid(size) * size;
            match outcome {
                Outcome::Arrived { offered: true, .. } => {
                    *all.entry(queue.clone()).or_default().offered.entry(start).or_default() += 1;
                }
                Outcome::Completed { handle } => {
                    let of = all.entry(queue.clone()).or_default().completed.entry(start);
                    let (n, sum) = of.or_default();
                    *n += 1;
                    *sum += handle;
                }
                _ => {}
            }
        }
        let mut best: BTreeMap<(QueueId, i64), (i64, i64, i64, i64, i64)> = BTreeMap::new();
        for envelope in known {
            if let Event::ForecastUpdate(f) = &envelope.event {
                let this = (f.version, envelope.at, f.interval_end_at, f.volume_milli, f.aht_ms);
                let held = best.entry((f.queue.clone(), f.interval_start_at)).or_insert(this);
                *held = this.max(*held);
            }
        }
        for ((queue, start), (_, _, end, milli, aht)) in best {
            let forecast = (start, end, milli as f64 / 1000.0, aht as f64);
            all.entry(queue).or_default().forecasts.push(forecast);
        }
        for queue in all.keys() {
            self.queues.entry(queue.clone()).or_default().heard = true;
        }
        for (name, queue) in &mut self.queues {
            let nothing = Known::default();
            let intervals = all.get(name).unwrap_or(&nothing);
            queue.turn_clock(offset(known, name));
            if queue.heard && watermark != BEGINNING && watermark != FOREVER {
                queue.advance(intervals, size, watermark - self.right);
                let surges = surges.iter().filter(|surge| surge.scope == name.as_str());
                let mut began: Vec<i64> = surges.map(|surge| surge.from).collect();
                began.sort_unstable();
                queue.surge(intervals, size, &began);
            }
            queue.count_errors(intervals, size);
        }
    }

    pub(crate) fn rows(&self, known: &[Envelope]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, queue) in &self.queues {
            let (target, threshold) = staffing::promise(known, name);
            for shown in &queue.shown {
                let load = shown.load(self.size);
                let agents = load.map(|load| staffing::agents_c(load, target, threshold));
                let whole =
                    |x: Option<f64>| x.map_or(Value::Null, |x| Value::Int(x.round() as i64));
                rows.push(vec![
                    Value::Text(name.0.clone()),
                    Value::Int(shown.start),
                    Value::Int(shown.start + self.size),
                    Value::Real(thousandths(shown.forecast)),
                    whole(shown.aht),
                    shown.actual.map_or(Value::Null, Value::Int),
                    whole(shown.actual_aht),
                    shown.now.map_or(Value::Null, |x| Value::Real(thousandths(x))),
                    whole(shown.now_aht),
                    agents.map_or(Value::Null, Value::Int),
                    Value::Text("gamma_poisson".into()),
                    Value::Int(shown.at),
                ]);
            }
        }
        rows
    }
}

impl Shown {
    /// Erlangs, and seconds a contact takes.
    pub(crate) fn load(&self, size: i64) -> Option<(f64, f64)> {
        let aht = self.now_aht.or(self.aht)?.round() / 1000.0;
        Some((self.volume() / (size as f64 / 1000.0) * aht, aht))
    }

    pub(crate) fn volume(&self) -> f64 {
        thousandths(self.now.unwrap_or(self.forecast))
    }
}

pub(crate) fn thousandths(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

impl Queue {
    /// Day and hour on another clock: a day that begins elsewhere loses what was issued of it.
    fn turn_clock(&mut self, offset: i64) {
        if offset == self.offset {
            return;
        }
        self.offset = offset;
        for hour in std::mem::take(&mut self.hours) {
            for (method, errors) in hour.errors.iter().enumerate() {
                let sum = self.settled.entry((hour.minute, method)).or_default();
                sum.iter_mut().zip(errors).for_each(|(sum, more)| *sum += more);
            }
        }
    }

    fn advance(&mut self, known: &Known, size: i64, reach: i64) {
        let from = self.told_to;
        let mut days: Vec<i64> = known
            .forecasts
            .iter()
            .map(|(start, ..)| self.day(start.div_euclid(size) * size))
            .collect();
        days.dedup();
        for day in days {
            let base = base(known, day, size);
            for n in 0..=DAY / size {
                let at = day + n * size;
                if from.is_none_or(|from| from < at) && at <= reach {
                    let said = self.speak(known, &base, size, day, at, false);
                    self.note(known, &base, size, day, n as usize, said);
                }
            }
        }
        self.told_to = Some(from.map_or(reach, |from| from.max(reach)));
    }

    fn day(&self, at: i64) -> i64 {
        (at + self.offset).div_euclid(DAY) * DAY - self.offset
    }

    /// What is ahead is forecast again once for all surges that are seen now, the interval under way by its share.
    fn surge(&mut self, known: &Known, size: i64, began: &[i64]) {
        let now = self.told_to.unwrap();
        let days = known.forecasts.iter().map(|(start, ..)| start.div_euclid(size) * size);
        for began in began {
            assert!(*began <= now + 1, "a surge is seen when the watermark is past it");
            let at = now.max(*began);
            let fresh = self.surged.insert(*began);
            if fresh && (at == *began || self.surged.insert(at)) {
                let day = self.day(at.div_euclid(size) * size);
                if days.clone().any(|start| self.day(start) == day) {
                    self.speak(known, &base(known, day, size), size, day, at, true);
                }
            }
        }
    }

    /// Forecasts the rest of the day: the share of expected contacts that is to come.
    fn speak(
        &mut self,
        known: &Known,
        base: &[(f64, f64)],
        size: i64,
        day: i64,
        at: i64,
        surge: bool,
    ) -> f64 {
        let n = ((at - day) / size) as usize;
        let came = |nth: usize| known.offered.get(&(day + nth as i64 * size)).copied().unwrap_or(0);
        // Of the interval under way: what had been due, and what came.
        let elapsed = ((at - day) % size) as f64 / size as f64;
        let due_now = if elapsed > 0.0 { base[n].0 * elapsed } else { 0.0 };
        let came_now = if elapsed > 0.0 { came(n) as f64 } else { 0.0 };
        let expected: f64 = base[..n].iter().map(|(volume, _)| volume).sum::<f64>() + due_now;
        // Where none was expected, those that came say nothing of the level.
        let compared = |nth: &usize| base[*nth].0 > 0.0;
        let actual: f64 = (0..n).filter(compared).map(|nth| came(nth) as f64).sum::<f64>()
            + if due_now > 0.0 { came_now } else { 0.0 };
        let rest: f64 = base[n..].iter().map(|(volume, _)| volume).sum::<f64>() - due_now;
        // Days differ by 12 %; intervals vary three and a half times as much as Poisson's.
        let (kappa, phi) = (1.0 / (0.12 * 0.12), 3.5);
        let factor = (kappa + actual / phi) / (kappa + expected / phi);
        let unknown = 0.12 * 0.12 * kappa / (kappa + expected / phi);
        let spread = (unknown + phi / rest.max(1.0)).sqrt();
        let updated = base[n..].iter().filter(|(volume, _)| *volume > 0.0).count() as i64;
        if updated > 0 {
            let confidence = within(0.1 / spread);
            self.refreshes.push(Refresh { at, updated, factor, confidence, surge });
        }
        let (mut done, mut took, mut due) = (0.0, 0.0, 0.0);
        for (nth, (_, aht)) in base[..n].iter().enumerate() {
            let (count, sum) =
                known.completed.get(&(day + nth as i64 * size)).copied().unwrap_or((0, 0));
            if *aht > 0.0 {
                done += count as f64;
                took += sum as f64;
                due += aht * count as f64;
            }
        }
        let slower = if done > 0.0 && due > 0.0 {
            (400.0 * due / done + took) / (400.0 * due / done + due)
        } else {
            1.0
        };
        let before = std::mem::take(&mut self.shown);
        for (nth, (volume, aht)) in base.iter().enumerate() {
            let (start, over) = (day + nth as i64 * size, nth < n);
            if *volume == 0.0 && !(over && came(nth) > 0) {
                continue;
            }
            let aht = (*aht > 0.0).then_some(*aht);
            let was = before.iter().find(|shown| shown.start == start);
            let (completed, sum) = known.completed.get(&start).copied().unwrap_or((0, 0));
            self.shown.push(Shown {
                start,
                forecast: *volume,
                aht,
                actual: over.then(|| came(nth)),
                actual_aht: (over && completed > 0).then(|| sum as f64 / completed as f64),
                now: match nth {
                    _ if over => was.and_then(|was| was.now),
                    _ if nth == n => Some(came_now + (volume - due_now) * factor),
                    _ => Some(volume * factor),
                },
                now_aht: if over {
                    was.and_then(|was| was.now_aht)
                } else {
                    aht.map(|aht| aht * slower)
                },
                at,
            });
        }
        factor
    }

    /// What is said at a full hour is noted, when the first `n` intervals are over.
    fn note(
        &mut self,
        known: &Known,
        base: &[(f64, f64)],
        size: i64,
        day: i64,
        n: usize,
        factor: f64,
    ) {
        let minute = (day + n as i64 * size + self.offset).rem_euclid(DAY) / 60_000;
        if minute % 60 == 0 && n < base.len() {
            let came =
                |nth: usize| known.offered.get(&(day + nth as i64 * size)).copied().unwrap_or(0);
            let expected: f64 = base[..n].iter().map(|(volume, _)| volume).sum();
            let compared = || (0..n).filter(|nth| base[*nth].0 > 0.0);
            let actual: f64 = compared().map(|nth| came(nth) as f64).sum();
            let ratio = if expected > 0.0 { actual / expected } else { 1.0 };
            let smooth = smooth(compared().map(|nth| (base[nth].0, came(nth) as f64)));
            let ahead = base.iter().enumerate().skip(n);
            let milli = |(nth, (volume, _)): (usize, &(f64, f64))| {
                (day + nth as i64 * size, (volume * 1000.0).round() as i64)
            };
            self.hours.push(Hour {
                minute,
                day,
                expected: ahead.map(milli).collect(),
                factors: [1.0, ratio, factor, smooth, factor],
                errors: [[0; 4]; 5],
            });
        }
    }

    /// Errors of every interval that is over, by what is known of it now.
    fn count_errors(&mut self, known: &Known, size: i64) {
        let told_to = self.told_to.unwrap_or(BEGINNING);
        for hour in &mut self.hours {
            hour.errors = [[0; 4]; 5];
            let over = hour.expected.iter().filter(|(start, _)| *start + size <= told_to);
            for (start, expected) in over {
                assert!(hour.day <= *start, "an hour speaks of its own day");
                let actual = known.offered.get(start).copied().unwrap_or(0) * 1000;
                if *expected == 0 && actual == 0 {
                    continue;
                }
                for (factor, errors) in hour.factors.iter().zip(&mut hour.errors) {
                    let error = (*expected as f64 * factor).round() as i64 - actual;
                    errors[0] += 1;
                    errors[1] += error.abs();
                    errors[2] += error;
                    errors[3] += actual;
                }
            }
        }
    }

    /// Sums per hour of the day and method: intervals, absolute error, error, actual.
    pub(crate) fn errors(&self) -> BTreeMap<(i64, usize), [i64; 4]> {
        let mut sums = self.settled.clone();
        for hour in &self.hours {
            for (method, errors) in hour.errors.iter().enumerate() {
                let sum = sums.entry((hour.minute, method)).or_default();
                sum.iter_mut().zip(errors).for_each(|(sum, more)| *sum += more);
            }
        }
        sums.retain(|_, sum| sum[0] > 0);
        sums
    }
}

/// Contacts and handle time expected of each interval of a day.
fn base(known: &Known, day: i64, size: i64) -> Vec<(f64, f64)> {
    let interval = |n: i64| {
        let (from, to) = (day + n * size, day + (n + 1) * size);
        let (mut volume, mut weighted) = (0.0, 0.0);
        for (start, end, contacts, aht) in &known.forecasts {
            let shared = (to.min(*end) - from.max(*start)).max(0);
            let part = contacts * (shared as f64 / (end - start) as f64);
            volume += part;
            weighted += part * aht;
        }
        (volume, if volume > 0.0 { weighted / volume } else { 0.0 })
    };
    (0..DAY / size).map(interval).collect()
}

/// Each interval's ratio weighs 0.3; less than one expected contact waits for the next interval.
fn smooth(intervals: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut value, mut expected, mut came) = (1.0, 0.0, 0.0);
    for (more_expected, more_came) in intervals {
        expected += more_expected;
        came += more_came;
        if expected >= 1.0 {
            value = 0.7 * value + 0.3 * (came / expected);
            expected = 0.0;
            came = 0.0;
        }
    }
    value
}

/// Probability that a normal variable is within `z` deviations, by Simpson's rule.
fn within(z: f64) -> f64 {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let z = z.min(9.0);
    let step = z / 2000.0;
    let inner: f64 =
        (1..2000).map(|n| if n % 2 == 1 { 4.0 } else { 2.0 } * density(f64::from(n) * step)).sum();
    2.0 * step / 3.0 * (density(0.0) + inner + density(z))
}

/// How far the queue's clock is ahead of UTC, by its latest profile; the zones of these tests are of a fixed offset.
fn offset(known: &[Envelope], name: &QueueId) -> i64 {
    let mut latest: Option<(i64, Option<&Opening>)> = None;
    for envelope in known {
        if let Event::QueueProfile(profile) = &envelope.event
            && profile.queue == *name
        {
            latest = latest.max(Some((envelope.at, profile.opening.as_ref())));
        }
    }
    match latest.and_then(|(_, opening)| opening).map(|opening| opening.time_zone.as_str()) {
        None | Some("UTC") => 0,
        Some("Etc/GMT-2") => 2 * 3_600_000,
        Some("Etc/GMT+5") => -5 * 3_600_000,
        Some(other) => panic!("the oracle does not know the zone {other}"),
    }
}
