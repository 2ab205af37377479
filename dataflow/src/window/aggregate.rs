//! What is computed over a window: aggregates that add, subtract and merge.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Datum;

/// A computation over the values of a window, kept up to date change by change.
///
/// Accumulators must be linear: adding a value with `-1` undoes adding it, and merging two accumulators is the same
/// as adding all their values to one, in any order. Sums are linear by themselves; an extreme is not, and keeps how
/// often each value occurs. Several aggregates run in one pass as a tuple.
pub trait Aggregate<V>: 'static {
    /// Checkpoints keep it.
    type Acc: Clone + Serialize + DeserializeOwned + 'static;
    type Output: Datum;

    /// The accumulator of no values.
    fn zero(&self) -> Self::Acc;
    /// Adds `value` `diff` times; a negative `diff` takes it away.
    fn add(&self, acc: &mut Self::Acc, value: &V, diff: isize);
    /// Adds all of `other`.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc);
    /// Takes all of `other` away again, so that what is left is the same to the bit as if it had never been added. False
    /// where that cannot be done, as with sums of floating-point numbers: then `acc` is of no more use, and what it should
    /// hold is added up anew. Sliding windows ask for it, once per window and slice that goes.
    fn subtract(&self, _acc: &mut Self::Acc, _other: &Self::Acc) -> bool {
        false
    }
    fn output(&self, acc: &Self::Acc) -> Self::Output;
}

/// Values that add up and can be taken away again exactly, which floating-point numbers cannot: what a [`Sum`] is over.
pub trait Group: Clone {
    fn zero() -> Self;
    /// Adds `other` `times` times; negative takes away.
    fn add(&mut self, other: &Self, times: isize);
}

macro_rules! integer_groups {
    ($($t:ty),*) => {$(
        impl Group for $t {
            fn zero() -> Self {
                0
            }
            #[inline]
            fn add(&mut self, other: &Self, times: isize) {
                *self = self.wrapping_add(other.wrapping_mul(times as $t));
            }
        }
    )*};
}
integer_groups!(i32, u32, i64, u64, i128, u128, isize, usize);

macro_rules! tuple_groups {
    ($($name:ident . $index:tt),*) => {
        impl<$($name: Group),*> Group for ($($name,)*) {
            fn zero() -> Self {
                ($($name::zero(),)*)
            }
            #[inline]
            fn add(&mut self, other: &Self, times: isize) {
                $(self.$index.add(&other.$index, times);)*
            }
        }
    };
}
tuple_groups!(A.0, B.1);
tuple_groups!(A.0, B.1, C.2);
tuple_groups!(A.0, B.1, C.2, D.3);

impl<G: Group, const N: usize> Group for [G; N] {
    fn zero() -> Self {
        std::array::from_fn(|_| G::zero())
    }
    #[inline]
    fn add(&mut self, other: &Self, times: isize) {
        for (mine, theirs) in self.iter_mut().zip(other) {
            mine.add(theirs, times);
        }
    }
}

/// How many elements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<V> Aggregate<V> for Count {
    type Acc = i64;
    type Output = i64;

    fn zero(&self) -> i64 {
        0
    }
    #[inline]
    fn add(&self, acc: &mut i64, _value: &V, diff: isize) {
        *acc += diff as i64;
    }
    #[inline]
    fn merge(&self, acc: &mut i64, other: &i64) {
        *acc += other;
    }
    #[inline]
    fn subtract(&self, acc: &mut i64, other: &i64) -> bool {
        *acc -= other;
        true
    }
    fn output(&self, acc: &i64) -> i64 {
        *acc
    }
}

/// The sum of the values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum;

impl<V: Group + Datum> Aggregate<V> for Sum {
    type Acc = V;
    type Output = V;

    fn zero(&self) -> V {
        V::zero()
    }
    #[inline]
    fn add(&self, acc: &mut V, value: &V, diff: isize) {
        acc.add(value, diff);
    }
    #[inline]
    fn merge(&self, acc: &mut V, other: &V) {
        acc.add(other, 1);
    }
    #[inline]
    fn subtract(&self, acc: &mut V, other: &V) -> bool {
        acc.add(other, -1);
        true
    }
    fn output(&self, acc: &V) -> V {
        acc.clone()
    }
}

/// A sum and a count, kept apart so that nothing is rounded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ratio {
    pub sum: i64,
    pub count: i64,
}

