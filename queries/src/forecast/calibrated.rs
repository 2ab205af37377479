//! The calibrated slope: what mornings like this one became on past days.
//!
//! With `x` the so-far ratio less one and `b` its Gamma-Poisson weight, `v` and `c` the same of the last two hours, and
//! `z` the level of the days just past, the rest of the day is forecast as `1 + γ·b·x + α·(1 - b)·z + δ·c·(v - x)`.
//! The three slopes are learned per cut from past days by robust ridge regression of their rest-of-day ratios, and drawn
//! to (0.8, 0.5, 0) while evidence is thin: between Gamma-Poisson (γ = 1) and static (γ = 0). What they explain of past
//! days by no more than chance is taken off again, so that where mornings tell nothing the forecast stays what it was.

use super::dispersion::LEVEL_DAYS;
use super::{Dispersion, Past, Today, expected_came, median, robust_deviation, sums};

/// Fewer usable days than this, and nothing is learned.
pub const DAYS_MIN: usize = 10;

/// The slopes before anything is learned, and how many days' evidence that is worth.
const PRIOR: [f64; 3] = [0.8, 0.5, 0.0];
const PRIOR_DAYS: f64 = 2.4;
/// The latest slots that `v` looks at, in hours.
const RECENT_HOURS: f64 = 2.0;
/// Weight of a day against the day after it, in `z` and in the regression.
const LEVEL_DECAY: f64 = 0.7;
const AGE_DECAY: f64 = 0.99;
/// A morning this many standard deviations out is that of no ordinary day.
const FAR: f64 = 4.0;
/// Chance that a quiet morning is that of no ordinary day, and the spread of such days.
const STRANGE_CHANCE: f64 = 0.03;
const STRANGE_DEVIATION: f64 = 0.4;

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    pub factor: f64,
    /// Slopes γ, α and δ.
    pub slopes: [f64; 3],
    /// Robust standard deviation of what the slopes leave unexplained, with the prior's share.
    pub spread: f64,
    /// Past days learned from.
    pub days: usize,
}

/// A past day at this cut.
struct Example {
    features: [f64; 3],
    rest: f64,
    weight: f64,
}

/// Learns from `past` (oldest first) and forecasts the rest of `today`.
pub fn calibrated(
    past: &[Past],
    today: Today<'_>,
    dispersion: &Dispersion,
    hour: f64,
) -> Calibrated {
    let past = &past[past.len().saturating_sub(LEVEL_DAYS)..];
    let days: Vec<(&Past, f64)> = past.iter().filter_map(|day| Some((day, day.level()?))).collect();
    let levels: Vec<f64> = days.iter().map(|(_, level)| *level).collect();
    let recent_slots = (RECENT_HOURS * hour).round().max(1.0) as usize;
    let from = today.cut.saturating_sub(recent_slots);
    let cut = Cut { slots: today.cut, elapsed: today.elapsed, from, dispersion };

    let mut examples = Vec::with_capacity(days.len());
    let mut surprises = Vec::new();
    for (nth, (day, _)) in days.iter().enumerate() {
        let level = recent_level(&levels[..nth], dispersion);
        let morning = cut.morning(&day.base, &day.actual, level);
        let (rest_expected, rest_came) = cut.rest(day);
        if rest_expected <= 0.0 {
            continue;
        }
        let deviation = dispersion.ratio_variance(morning.expected).sqrt();
        if morning.expected > 0.0 {
            surprises.push((morning.ratio - 0.6 * level).abs() / deviation);
        }
        // A day's rest tells less the smaller it is; a closed morning tells nothing about slopes.
        let precision = dispersion.level_variance
            / (dispersion.phi / rest_expected + 0.5 * dispersion.level_variance);
        let age = (days.len() - 1 - nth) as i32;
        let strange = morning.ratio.abs() > FAR * deviation;
        examples.push(Example {
            features: morning.features,
            rest: rest_came / rest_expected - 1.0,
            weight: if strange { 0.0 } else { precision * AGE_DECAY.powi(age) },
        });
    }
    let (slopes, unexplained) = regress(&examples, dispersion);

    let level = recent_level(&levels, dispersion);
    let morning = cut.morning(today.base, today.actual, level);
    let ordinary = 1.0 + said(&slopes, &morning.features);
    let n = surprises.len() as f64;
    let inflation = ((1.4826 * median(&mut surprises) * n + 10.0) / (n + 10.0)).max(1.0);
    let factor = doubt(ordinary, &morning, slopes[1] * level, inflation, dispersion);
    let n = examples.len() as f64;
    let assumed = dispersion.spread(today);
    let spread = ((n * unexplained * unexplained + 10.0 * assumed * assumed) / (n + 10.0)).sqrt();
    Calibrated { factor: factor.max(0.0), slopes, spread, days: examples.len() }
}

