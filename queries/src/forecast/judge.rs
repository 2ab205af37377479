//! Judging the methods on past days: each day is forecast from the days before it, and held against what came.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::{LOOK_BACK_WEEKS, Method, Past, Today, factors, ordinary_mean};

/// Errors of one method at one cut, summed over days and slots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Σ|e| over slots, e being forecast less actual.
    pub absolute: f64,
    /// Σ|Σe| over days: errors of the rest of each day as a whole.
    pub absolute_of_days: f64,
    /// Σe.
    pub error: f64,
    /// Σa.
    pub actual: f64,
    pub days: usize,
}

impl Score {
    /// Σ|e| / Σa over slots, percent.
    pub fn wape_pct(&self) -> f64 {
        100.0 * self.absolute / self.actual
    }

    /// Σ|e| / Σa, the rest of each day taken as one number, percent.
    pub fn day_wape_pct(&self) -> f64 {
        100.0 * self.absolute_of_days / self.actual
    }

    /// Σe / Σa, percent; positive: too much was forecast.
    pub fn bias_pct(&self) -> f64 {
        100.0 * self.error / self.actual
    }
}

/// Scores by cut (minutes after midnight) and method.
pub type Scores = BTreeMap<(usize, Method), Score>;

/// Forecasts the rest of every day for which `judged` holds, at each of `cuts_min`, knowing only what came before.
///
/// Days without a base or without any contact are left out: there is nothing to forecast from, or nothing to forecast.
pub fn judge(
    days: &BTreeMap<Date, Vec<f64>>,
    slot_min: usize,
    cuts_min: &[usize],
    judged: impl Fn(Date) -> bool,
) -> Scores {
    let mut scores = Scores::new();
    let mut past: Vec<Past> = Vec::new();
    for (date, actual) in days {
        let Some(base) = base(days, *date) else { continue };
        if judged(*date) && actual.iter().sum::<f64>() > 0.0 {
            for &minute in cuts_min {
                let cut = minute / slot_min;
                let today = Today { base: &base, actual, cut, elapsed: 0.0 };
                let factors = factors(&past, today, 60.0 / slot_min as f64);
                for method in Method::ALL {
                    let score = scores.entry((minute, method)).or_default();
                    score.add(&base[cut..], &actual[cut..], factors.of(method));
                }
            }
        }
        if actual.iter().sum::<f64>() > 0.0 {
            past.push(Past { base, actual: actual.clone() });
        }
    }
    scores
}

/// The mean of the last same weekdays; see [`ordinary_mean`].
fn base(days: &BTreeMap<Date, Vec<f64>>, date: Date) -> Option<Vec<f64>> {
    let weeks = 1..=LOOK_BACK_WEEKS as i64;
    let before = weeks.filter_map(|week| date.checked_sub(week.weeks()).ok());
    let newest_first: Vec<&[f64]> =
        before.filter_map(|date| days.get(&date)).map(Vec::as_slice).collect();
    ordinary_mean(&newest_first)
}

impl Score {
    fn add(&mut self, base: &[f64], actual: &[f64], factor: f64) {
        let mut of_day = 0.0;
        for (base, actual) in base.iter().zip(actual) {
            let error = base * factor - actual;
            self.absolute += error.abs();
            self.actual += actual;
            of_day += error;
        }
        self.error += of_day;
        self.absolute_of_days += of_day.abs();
        self.days += 1;
    }
}
