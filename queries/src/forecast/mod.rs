//! Intraday forecasting and staffing as pure functions: no dataflow, no I/O, no clock.
//!
//! A day is a row of equal slots. `base` is what was expected of each slot before the day began, `actual` what came.
//! After `cut` slots every method answers with one number: by which factor the rest of the day differs from its base.
//! `docs/reforecast.md` has the formulas and how well they do on a real year.

mod aht;
mod base;
mod calibrated;
mod counts;
mod dispersion;
pub mod erlang;
pub mod judge;
mod methods;

pub use aht::{HandleTime, handle_time_factor};
pub use base::{BASE_WEEKS, LOOK_BACK_WEEKS, ordinary_mean};
pub use calibrated::{Calibrated, DAYS_MIN, calibrated};
pub use counts::{Counts, CountsError, read};
pub use dispersion::Dispersion;
pub use methods::{gamma_poisson, ratio, smoothed_ratio};

use serde::{Deserialize, Serialize};

/// How the rest of a day is forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Method {
    /// The base as it is.
    Static,
    /// The base times what came so far over what was expected so far.
    Ratio,
    /// The ratio, trusted as far as its noise and the usual difference between days allow.
    GammaPoisson,
    /// The ratio of the slots, smoothed exponentially with weight 0.3 on the latest.
    SmoothedRatio,
    /// What past days with such a morning became, regularised towards Gamma-Poisson and static: the default.
    CalibratedSlope,
}

impl Method {
    pub const ALL: [Method; 5] = [
        Method::Static,
        Method::Ratio,
        Method::GammaPoisson,
        Method::SmoothedRatio,
        Method::CalibratedSlope,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Method::Static => "static",
            Method::Ratio => "ratio",
            Method::GammaPoisson => "gamma_poisson",
            Method::SmoothedRatio => "smoothed_ratio",
            Method::CalibratedSlope => "calibrated_slope",
        }
    }
}

/// A past day: what had been expected of each slot, and what came.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    pub base: Vec<f64>,
    pub actual: Vec<f64>,
}

/// A day under way: its base, and what came in the slots that are over.
#[derive(Clone, Copy, Debug)]
pub struct Today<'a> {
    pub base: &'a [f64],
    /// Of the slots before `cut`; later ones are not looked at.
    pub actual: &'a [f64],
    pub cut: usize,
    /// How much of slot `cut` has passed, 0 to 1; its `actual` counts if that is more than 0.
    pub elapsed: f64,
}

impl Today<'_> {
    /// Expected and come so far, the slot under way by its share.
    pub fn so_far(&self) -> (f64, f64) {
        sums(self.base, self.actual, 0, self.cut, self.elapsed)
    }
}

/// Sums of `base` and `actual` over the slots `[from, cut)`, and `elapsed` of slot `cut`.
///
/// Contacts in slots of which nothing was expected are left out, here and wherever the two are compared: out of hours, or
/// where a forecast covers part of a day, they say nothing about the level of what was expected.
fn sums(base: &[f64], actual: &[f64], from: usize, cut: usize, elapsed: f64) -> (f64, f64) {
    let cut = cut.min(base.len());
    let from = from.min(cut);
    let mut expected: f64 = base[from..cut].iter().sum();
    let mut came = expected_came(&base[from..cut], &actual[from..cut]);
    if elapsed > 0.0 && base.get(cut).is_some_and(|base| *base > 0.0) {
        expected += base[cut] * elapsed;
        came += actual[cut];
    }
    (expected, came)
}

/// What came in the slots of which anything was expected.
fn expected_came(base: &[f64], actual: &[f64]) -> f64 {
    base.iter().zip(actual).filter(|(base, _)| **base > 0.0).map(|(_, actual)| actual).sum()
}

/// The factors of all methods for the rest of one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    pub by_method: [f64; 5],
    /// What is issued: the calibrated slope, or Gamma-Poisson while there are too few past days to learn from.
    pub default: Method,
    /// Standard deviation of the rest of the day around the default's forecast, as a share of it.
    pub spread: f64,
}

impl Factors {
    pub fn of(&self, method: Method) -> f64 {
        self.by_method[method as usize]
    }

