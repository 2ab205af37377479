//! Quantiles from a histogram with logarithmic buckets: exact under retraction, approximate in value.

use serde::{Deserialize, Serialize};

use super::Aggregate;

/// A histogram over non-negative values (negative ones count as 0).
///
/// Buckets are as high-dynamic-range histograms have them: `precision` binary digits are kept, so that a reported
/// value is below or at the true one by less than a factor of `2^-precision`. Values below `2^precision` are exact.
/// Counts add and subtract exactly, so late and retracted values leave no trace. State: one number per bucket in use.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    precision: u32,
}

impl Quantiles {
    /// `precision` binary digits, 1 to 16. Seven: below 0.8 % off.
    pub fn with_precision(precision: u32) -> Self {
        assert!((1..=16).contains(&precision), "precision is 1 to 16 binary digits");
        Quantiles { precision }
    }
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles::with_precision(7)
    }
}

/// The lowest value of the bucket that `value` falls in: `value` with all but its leading digits cleared.
fn bucket(value: i64, precision: u32) -> i64 {
    let value = value.max(0);
    let digits = 64 - value.leading_zeros();
    let cleared = digits.saturating_sub(precision + 1);
    (value >> cleared) << cleared
}

/// Counts by bucket, ascending; buckets are named by their lowest value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Histogram {
    pub buckets: Vec<(i64, i64)>,
}

impl Histogram {
    /// How many values.
    pub fn count(&self) -> i64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The value at `q` (0 to 1): the smallest bucket with at least that share of values at or below it.
    /// `None` without values.
    pub fn quantile(&self, q: f64) -> Option<i64> {
        let count = self.count();
        let rank = ((count as f64 * q).ceil() as i64).clamp(1, count.max(1));
        let mut below = 0;
        self.buckets.iter().find_map(|&(value, count)| {
            below += count;
            (below >= rank).then_some(value)
        })
    }
}

impl<V: Into<i64> + Copy> Aggregate<V> for Quantiles {
    /// Counts by bucket, ascending, never a zero.
    type Acc = Vec<(i64, i64)>;
    type Output = Histogram;

    fn zero(&self) -> Self::Acc {
        Vec::new()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: &V, diff: isize) {
        bump(acc, bucket((*value).into(), self.precision), diff as i64);
    }

    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        if other.len() * 8 < acc.len() {
            for &(bucket, count) in other {
                bump(acc, bucket, count);
            }
        } else {
            *acc = merged(acc, other);
        }
    }

    fn subtract(&self, acc: &mut Self::Acc, other: &Self::Acc) -> bool {
        let negated = other.iter().map(|(bucket, count)| (*bucket, -count)).collect();
        Aggregate::<V>::merge(self, acc, &negated);
        true
    }

    fn output(&self, acc: &Self::Acc) -> Histogram {
        Histogram { buckets: acc.clone() }
    }
}

fn bump(counts: &mut Vec<(i64, i64)>, bucket: i64, by: i64) {
    match counts.binary_search_by_key(&bucket, |&(bucket, _)| bucket) {
        Ok(index) => {
            counts[index].1 += by;
            if counts[index].1 == 0 {
                counts.remove(index);
            }
        }
        Err(index) if by != 0 => counts.insert(index, (bucket, by)),
        Err(_) => {}
    }
}

/// The counts of both.
fn merged(a: &[(i64, i64)], b: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                let both = a.next().zip(b.next());
                both.map(|(x, y)| (x.0, x.1 + y.1)).filter(|(_, count)| *count != 0)
            }
            (Some(x), Some(y)) if x.0 < y.0 => a.next(),
            (Some(_), None) => a.next(),
            (_, Some(_)) => b.next(),
            (None, None) => return all,
        };
        all.extend(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_off_by_less_than_the_precision_says() {
        for precision in [1, 4, 7, 10] {
            for value in (0..4_000).chain([123_456, 9_876_543, i64::MAX / 3]) {
                let reported = bucket(value, precision);
                let off = (value - reported) as f64 / value.max(1) as f64;
                assert!(reported <= value && off < 2f64.powi(-(precision as i32)));
                assert!(value >= 1 << precision || reported == value);
            }
        }
    }

    #[test]
    fn quantiles_of_a_uniform_hundred_and_of_what_is_left_after_retraction() {
        let quantiles = Quantiles::default();
        let mut acc = Aggregate::<i64>::zero(&quantiles);
        (1..=100_i64).for_each(|v| quantiles.add(&mut acc, &v, 1));
        let all = Aggregate::<i64>::output(&quantiles, &acc);
        assert_eq!(all.quantile(0.5), Some(50));
        assert_eq!(all.quantile(0.95), Some(95));
        assert_eq!((all.quantile(0.0), all.quantile(1.0)), (Some(1), Some(100)));
        (51..=100_i64).for_each(|v| quantiles.add(&mut acc, &v, -1));
        assert_eq!(Aggregate::<i64>::output(&quantiles, &acc).quantile(1.0), Some(50));
        (1..=50_i64).for_each(|v| quantiles.add(&mut acc, &v, -1));
        assert_eq!(Aggregate::<i64>::output(&quantiles, &acc).quantile(0.5), None);
    }
}
