//! The simple methods: ratio, Gamma-Poisson and the exponentially smoothed ratio.

use super::{Dispersion, Today};

/// Weight of the latest slot in the smoothed ratio.
const ALPHA: f64 = 0.3;

/// `Y / M`: came over expected, so far; 1 where nothing was expected.
pub fn ratio(today: Today<'_>) -> f64 {
    let (expected, came) = today.so_far();
    if expected > 0.0 { came / expected } else { 1.0 }
}

/// Gamma-Poisson with over-dispersion: `(κ + Y/φ) / (κ + M/φ)`.
///
/// The day's level θ has a Gamma prior of mean 1 and shape κ; slots vary φ times as much as Poisson's. Source: Brown,
/// Zhao, Shen and Mandelbaum, Multifactor Poisson and Gamma-Poisson models for call center arrival times (2004).
pub fn gamma_poisson(today: Today<'_>, dispersion: &Dispersion) -> f64 {
    let (expected, came) = today.so_far();
    let kappa = dispersion.kappa();
    (kappa + came / dispersion.phi) / (kappa + expected / dispersion.phi)
}

/// `r ← 0.7 r + 0.3 y/x` over the slots so far, from 1. Slots of less than one expected contact are taken together.
pub fn smoothed_ratio(today: Today<'_>) -> f64 {
    let mut smoothed = 1.0;
    let (mut expected, mut came) = (0.0, 0.0);
    let mut take = |more_expected: f64, more_came: f64| {
        if more_expected <= 0.0 {
            return;
        }
        expected += more_expected;
        came += more_came;
        if expected >= 1.0 {
            smoothed = (1.0 - ALPHA) * smoothed + ALPHA * came / expected;
            (expected, came) = (0.0, 0.0);
        }
    };
    let cut = today.cut.min(today.base.len());
    for slot in 0..cut {
        take(today.base[slot], today.actual[slot]);
    }
    if today.elapsed > 0.0 && cut < today.base.len() {
        take(today.base[cut] * today.elapsed, today.actual[cut]);
    }
    smoothed
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers and small fractions")]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_by_hand() {
        let (base, actual) = ([10.0, 20.0, 30.0, 40.0], [15.0, 15.0, 0.0, 0.0]);
        let today = Today { base: &base, actual: &actual, cut: 2, elapsed: 0.0 };
        assert_eq!(ratio(today), 1.0);
        let dispersion = Dispersion { phi: 2.0, level_variance: 0.1 };
        assert_eq!(gamma_poisson(today, &dispersion), 1.0);
        // 0.7 + 0.3 * 1.5 = 1.15; 0.7 * 1.15 + 0.3 * 0.75 = 1.03.
        assert!((smoothed_ratio(today) - 1.03).abs() < 1e-12);

        let busy = Today { actual: &[20.0, 40.0, 0.0, 0.0], ..today };
        assert_eq!(ratio(busy), 2.0);
        // (10 + 30) / (10 + 15).
        assert!((gamma_poisson(busy, &dispersion) - 1.6).abs() < 1e-12);
    }

    #[test]
    fn the_slot_under_way_counts_by_its_share() {
        let (base, actual) = ([10.0, 20.0], [10.0, 20.0]);
        let today = Today { base: &base, actual: &actual, cut: 1, elapsed: 0.5 };
        assert_eq!(ratio(today), 1.5);
    }
}