/// Where the day is cut, and what weighs its mornings.
struct Cut<'a> {
    slots: usize,
    elapsed: f64,
    /// First of the recent slots.
    from: usize,
    dispersion: &'a Dispersion,
}

struct Morning {
    expected: f64,
    /// Came over expected, less one.
    ratio: f64,
    features: [f64; 3],
}

impl Cut<'_> {
    fn morning(&self, base: &[f64], actual: &[f64], level: f64) -> Morning {
        let less_one = |(expected, came): (f64, f64)| {
            if expected > 0.0 { came / expected - 1.0 } else { 0.0 }
        };
        let all = sums(base, actual, 0, self.slots, self.elapsed);
        let late = sums(base, actual, self.from, self.slots, self.elapsed);
        let (weight, ratio) = (self.dispersion.weight(all.0), less_one(all));
        // Beyond what days do, it matters ever less how far: the hours were others, or the base was wrong.
        let bounded = |sums: (f64, f64)| {
            let (ratio, far) =
                (less_one(sums), FAR * self.dispersion.ratio_variance(sums.0).sqrt());
            if ratio > far { far * (1.0 + (ratio / far).ln()) } else { ratio }
        };
        let turn = self.dispersion.weight(late.0) * (bounded(late) - bounded(all));
        let features = [weight * bounded(all), (1.0 - weight) * level, turn];
        Morning { expected: all.0, ratio, features }
    }

    fn rest(&self, day: &Past) -> (f64, f64) {
        let cut = self.slots.min(day.base.len());
        // Of the slot under way, only the share to come counts, on both sides alike.
        let share = if self.elapsed > 0.0 { 1.0 - self.elapsed } else { 1.0 };
        let first = cut..day.base.len().min(cut + 1);
        let (base, actual) = (&day.base[first.end..], &day.actual[first.end..]);
        let first = (&day.base[first.clone()], &day.actual[first]);
        (
            share * first.0.iter().sum::<f64>() + base.iter().sum::<f64>(),
            share * expected_came(first.0, first.1) + expected_came(base, actual),
        )
    }
}

/// The level of the days just past, drawn to 0; days out of the ordinary do not count.
fn recent_level(levels: &[f64], dispersion: &Dispersion) -> f64 {
    let limit = (4.0 * dispersion.level_variance.sqrt()).max(0.3);
    let (mut sum, mut weights) = (0.0, 0.5);
    for (age, level) in levels.iter().rev().take(20).enumerate() {
        if level.abs() <= limit {
            let weight = LEVEL_DECAY.powi(age as i32);
            sum += weight * level;
            weights += weight;
        }
    }
    sum / weights
}

/// Residuals are weighted down by Huber and, far out, to nothing.
fn trust(residual: f64, scale: f64) -> f64 {
    let far = residual.abs() / scale;
    if far > 5.0 { 0.0 } else { (1.5 / far).min(1.0) }
}

