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
fn sums(base: &[f64], actual: &[f64], from: usize, cut: usize, elapsed: f64) -> (f64, f64) {
    let cut = cut.min(base.len());
    let from = from.min(cut);
    let mut expected: f64 = base[from..cut].iter().sum();
    let mut came: f64 = actual[from..cut].iter().sum();
    if elapsed > 0.0 && cut < base.len() {
        expected += base[cut] * elapsed;
        came += actual[cut];
    }
    (expected, came)
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

/// The error function, to 1.2e-7 (Numerical Recipes' rational Chebyshev fit).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let series = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let sum = series.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let complement = t * (-x * x + sum).exp();
    if x >= 0.0 { 1.0 - complement } else { complement - 1.0 }
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
            [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3)]
        {
            assert!((erf(x) - expected).abs() < 2e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + expected).abs() < 2e-7);
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
    fn nothing_so_far_and_nothing_expected_say_nothing() {
        for cut in [0, 4] {
            let today = Today { base: &[0.0; 8], actual: &[0.0; 8], cut, elapsed: 0.0 };
            let factors = factors(&[], today, 4.0);
            assert_eq!(factors.by_method, [1.0; 5], "cut {cut}");
        }
    }
}
