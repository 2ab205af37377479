//! Aggregates that keep how often each value occurs: extremes, top-k, distinct counts, collections.
//!
//! State: one entry per distinct value of the window.

use std::collections::BTreeMap;

use crate::Datum;

use super::Aggregate;

/// Values and how often each occurs; never a zero.
type Multiset<V> = BTreeMap<V, isize>;

fn add<V: Datum>(set: &mut Multiset<V>, value: &V, times: isize) {
    match set.get_mut(value) {
        Some(count) => {
            *count += times;
            if *count == 0 {
                set.remove(value);
            }
        }
        None if times != 0 => {
            set.insert(value.clone(), times);
        }
        None => {}
    }
}

/// Adds all of `other` `times` times; negative takes away.
fn merge<V: Datum>(set: &mut Multiset<V>, other: &Multiset<V>, times: isize) {
    for (value, &copies) in other {
        add(set, value, copies * times);
    }
}

/// Each value as often as it occurs.
fn repeated<'a, V: Clone + 'a>(
    values: impl Iterator<Item = (&'a V, &'a isize)>,
) -> impl Iterator<Item = V> {
    values.flat_map(|(value, &times)| std::iter::repeat_n(value.clone(), times.max(0) as usize))
}

macro_rules! multiset_aggregate {
    ($name:ident -> $output:ty, |$this:ident, $set:ident| $body:expr) => {
        impl<V: Datum> Aggregate<V> for $name {
            type Acc = Multiset<V>;
            type Output = $output;

            fn zero(&self) -> Multiset<V> {
                Multiset::new()
            }
            fn add(&self, acc: &mut Multiset<V>, value: &V, diff: isize) {
                add(acc, value, diff);
            }
            fn merge(&self, acc: &mut Multiset<V>, other: &Multiset<V>) {
                merge(acc, other, 1);
            }
            fn subtract(&self, acc: &mut Multiset<V>, other: &Multiset<V>) -> bool {
                merge(acc, other, -1);
                true
            }
            fn output(&self, acc: &Multiset<V>) -> $output {
                let ($this, $set) = (self, acc);
                let _ = $this;
                $body
            }
        }
    };
}

/// The smallest value; `None` without values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Min;
multiset_aggregate!(Min -> Option<V>, |this, set| {
    set.iter().find(|(_, times)| **times > 0).map(|(value, _)| value.clone())
});

/// The greatest value; `None` without values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Max;
multiset_aggregate!(Max -> Option<V>, |this, set| {
    set.iter().rev().find(|(_, times)| **times > 0).map(|(value, _)| value.clone())
});

/// The `k` greatest values, greatest first, each as often as it occurs.
#[derive(Clone, Copy, Debug)]
pub struct TopK(pub usize);
multiset_aggregate!(TopK -> Vec<V>, |this, set| repeated(set.iter().rev()).take(this.0).collect());

/// How many different values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distinct;
multiset_aggregate!(Distinct -> i64, |this, set| {
    set.values().filter(|times| **times > 0).count() as i64
});

/// All values, ascending, each as often as it occurs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collect;
multiset_aggregate!(Collect -> Vec<V>, |this, set| repeated(set.iter()).collect());
