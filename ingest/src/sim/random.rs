//! Seeded chance, with times in whole milliseconds.

use highwater_dataflow::Millis;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// A stream of chance of its own for each purpose, so that one more draw here changes nothing there.
pub(super) struct Chance(SmallRng);

impl Chance {
    pub(super) fn new(seed: u64, purpose: &[u64]) -> Self {
        let mixed = purpose.iter().fold(mix(seed), |mixed, part| mix(mixed ^ mix(*part)));
        Self(SmallRng::seed_from_u64(mixed))
    }

    /// In `[0, 1)`.
    pub(super) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    pub(super) fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// In `[from, to)`; `from` if there is nothing between.
    pub(super) fn between(&mut self, from: Millis, to: Millis) -> Millis {
        if from < to { self.0.random_range(from..to) } else { from }
    }

    /// In `[0, len)`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    /// Standard normal.
    pub(super) fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit() * std::f64::consts::TAU);
        (-2.0 * radius.ln()).sqrt() * angle.cos()
    }

    /// Exponential with that mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// Log-normal with that median, at least 1.
    pub(super) fn lognormal(&mut self, median: Millis, sigma: f64) -> Millis {
        ((median as f64 * (self.normal() * sigma).exp()) as Millis).max(1)
    }
}

/// The finalizer of SplitMix64: neighbours come out far apart.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
