//! What slices hold together: the sum of a window, and that of the next one made of it.
//!
//! ```text
//! slices     | 3 | 1 | 4 | 1 | 5 |
//! a window     └── 3+1+4+1 = 9 ─┘
//! the next         └── 9 - 3 + 5 ─┘
//! ```
//!
//! Windows of a key end one after the other, and expire so: each sum differs from the one before by the slices that come
//! and those that go. Where values cannot be taken away again, a window is added up from all of its slices.

use std::collections::VecDeque;

use crate::time::EventTime;

use super::aggregate::Aggregate;
use super::state::{Slice, first_slice};

/// What slices hold together.
pub(crate) struct Total<A> {
    pub(crate) acc: A,
    /// Elements now in them.
    pub(crate) elements: i64,
    /// Elements that came or went.
    pub(crate) changes: i64,
}

impl<A> Total<A> {
    /// Of the slices that begin in `[from, to)`.
    pub(crate) fn of<V, G: Aggregate<V, Acc = A>>(
        aggregate: &G,
        slices: &VecDeque<Slice<A>>,
        from: EventTime,
        to: EventTime,
    ) -> Self {
        let mut total = Total { acc: aggregate.zero(), elements: 0, changes: 0 };
        for slice in slices_in(slices, from, to) {
            total.add(aggregate, &slice.acc, slice.elements, slice.changes);
        }
        total
    }

    fn add<V, G>(&mut self, aggregate: &G, acc: &A, elements: i64, changes: i64)
    where
        G: Aggregate<V, Acc = A>,
    {
        aggregate.merge(&mut self.acc, acc);
        self.elements += elements;
        self.changes += changes;
    }

    /// False if that cannot be done: then the total is of no more use.
    fn subtract<V, G: Aggregate<V, Acc = A>>(&mut self, aggregate: &G, slice: &Slice<A>) -> bool {
        self.elements -= slice.elements;
        self.changes -= slice.changes;
        aggregate.subtract(&mut self.acc, &slice.acc)
    }
}

/// The sum of a stretch of a key's slices, which moves on from window to window: always that of the slices there are.
///
/// It holds nothing that the slices do not say, and is not kept.
pub(crate) struct Rolling<A>(Option<Box<Stretch<A>>>);

struct Stretch<A> {
    from: EventTime,
    to: EventTime,
    total: Total<A>,
}

impl<A> Default for Rolling<A> {
    fn default() -> Self {
        Rolling(None)
    }
}

impl<A> Rolling<A> {
    /// Moves to the slices that begin in `[from, to)`; what they hold.
    pub(crate) fn total<V, G: Aggregate<V, Acc = A>>(
        &mut self,
        aggregate: &G,
        slices: &VecDeque<Slice<A>>,
        from: EventTime,
        to: EventTime,
    ) -> &Total<A> {
        let there = |stretch: &Stretch<A>| stretch.from == from && stretch.to == to;
        let moved = self.0.take().and_then(|mut stretch| {
            if there(&stretch) {
                return Some(stretch);
            }
            let overlaps = stretch.from <= from && from < stretch.to && stretch.to <= to;
            (overlaps && stretch.move_to(aggregate, slices, from, to)).then_some(stretch)
        });
        let stretch = moved.unwrap_or_else(|| {
            Box::new(Stretch { from, to, total: Total::of(aggregate, slices, from, to) })
        });
        &self.0.insert(stretch).total
    }

    /// A slice is about to leave memory.
    pub(crate) fn lose<V, G: Aggregate<V, Acc = A>>(&mut self, aggregate: &G, slice: &Slice<A>) {
        if let Some(stretch) = &mut self.0
            && stretch.holds(slice.start)
            && !stretch.total.subtract(aggregate, slice)
        {
            self.0 = None;
        }
    }