impl Ratio {
    /// `None` when nothing was counted.
    pub fn mean(&self) -> Option<f64> {
        (self.count != 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl Group for Ratio {
    fn zero() -> Self {
        Ratio::default()
    }
    #[inline]
    fn add(&mut self, other: &Self, times: isize) {
        self.sum.add(&other.sum, times);
        self.count.add(&other.count, times);
    }
}

/// The mean of the values, as an exact [`Ratio`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean;

impl<V: Into<i64> + Copy> Aggregate<V> for Mean {
    type Acc = Ratio;
    type Output = Ratio;

    fn zero(&self) -> Ratio {
        Ratio::default()
    }
    #[inline]
    fn add(&self, acc: &mut Ratio, value: &V, diff: isize) {
        acc.add(&Ratio { sum: (*value).into(), count: 1 }, diff);
    }
    fn merge(&self, acc: &mut Ratio, other: &Ratio) {
        acc.add(other, 1);
    }
    fn subtract(&self, acc: &mut Ratio, other: &Ratio) -> bool {
        acc.add(other, -1);
        true
    }
    fn output(&self, acc: &Ratio) -> Ratio {
        *acc
    }
}

/// An aggregate of something computed from each value; see [`over`].
#[derive(Clone, Copy, Debug)]
pub struct Over<F, A> {
    f: F,
    aggregate: A,
}

/// `aggregate` over `f` of each value: `over(|call: &Call| call.wait_ms, Sum)`.
pub fn over<V, U, A, F>(f: F, aggregate: A) -> Over<F, A>
where
    F: Fn(&V) -> U + 'static,
    A: Aggregate<U>,
{
    Over { f, aggregate }
}

/// As a tag: `Over` needs to know the type it passes on, which only `f` tells.
pub trait Project<V>: 'static {
    type Part;
    fn project(&self, value: &V) -> Self::Part;
}

impl<V, U, F: Fn(&V) -> U + 'static> Project<V> for F {
    type Part = U;
    fn project(&self, value: &V) -> U {
        self(value)
    }
}

impl<V, F, A> Aggregate<V> for Over<F, A>
where
    F: Project<V>,
    A: Aggregate<F::Part>,
{
    type Acc = A::Acc;
    type Output = A::Output;

    fn zero(&self) -> A::Acc {
        self.aggregate.zero()
    }
    #[inline]
    fn add(&self, acc: &mut A::Acc, value: &V, diff: isize) {
        self.aggregate.add(acc, &self.f.project(value), diff);
    }
    fn merge(&self, acc: &mut A::Acc, other: &A::Acc) {
        self.aggregate.merge(acc, other);
    }
    fn subtract(&self, acc: &mut A::Acc, other: &A::Acc) -> bool {
        self.aggregate.subtract(acc, other)
    }
    fn output(&self, acc: &A::Acc) -> A::Output {
        self.aggregate.output(acc)
    }
}

/// An aggregate of some of the values; see [`only`].
#[derive(Clone, Copy, Debug)]
pub struct Only<F, A> {
    keep: F,
    aggregate: A,
}

/// `aggregate` over the values for which `keep` holds.
pub fn only<V, A: Aggregate<V>, F: Fn(&V) -> bool + 'static>(keep: F, aggregate: A) -> Only<F, A> {
    Only { keep, aggregate }
}

impl<V, F, A> Aggregate<V> for Only<F, A>
where
    F: Fn(&V) -> bool + 'static,
    A: Aggregate<V>,
{
    type Acc = A::Acc;
    type Output = A::Output;

    fn zero(&self) -> A::Acc {
        self.aggregate.zero()
    }
    #[inline]
    fn add(&self, acc: &mut A::Acc, value: &V, diff: isize) {
        if (self.keep)(value) {
            self.aggregate.add(acc, value, diff);
        }
    }
    fn merge(&self, acc: &mut A::Acc, other: &A::Acc) {
        self.aggregate.merge(acc, other);
    }
    fn subtract(&self, acc: &mut A::Acc, other: &A::Acc) -> bool {
        self.aggregate.subtract(acc, other)
    }
    fn output(&self, acc: &A::Acc) -> A::Output {
        self.aggregate.output(acc)
    }
}

macro_rules! composed {
    ($($name:ident . $index:tt),*) => {
        impl<V, $($name: Aggregate<V>),*> Aggregate<V> for ($($name,)*) {
            type Acc = ($($name::Acc,)*);
            type Output = ($($name::Output,)*);

            fn zero(&self) -> Self::Acc {
                ($(self.$index.zero(),)*)
            }
            #[inline]
            fn add(&self, acc: &mut Self::Acc, value: &V, diff: isize) {
                $(self.$index.add(&mut acc.$index, value, diff);)*
            }
            fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
                $(self.$index.merge(&mut acc.$index, &other.$index);)*
            }
            fn subtract(&self, acc: &mut Self::Acc, other: &Self::Acc) -> bool {
                $(self.$index.subtract(&mut acc.$index, &other.$index))&&*
            }
            fn output(&self, acc: &Self::Acc) -> Self::Output {
                ($(self.$index.output(&acc.$index),)*)
            }
        }
    };
}
composed!(A.0, B.1);
composed!(A.0, B.1, C.2);
composed!(A.0, B.1, C.2, D.3);
composed!(A.0, B.1, C.2, D.3, E.4);
composed!(A.0, B.1, C.2, D.3, E.4, F.5);