    /// The probability that the rest of the day lies within 10 % of the forecast.
    pub fn confidence(&self) -> f64 {
        erf(0.1 / (self.spread.max(1e-9) * std::f64::consts::SQRT_2))
    }
}

/// All methods at once. `past` is in order, the oldest first; `hour` is how many slots make an hour.
pub fn factors(past: &[Past], today: Today<'_>, hour: f64) -> Factors {
    let dispersion = Dispersion::fit(past);
    let calibrated = calibrated(past, today, &dispersion, hour);
    let gamma_poisson = gamma_poisson(today, &dispersion);
    let enough = calibrated.days >= DAYS_MIN;
    Factors {
        by_method: [
            1.0,
            ratio(today),
            gamma_poisson,
            smoothed_ratio(today),
            if enough { calibrated.factor } else { gamma_poisson },
        ],
        default: if enough { Method::CalibratedSlope } else { Method::GammaPoisson },
        spread: if enough { calibrated.spread } else { dispersion.spread(today) },
    }
}

/// The error function of what is not negative, by its series of positive terms: `2/√π e^(-x²) Σ (2x²)ⁿ x / (2n + 1)!!`.
fn erf(x: f64) -> f64 {
    if x > 6.0 {
        return 1.0;
    }
    let (mut term, mut sum, mut n) = (x, 0.0, 0.0);
    while term > sum * 1e-17 {
        sum += term;
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// The median; 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Standard deviation by the median distance from the median, which strange days do not move.
fn robust_deviation(values: &[f64]) -> f64 {
    let middle = median(&mut values.to_vec());
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    1.4826 * median(&mut distances)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers and small fractions")]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_at_known_points() {
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (3.0, 0.999_977_909_5)]
        {
            assert!((erf(x) - expected).abs() < 1e-10, "erf({x}) = {}", erf(x));
        }
    }

    #[test]
    fn without_a_past_the_default_is_gamma_poisson() {
        let (base, actual) = (vec![10.0; 8], vec![20.0; 8]);
        let today = Today { base: &base, actual: &actual, cut: 4, elapsed: 0.0 };
        let factors = factors(&[], today, 4.0);
        assert_eq!(factors.default, Method::GammaPoisson);
        assert_eq!(factors.of(Method::Static), 1.0);
        assert_eq!(factors.of(Method::Ratio), 2.0);
        let middle = factors.of(Method::GammaPoisson);
        assert!(1.0 < middle && middle < 2.0, "{middle}");
        assert_eq!(factors.of(Method::CalibratedSlope), middle);
        assert!((0.0..=1.0).contains(&factors.confidence()));
    }

    #[test]
    fn contacts_of_which_none_was_expected_do_not_count() {
        let past: Vec<Past> = (0..30)
            .map(|n| {
                let level = [0.9, 1.1, 1.0][n % 3];
                let actual = [0.0, 0.0, 40.0, 40.0, 40.0, 40.0, 40.0, 0.0].map(|n| n * level);
                Past {
                    base: vec![0.0, 0.0, 40.0, 40.0, 40.0, 40.0, 40.0, 0.0],
                    actual: actual.to_vec(),
                }
            })
            .collect();
        let base = &past[0].base;
        let quiet = [0.0, 0.0, 50.0, 50.0, 0.0, 0.0, 0.0, 0.0];
        let mut strays = quiet;
        strays[..2].fill(30.0);
        let mut strange = past.clone();
        for day in &mut strange {
            day.actual[1] = 80.0;
            day.actual[7] = 80.0;
        }
        let of = |past: &[Past], actual: &[f64]| {
            factors(past, Today { base, actual, cut: 4, elapsed: 0.0 }, 1.0)
        };
        assert_eq!(of(&past, &quiet).of(Method::Ratio), 1.25);
        assert_eq!(of(&past, &quiet), of(&past, &strays));
        assert_eq!(of(&past, &quiet), of(&strange, &strays));
    }

    #[test]
    fn nothing_so_far_and_nothing_expected_say_nothing() {
        for cut in [0, 4] {
            let today = Today { base: &[0.0; 8], actual: &[0.0; 8], cut, elapsed: 0.0 };
            let factors = factors(&[], today, 4.0);
            assert_eq!(factors.by_method, [1.0; 5], "cut {cut}");
        }
    }
}