    /// A slice changed by `acc`.
    pub(crate) fn change<V, G: Aggregate<V, Acc = A>>(
        &mut self,
        aggregate: &G,
        start: EventTime,
        acc: &A,
        elements: i64,
        changes: i64,
    ) {
        if let Some(stretch) = &mut self.0
            && stretch.holds(start)
        {
            stretch.total.add(aggregate, acc, elements, changes);
        }
    }

    /// The slices are gone.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl<A> Stretch<A> {
    fn holds(&self, start: EventTime) -> bool {
        self.from <= start && start < self.to
    }

    /// Forward; false if what goes cannot be subtracted.
    fn move_to<V, G: Aggregate<V, Acc = A>>(
        &mut self,
        aggregate: &G,
        slices: &VecDeque<Slice<A>>,
        from: EventTime,
        to: EventTime,
    ) -> bool {
        let mut going = slices_in(slices, self.from, from);
        if !going.all(|slice| self.total.subtract(aggregate, slice)) {
            return false;
        }
        for slice in slices_in(slices, self.to, to) {
            self.total.add(aggregate, &slice.acc, slice.elements, slice.changes);
        }
        (self.from, self.to) = (from, to);
        true
    }
}

/// The slices that begin in `[from, to)`.
#[inline]
fn slices_in<A>(
    slices: &VecDeque<Slice<A>>,
    from: EventTime,
    to: EventTime,
) -> impl Iterator<Item = &Slice<A>> {
    let first = first_slice(slices, from);
    slices.range(first..).take_while(move |slice| slice.start < to)
}

#[cfg(test)]
mod tests {
    use super::super::{Max, Sum};
    use super::*;

    /// The greatest of values that are only ever added.
    struct Peak;

    impl Aggregate<i64> for Peak {
        type Acc = i64;
        type Output = i64;

        fn zero(&self) -> i64 {
            0
        }
        fn add(&self, acc: &mut i64, value: &i64, _diff: isize) {
            *acc = (*acc).max(*value);
        }
        fn merge(&self, acc: &mut i64, other: &i64) {
            *acc = (*acc).max(*other);
        }
        fn output(&self, acc: &i64) -> i64 {
            *acc
        }
    }

    /// Moves over slices with gaps, some of which are lost and some changed on the way: the sum is always that of the
    /// slices there are.
    fn moves<G: Aggregate<i64>>(aggregate: &G) {
        let slice = |start: i64| {
            let mut acc = aggregate.zero();
            aggregate.add(&mut acc, &(start * 7 % 11), 1);
            Slice { start, acc, elements: 1, changes: 1, quiet_until: 0 }
        };
        let mut slices: VecDeque<_> =
            (0..200).filter(|nth| nth % 5 != 3).map(|nth| slice(nth * 10)).collect();
        let mut rolling = Rolling::default();
        for step in 0..150_i64 {
            let from = step * 10 + i64::from(step > 70) * 50;
            let to = from + 80;
            if step % 9 == 2 {
                let changed = slice(from + 50);
                if let Ok(at) = slices.binary_search_by_key(&changed.start, |slice| slice.start) {
                    aggregate.merge(&mut slices[at].acc, &changed.acc);
                    slices[at].elements += 1;
                    slices[at].changes += 1;
                    rolling.change(aggregate, changed.start, &changed.acc, 1, 1);
                }
            }
            while step % 4 == 1 && slices[0].start < from {
                let lost = slices.pop_front().expect("there is one");
                rolling.lose(aggregate, &lost);
            }
            let wanted = Total::of(aggregate, &slices, from, to);
            let got = rolling.total(aggregate, &slices, from, to);
            assert_eq!((got.elements, got.changes), (wanted.elements, wanted.changes));
            assert_eq!(aggregate.output(&got.acc), aggregate.output(&wanted.acc), "{from}");
        }
    }

    #[test]
    fn a_sum_that_moves_is_that_of_the_slices_it_moved_to() {
        moves(&Sum);
        moves(&Max);
        moves(&(Sum, super::super::Quantiles::default()));
        moves(&(Sum, Peak));
    }
}
