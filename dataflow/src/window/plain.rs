//! Windows that are nothing but their slices: what most sliding windows are for all of their lives.
//!
//! ```text
//! Filling ──the watermark passes its end: the sum of its slices, on time──► Told ──it expires: the same again──► gone
//!                                                    a late change ──► Own: its slices as they were, and the change
//! ```
//!
//! Where no trigger can speak before the end, a window need not exist to fill; and where nothing late comes, its row
//! need not be kept to be taken back: its slices still say it. Such a window costs a place in its key's list, and no
//! memory of its own. Overlapping windows are many, and few of them see anything late. What it says is the sum of the
//! window before it, moved on by a slice or two (`sums`).

use std::collections::VecDeque;

use crate::Datum;
use crate::time::EventTime;

use super::aggregate::Aggregate;
use super::assign::WindowFn;
use super::operator::{KeyId, Operator, PaneOut};
use super::state::{Live, Slice, Stage};
use super::sums::Total;
use super::trigger::TriggerState;
use super::{Behavior, Pane, PaneInfo, Timing, Window};

/// Where the first slice of a window begins that is complete at `complete`.
pub(crate) fn beginning(window: Window, complete: EventTime) -> EventTime {
    complete.saturating_sub(window.end - window.start)
}

/// What it takes to give a window a state of its own.
pub(crate) struct Plain<'o, W, A> {
    pub(crate) windows: &'o W,
    pub(crate) aggregate: &'o A,
    pub(crate) told: Option<&'o TriggerState>,
    pub(crate) retracting: bool,
}

impl<W: WindowFn, A> Plain<'_, W, A> {
    /// The window's own state, made of its slices if it has none. To be called before they change.
    pub(crate) fn own<'s, V>(
        &self,
        window: Window,
        stage: &'s mut Stage<A::Acc, A::Output>,
        slices: &VecDeque<Slice<A::Acc>>,
    ) -> &'s mut Live<A::Acc, A::Output>
    where
        A: Aggregate<V>,
    {
        let complete = self.windows.complete_at(window);
        match stage {
            Stage::Own(_) => {}
            Stage::Filling => {
                let mut live = Live::new(window);
                live.hold = Some(complete - 1);
                *stage = Stage::Own(Box::new(live));
            }
            Stage::Told => {
                let from = beginning(window, complete);
                let total = Total::of(self.aggregate, slices, from, complete);
                let value = self.aggregate.output(&total.acc);
                let mut live = Live::new(window);
                live.shown = self.retracting.then(|| on_time(window, value, complete));
                live.acc = Some(total.acc);
                live.elements = total.elements;
                live.trigger = self.told.expect("only such windows are told").clone();
                live.panes = 1;
                live.settled_panes = 1;
                live.passed = true;
                *stage = Stage::Own(Box::new(live));
            }
        }
        match stage {
            Stage::Own(live) => live,
            Stage::Filling | Stage::Told => unreachable!("it was just given a state"),
        }
    }
}

impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> Operator<K, V, W, A> {
    /// Gives a window a state of its own, whatever it was.
    pub(crate) fn give_own(&mut self, id: KeyId, index: usize) {
        let keyed = &mut self.keys[id as usize];
        let placed = &mut keyed.windows[index];
        let plain = Plain {
            windows: &self.windows,
            aggregate: &self.aggregate,
            told: self.told.as_ref(),
            retracting: self.retracting,
        };
        plain.own(placed.window, &mut placed.stage, &keyed.slices);
    }

    /// Moves the sums of keys on to their windows that are due.
    ///
    /// What that takes lies somewhere else in memory for each key: done for all of them in a row, with nothing in
    /// between, the memory of several is waited for at once.
    pub(crate) fn roll(&mut self, due: &[(KeyId, Window)]) {
        if self.told.is_none() {
            return;
        }
        for &(id, window) in due {
            let keyed = &mut self.keys[id as usize];
            let complete = self.windows.complete_at(window);
            let from = beginning(window, complete);
            if self.watermark < complete.saturating_add(self.plan.allowed_lateness) {
                keyed.told.total(&self.aggregate, &keyed.slices, from, complete);
            } else if self.plan.closing == Behavior::FireAlways {
                keyed.over.total(&self.aggregate, &keyed.slices, from, complete);
            }
        }
    }

    /// The on-time pane of a window that has filled. False if that is not all there is to say: then it has a state of
    /// its own, and nothing was said.
    pub(crate) fn tell(
        &mut self,
        id: KeyId,
        index: usize,
        out: &mut PaneOut<K, A::Output>,
    ) -> bool {
        let keyed = &mut self.keys[id as usize];
        let placed = &mut keyed.windows[index];
        if !matches!(placed.stage, Stage::Filling) {
            return false;
        }
        let complete = self.windows.complete_at(placed.window);
        let from = beginning(placed.window, complete);
        let total = keyed.told.total(&self.aggregate, &keyed.slices, from, complete);
        if total.elements <= 0 || total.changes == 0 {
            // All of it was taken back: whether to speak at all is a question for its trigger.
            self.give_own(id, index);
            return false;
        }
        placed.stage = Stage::Told;
        let value = self.aggregate.output(&total.acc);
        out.give((keyed.key.clone(), on_time(placed.window, value, complete)), 1);
        true
    }

    /// The last pane of a window that was told and has not changed since.
    pub(crate) fn repeat(&mut self, id: KeyId, index: usize, out: &mut PaneOut<K, A::Output>) {
        if self.plan.closing == Behavior::FireIfNonEmpty {
            return;
        }
        let keyed = &mut self.keys[id as usize];
        let window = keyed.windows[index].window;
        let complete = self.windows.complete_at(window);
        let from = beginning(window, complete);
        let total = keyed.over.total(&self.aggregate, &keyed.slices, from, complete);
        let shown = on_time(window, self.aggregate.output(&total.acc), complete);
        let info = PaneInfo {
            timing: Timing::Late,
            index: 1,
            non_speculative_index: 1,
            first: false,
            last: true,
        };
        let last = Pane { info, ..shown.clone() };
        if self.retracting {
            out.give((keyed.key.clone(), shown), -1);
        }
        out.give((keyed.key.clone(), last), 1);
    }
}

/// The first pane of a window, as its end is passed.
fn on_time<O>(window: Window, value: O, complete: EventTime) -> Pane<O> {
    let info = PaneInfo {
        timing: Timing::OnTime,
        index: 0,
        non_speculative_index: 0,
        first: true,
        last: false,
    };
    Pane { window, value, at: complete - 1, info }
}
