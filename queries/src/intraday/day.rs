//! A queue's day: what was forecast of each interval, what came, and what was issued at each full hour.

use std::collections::BTreeMap;

use highwater_dataflow::{EventTime, Millis};
use serde::{Deserialize, Serialize};

use super::calendar::{Bounds, Calendar};
use super::{Errors, Piece};
use crate::forecast::{LOOK_BACK_WEEKS, Method, ordinary_mean};

/// What came in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Actual {
    pub(super) offered: i64,
    pub(super) completed: i64,
    pub(super) handle_ms: i64,
}

/// What all methods said at one full hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cut {
    pub(super) minute: i64,
    /// The first interval it spoke of.
    pub(super) first: usize,
    pub(super) base_milli: Vec<i64>,
    pub(super) factors: [f64; 5],
}

/// What was expected before the day began: volume and AHT (ms; 0 unknown) per interval.
pub(super) type Base = Vec<(f64, f64)>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    pub(super) date: i64,
    pub(super) start: EventTime,
    pub(super) end: EventTime,
    /// By interval, the slot it fills by the clock on the wall.
    pub(super) slots: Vec<u32>,
    pub(super) actual: Vec<Actual>,
    /// Forecasts by their start, until the day is settled.
    pub(super) pieces: BTreeMap<EventTime, Piece>,
    /// The forecast of a settled day that had one.
    pub(super) settled: Option<Base>,
    pub(super) cuts: Vec<Cut>,
    /// Intervals that were over at the latest refresh: their errors count.
    pub(super) closed: usize,
}

impl Day {
    pub(super) fn new(bounds: Bounds, calendar: &Calendar, size: Millis) -> Self {
        let starts = (bounds.start..bounds.end).step_by(size as usize);
        let slots: Vec<u32> = starts.map(|start| calendar.slot(start) as u32).collect();
        Day {
            date: bounds.date,
            start: bounds.start,
            end: bounds.end,
            actual: vec![Actual::default(); slots.len()],
            slots,
            pieces: BTreeMap::new(),
            settled: None,
            cuts: Vec::new(),
            closed: 0,
        }
    }

    pub(super) fn came(&self) -> bool {
        self.actual.iter().any(|actual| actual.offered > 0)
    }

    /// The published forecast, by interval; pieces of another length are divided in proportion.
    pub(super) fn forecast(&self, size: Millis) -> Option<Base> {
        if self.settled.is_some() {
            return self.settled.clone();
        }
        if self.pieces.is_empty() {
            return None;
        }
        let mut sums = vec![(0.0, 0.0); self.slots.len()];
        for piece in self.pieces.values() {
            let length = piece.end - piece.start;
            let mut at = piece.start.max(self.start);
            while at < piece.end.min(self.end) {
                let n = (at - self.start) / size;
                let end = (self.start + (n + 1) * size).min(piece.end);
                let share = (end - at) as f64 / length as f64;
                let volume = piece.volume_milli.max(0) as f64 / 1000.0 * share;
                let (sum, weighted) = &mut sums[n as usize];
                *sum += volume;
                *weighted += volume * piece.aht_ms.max(0) as f64;
                at = end;
            }
        }
        let mean = |(volume, weighted): (f64, f64)| {
            (volume, if volume > 0.0 { weighted / volume } else { 0.0 })
        };
        Some(sums.into_iter().map(mean).collect())
    }

    /// Values per interval as means per slot of the wall's clock.
    pub(super) fn by_slot(&self, slots: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); slots];
        for (n, slot) in self.slots.iter().enumerate() {
            let (sum, count) = &mut sums[*slot as usize];
            *sum += value(n);
            *count += 1.0;
        }
        sums.into_iter().map(|(sum, count)| if count > 0.0 { sum / count } else { 0.0 }).collect()
    }

    /// Adds (or with -1 takes back) the errors of what was issued of interval `n` at each hour before it.
    pub(super) fn judge(
        &self,
        n: usize,
        actual: Actual,
        sign: i64,
        mut add: impl FnMut(i64, Method, Errors),
    ) {
        for cut in self.cuts.iter().filter(|cut| cut.first <= n) {
            let base = cut.base_milli[n];
            let actual_milli = actual.offered * 1000;
            if base <= 0 && actual_milli <= 0 {
                continue;
            }
            for method in Method::ALL {
                let issued = (base as f64 * cut.factors[method as usize]).round() as i64;
                let error = issued - actual_milli;
                let errors = Errors {
                    intervals: sign,
                    absolute_milli: sign * error.abs(),
                    error_milli: sign * error,
                    actual_milli: sign * actual_milli,
                };
                add(cut.minute, method, errors);
            }
        }
    }
}

/// The base of `day`: its forecast, else the mean of the same weekday's last days.
pub(super) fn base(
    day: &Day,
    by_date: &BTreeMap<i64, &Day>,
    slots: usize,
    size: Millis,
) -> Option<Base> {
    if let Some(forecast) = day.forecast(size) {
        return Some(forecast);
    }
    let weeks = 1..=LOOK_BACK_WEEKS as i64;
    let before: Vec<&Day> = weeks
        .filter_map(|week| by_date.get(&(day.date - 7 * week)).copied())
        .filter(|day| day.came())
        .collect();
    let volumes: Vec<Vec<f64>> =
        before.iter().map(|day| day.by_slot(slots, |n| day.actual[n].offered as f64)).collect();
    let newest_first: Vec<&[f64]> = volumes.iter().map(Vec::as_slice).collect();
    let volume = ordinary_mean(&newest_first)?;
    let handled = handle_times(&before, slots);
    let of_slot = |slot: &u32| (volume[*slot as usize], handled[*slot as usize]);
    Some(day.slots.iter().map(of_slot).collect())
}

/// Mean handle time per slot, ms; the mean of all slots where nothing was completed, 0 where nothing ever was.
fn handle_times(days: &[&Day], slots: usize) -> Vec<f64> {
    let mut sums = vec![(0, 0); slots];
    for day in days {
        for (slot, actual) in day.slots.iter().zip(&day.actual) {
            let (handle_ms, completed) = &mut sums[*slot as usize];
            *handle_ms += actual.handle_ms;
            *completed += actual.completed;
        }
    }
    let mean = |(handle_ms, completed): (i64, i64)| {
        (completed > 0).then(|| handle_ms as f64 / completed as f64)
    };
    let all = sums.iter().fold((0, 0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
    let all = mean(all).unwrap_or(0.0);
    sums.into_iter().map(|sum| mean(sum).unwrap_or(all)).collect()
}
