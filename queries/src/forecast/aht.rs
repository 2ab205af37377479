//! Average handle time for the rest of a day.

/// Contacts of one slot that were completed, and how long they took together, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HandleTime {
    pub completed: f64,
    pub handle_ms: f64,
}

/// How many completed contacts outweigh the forecast: days differ in AHT by about 5 %, contacts by about 100 %, and
/// `(1.0 / 0.05)²` is 400.
const PRIOR_CONTACTS: f64 = 400.0;

/// By which factor the rest of the day's handle times differ from `base_ms`: `(n₀h + H) / (n₀h + Σ cᵢ·baseᵢ)`.
///
/// h is the mean base of what was completed, H the time those took. Contacts still in progress are not in it, so early in
/// a day it leans low, which the prior damps.
pub fn handle_time_factor(base_ms: &[f64], actual: &[HandleTime]) -> f64 {
    let (mut expected, mut took, mut completed) = (0.0, 0.0, 0.0);
    for (base, actual) in base_ms.iter().zip(actual) {
        if *base > 0.0 {
            expected += base * actual.completed;
            took += actual.handle_ms;
            completed += actual.completed;
        }
    }
    if completed <= 0.0 || expected <= 0.0 {
        return 1.0;
    }
    let prior = PRIOR_CONTACTS * expected / completed;
    (prior + took) / (prior + expected)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers and small fractions")]
mod tests {
    use super::*;

    #[test]
    fn four_hundred_contacts_count_as_much_as_the_forecast() {
        let base = [200_000.0, 200_000.0];
        let long = |completed: f64| HandleTime { completed, handle_ms: completed * 300_000.0 };
        assert_eq!(handle_time_factor(&base, &[long(0.0), long(0.0)]), 1.0);
        assert!((handle_time_factor(&base, &[long(300.0), long(100.0)]) - 1.25).abs() < 1e-12);
        assert!(handle_time_factor(&base, &[long(4.0), long(0.0)]) < 1.01);
    }
}