/// What the slopes say of a day: its rest over what was expected of it, less one.
fn said(slopes: &[f64; 3], features: &[f64; 3]) -> f64 {
    slopes.iter().zip(features).map(|(slope, feature)| slope * feature).sum()
}

/// Robust ridge regression towards the prior: the slopes, and the deviation of what they leave unexplained.
fn regress(examples: &[Example], dispersion: &Dispersion) -> ([f64; 3], f64) {
    let ridge = PRIOR_DAYS * dispersion.level_variance;
    let mut slopes = PRIOR;
    let mut scale = 0.15;
    for _ in 0..4 {
        let residuals: Vec<f64> = examples
            .iter()
            .map(|example| example.rest - said(&slopes, &example.features))
            .collect();
        if residuals.len() >= 5 {
            scale = robust_deviation(&residuals).max(0.02);
        }
        let mut matrix = [[0.0; 3]; 3];
        let mut right = [0.0; 3];
        for i in 0..3 {
            matrix[i][i] = ridge;
            right[i] = ridge * PRIOR[i];
        }
        for (example, residual) in examples.iter().zip(&residuals) {
            let weight = example.weight * trust(*residual, scale);
            for ((feature, row), right) in example.features.iter().zip(&mut matrix).zip(&mut right)
            {
                *right += weight * feature * example.rest;
                for (cell, other) in row.iter_mut().zip(example.features) {
                    *cell += weight * feature * other;
                }
            }
        }
        slopes = solve(matrix, right);
    }
    slopes[0] = slopes[0].clamp(0.0, 1.5);
    slopes[1] = slopes[1].clamp(0.0, 1.0);
    slopes[2] = slopes[2].clamp(-0.5, 1.5);
    let kept = beyond_chance(examples, &slopes, scale);
    (slopes.map(|slope| slope * kept), scale)
}

/// The share of the slopes that past days bear out: `1 - 3s²/E`, at least 0.
///
/// E is what they explain of the days, s² what they leave unexplained per day: three slopes explain 3s² of days that have
/// nothing to do with their mornings. Source: James and Stein, Estimation with quadratic loss (1961).
fn beyond_chance(examples: &[Example], slopes: &[f64; 3], scale: f64) -> f64 {
    let (mut explained, mut unexplained, mut days) = (0.0, 0.0, 0.0);
    for example in examples {
        let said = said(slopes, &example.features);
        let residual = example.rest - said;
        let weight = example.weight * trust(residual, scale);
        explained += weight * said * said;
        unexplained += weight * residual * residual;
        days += f64::from(u8::from(weight > 0.0));
    }
    if explained <= 0.0 || days <= 3.0 {
        return 1.0;
    }
    (1.0 - 3.0 * unexplained / (days - 3.0) / explained).max(0.0)
}

/// Three equations; the ridge on the diagonal makes the matrix positive definite.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for i in 0..3 {
        let pivot = matrix[i];
        for j in i + 1..3 {
            let factor = matrix[j][i] / pivot[i];
            for (cell, above) in matrix[j].iter_mut().zip(pivot) {
                *cell -= factor * above;
            }
            right[j] -= factor * right[i];
        }
    }
    let mut solution = [0.0; 3];
    for i in (0..3).rev() {
        let known: f64 = (i + 1..3).map(|j| matrix[i][j] * solution[j]).sum();
        solution[i] = (right[i] - known) / matrix[i][i];
    }
    solution
}

