//! Slices that begin, and the windows that begin with them: what is done once per key and slice, not per event.

use crate::Datum;
use crate::time::EventTime;

use super::Window;
use super::aggregate::Aggregate;
use super::assign::WindowFn;
use super::operator::{KeyId, Operator};
use super::state::{Pending, Placed, Slice};

/// The windows of a slice. Most keys ask for those of the same slice, one after the other.
pub(crate) struct Assigned {
    slice: Option<EventTime>,
    /// Ascending.
    pub(crate) windows: Vec<Window>,
    /// The watermark at which the first of them is complete.
    pub(crate) quiet_until: EventTime,
}

impl Assigned {
    pub(crate) fn new() -> Self {
        Assigned { slice: None, windows: Vec::new(), quiet_until: EventTime::MAX }
    }

    /// Becomes the windows of the slice that begins at `slice`.
    #[inline]
    pub(crate) fn to(&mut self, slice: EventTime, windows: &impl WindowFn) {
        if self.slice != Some(slice) {
            self.slice = Some(slice);
            self.windows.clear();
            windows.assign(slice, &mut self.windows);
            let complete = self.windows.iter().map(|window| windows.complete_at(*window));
            self.quiet_until = complete.min().unwrap_or(EventTime::MAX);
        }
    }
}

impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> Operator<K, V, W, A> {
    /// Puts in a slice that was not known, at `place` among those of its key. All of its windows still fill, and have
    /// nothing of their own: those that are not there yet come to be.
    pub(crate) fn begin(
        &mut self,
        id: KeyId,
        place: usize,
        pending: Pending<A::Acc>,
        assigned: &Assigned,
    ) {
        let keyed = &mut self.keys[id as usize];
        // Mostly all but the last are there, and are the last that are there.
        let mut next = (keyed.windows.len() + 1).saturating_sub(assigned.windows.len());
        for &window in &assigned.windows {
            let known = match keyed.windows.get(next) {
                Some(placed) if placed.window == window => Ok(next),
                _ => keyed.find(window),
            };
            let index = known.unwrap_or_else(|index| {
                let due = self.windows.complete_at(window);
                self.ends.entry(due).or_default().push((id, window));
                keyed.windows.insert(index, Placed::filling(window));
                index
            });
            next = index + 1;
        }
        let Pending { slice, acc, inserted, deleted } = pending;
        let (elements, changes) = (inserted - deleted, inserted + deleted);
        let quiet_until = assigned.quiet_until;
        let slice = Slice { start: slice.start, acc, elements, changes, quiet_until };
        keyed.slices.insert(place, slice);
    }
}
