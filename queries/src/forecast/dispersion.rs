//! Dispersion: how much days differ from their base, and slots from their day.

use super::{Past, Today, expected_came, median, robust_deviation};

/// Days looked back on for the noise of slots.
const NOISE_DAYS: usize = 60;
/// Days looked back on for the level of days.
pub(super) const LEVEL_DAYS: usize = 90;
/// A site of which nothing is known: days differ by 12 %, slots vary three and a half times as much as Poisson's (two banks:
/// 3.6 and 4.2, in quarters of an hour). Less would believe its first mornings too much.
const LEVEL_PRIOR: f64 = 0.12;
const NOISE_PRIOR: f64 = 3.5;
/// How many days of evidence outweigh what is assumed of an unknown site.
const LEVEL_PRIOR_DAYS: f64 = 10.0;
const NOISE_PRIOR_DAYS: f64 = 5.0;

/// Two numbers that say how far to trust a morning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispersion {
    /// φ, variance over mean of a slot around its day's own level; 1 is Poisson, real queues have more.
    pub phi: f64,
    /// Variance of the days' levels, actual over base: `CV²`, of which Gamma-Poisson's κ is the inverse.
    pub level_variance: f64,
}

impl Dispersion {
    /// Robust to strange days: medians throughout, and drawn to usual values while days are few.
    pub fn fit(past: &[Past]) -> Self {
        let mut noise: Vec<f64> = past.iter().rev().take(NOISE_DAYS).filter_map(noise).collect();
        let n = noise.len() as f64;
        let phi =
            (n * median(&mut noise) + NOISE_PRIOR_DAYS * NOISE_PRIOR) / (n + NOISE_PRIOR_DAYS);
        let recent = past.iter().rev().take(LEVEL_DAYS);
        let levels: Vec<f64> = recent.filter_map(Past::level).collect();
        let n = levels.len() as f64;
        let deviation = if levels.len() < 3 { LEVEL_PRIOR } else { robust_deviation(&levels) };
        let level_variance = (n * deviation * deviation
            + LEVEL_PRIOR_DAYS * LEVEL_PRIOR * LEVEL_PRIOR)
            / (n + LEVEL_PRIOR_DAYS);
        // Days that hardly differ still may tomorrow.
        Dispersion { phi: phi.max(1.0), level_variance: level_variance.max(0.03 * 0.03) }
    }

    /// κ of the Gamma prior.
    pub fn kappa(&self) -> f64 {
        1.0 / self.level_variance
    }

    /// Weight of a morning of which `expected` were expected: `(M/φ) / (κ + M/φ)`.
    pub fn weight(&self, expected: f64) -> f64 {
        let information = expected.max(0.0) / self.phi;
        information / (self.kappa() + information)
    }

    /// Variance of a morning's ratio: days differ, and slots are noisy.
    pub(super) fn ratio_variance(&self, expected: f64) -> f64 {
        self.level_variance + self.phi / expected.max(1e-9)
    }

    /// Spread of the rest of the day under Gamma-Poisson: what is not known of the level, and the noise to come.
    pub(super) fn spread(&self, today: Today<'_>) -> f64 {
        let (expected, _) = today.so_far();
        let total: f64 = today.base.iter().sum();
        let level = self.level_variance * (1.0 - self.weight(expected));
        (level + self.phi / (total - expected).max(1.0)).sqrt()
    }
}

impl Past {
    /// By which share the day differed from its base.
    pub(super) fn level(&self) -> Option<f64> {
        let expected: f64 = self.base.iter().sum();
        (expected > 0.0).then(|| expected_came(&self.base, &self.actual) / expected - 1.0)
    }
}

/// Mean of `(y - x)²/x` over a day's slots, x being the base scaled to the day's own total.
fn noise(day: &Past) -> Option<f64> {
    let scale = day.level()? + 1.0;
    let (mut sum, mut slots) = (0.0, 0.0);
    for (base, actual) in day.base.iter().zip(&day.actual) {
        let expected = base * scale;
        if expected >= 1.0 {
            sum += (actual - expected).powi(2) / expected;
            slots += 1.0;
        }
    }
    (slots >= 4.0).then(|| sum / slots)
}