/// A morning far quieter than ordinary days have is that of a holiday or an outage: then the ratio itself is believed.
///
/// `P(strange | x)` by Bayes from two normal densities; busy mornings are left to the slopes, for they tend to pass.
fn doubt(
    ordinary: f64,
    morning: &Morning,
    expected_ratio: f64,
    inflation: f64,
    dispersion: &Dispersion,
) -> f64 {
    if morning.expected <= 0.0 || morning.ratio >= 0.0 {
        return ordinary;
    }
    let density = |distance: f64, deviation: f64| {
        (-(distance / deviation).powi(2) / 2.0).max(-700.0).exp() / deviation
    };
    let usual = dispersion.ratio_variance(morning.expected).sqrt() * inflation;
    let wide = STRANGE_DEVIATION.hypot(usual);
    let as_strange = STRANGE_CHANCE * density(morning.ratio, wide);
    let as_usual = (1.0 - STRANGE_CHANCE) * density(morning.ratio - expected_ratio, usual);
    let strange = as_strange / (as_strange + as_usual);
    let noise = dispersion.phi / morning.expected * inflation * inflation;
    let trust = STRANGE_DEVIATION.powi(2) / (STRANGE_DEVIATION.powi(2) + noise);
    (1.0 - strange) * ordinary + strange * (1.0 + trust * morning.ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days whose afternoon follows the morning by `slope`, with a little regular noise.
    fn past(slope: f64) -> Vec<Past> {
        let day = |n: usize| {
            let level = [0.2, -0.15, 0.05, -0.2, 0.1, 0.0, -0.1, 0.15][n % 8];
            let wobble = [0.01, -0.01, 0.005][n % 3];
            let morning = vec![500.0 * (1.0 + level); 4];
            let rest = vec![500.0 * (1.0 + slope * level + wobble); 4];
            Past { base: vec![500.0; 8], actual: [morning, rest].concat() }
        };
        (0..64).map(day).collect()
    }

    fn learn(past: &[Past], morning: f64) -> Calibrated {
        let base = [500.0; 8];
        let actual = [500.0 * morning; 8];
        let today = Today { base: &base, actual: &actual, cut: 4, elapsed: 0.0 };
        calibrated(past, today, &Dispersion::fit(past), 2.0)
    }

    #[test]
    fn mornings_that_tell_nothing_are_not_believed() {
        let factor = learn(&past(0.0), 1.2).factor;
        assert!((0.98..1.05).contains(&factor), "{factor}");
    }

    #[test]
    fn slopes_that_chance_would_give_are_not_used() {
        let mut days = past(0.0);
        for (n, day) in days.iter_mut().enumerate() {
            // A noise that has nothing to do with the level, which has a period of eight days.
            let noise = 1.0 + [0.05, -0.07, 0.02, 0.06, -0.04, -0.02, 0.01][n * n % 7];
            day.actual[4..].iter_mut().for_each(|count| *count *= noise);
        }
        let learned = learn(&days, 1.1);
        assert!((0.99..1.01).contains(&learned.factor), "{learned:?}");
    }

    #[test]
    fn a_morning_out_of_all_proportion_counts_for_less_than_it_is() {
        let days = past(0.4);
        let [busy, absurd] = [1.3, 9.0].map(|morning| learn(&days, morning).factor - 1.0);
        assert!(busy > 0.08 && absurd < 8.0 * busy, "{busy} and {absurd}");
    }

    #[test]
    fn mornings_that_tell_all_are_believed() {
        let factor = learn(&past(1.0), 1.2).factor;
        assert!((1.17..1.22).contains(&factor), "{factor}");
    }

    #[test]
    fn holidays_in_the_past_do_not_bend_the_slope() {
        let mut days = past(0.4);
        let straight = learn(&days, 1.2).factor;
        for n in [5, 20, 41, 55] {
            days[n].actual = vec![10.0; 8];
        }
        let factor = learn(&days, 1.2).factor;
        assert!((factor - straight).abs() < 0.02, "{factor} and {straight}");
    }

    #[test]
    fn a_closed_day_is_seen_by_noon() {
        let factor = learn(&past(0.4), 0.02).factor;
        assert!(factor < 0.15, "{factor}");
    }

    #[test]
    fn few_days_stay_near_the_prior() {
        let days = past(0.0);
        let few = learn(&days[..3], 1.1);
        assert_eq!(few.days, 3);
        assert!(few.slopes[0] > 0.2 && few.factor > 1.0, "{few:?}");
    }
}
