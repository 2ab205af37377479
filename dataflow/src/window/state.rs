//! What an operator remembers: per key its live windows, shared slices and this epoch's changes.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use crate::time::{EventTime, Millis};

use super::sums::Rolling;
use super::trigger::TriggerState;
use super::{LateReason, Pane, Window};

/// One window of one key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Live<A, O> {
    pub(crate) window: Window,
    /// What has accumulated. `None` for windows made of shared slices until they first speak: their slices know.
    pub(crate) acc: Option<A>,
    /// The row now in the table for this window. Only when retracting.
    pub(crate) shown: Option<Pane<O>>,
    /// Rows of windows merged into this one, which its next pane replaces.
    pub(crate) shown_before: Vec<Pane<O>>,
    pub(crate) trigger: TriggerState,
    /// Elements now in `acc`.
    pub(crate) elements: i64,
    /// Changes since the last pane.
    pub(crate) changes: i64,
    /// Event time of the next pane by its timely elements, before the combiner's default.
    pub(crate) hold: Option<EventTime>,
    /// Panes emitted so far: the next index.
    pub(crate) panes: u32,
    /// Panes emitted so far that were not early: the next non-speculative index.
    pub(crate) settled_panes: i32,
    /// The end has been dealt with.
    pub(crate) passed: bool,
    /// The trigger has finished: nothing is taken any more.
    pub(crate) closed: bool,
    /// In the list of windows to look at.
    pub(crate) dirty: bool,
    /// Processing time for which a wake-up is set.
    pub(crate) alarm: Millis,
    /// Only sessions that accumulate: elements by event time, ascending, so that deletions can split them.
    pub(crate) points: Vec<Point<A>>,
}

/// The elements of a session at one instant.
#[derive(Serialize, Deserialize)]
pub(crate) struct Point<A> {
    pub(crate) at: EventTime,
    pub(crate) elements: i64,
    pub(crate) acc: A,
}

/// A window in its key's list. The list is searched more than its windows are looked at, so it holds only their bounds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Placed<A, O> {
    pub(crate) window: Window,
    pub(crate) stage: Stage<A, O>,
}

/// How much of a window is its own.
#[derive(Serialize, Deserialize)]
pub(crate) enum Stage<A, O> {
    /// Nothing: it fills, and its slices know with what.
    Filling,
    /// Nothing: it has had its on-time pane, and its slices are as they were then.
    Told,
    Own(Box<Live<A, O>>),
}

impl<A, O> Placed<A, O> {
    pub(crate) fn new(live: Live<A, O>) -> Self {
        Placed { window: live.window, stage: Stage::Own(Box::new(live)) }
    }

    pub(crate) fn filling(window: Window) -> Self {
        Placed { window, stage: Stage::Filling }
    }

    /// The window by itself.
    pub(crate) fn into_live(self) -> Live<A, O> {
        match self.stage {
            Stage::Own(live) => *live,
            Stage::Filling | Stage::Told => panic!("{NOT_ITS_OWN}"),
        }
    }
}

/// Only windows of shared slices have nothing of their own, and they are given a state before they are asked for it.
const NOT_ITS_OWN: &str = "a window was asked for what its slices know";

impl<A, O> Deref for Placed<A, O> {
    type Target = Live<A, O>;
    #[inline]
    fn deref(&self) -> &Live<A, O> {
        match &self.stage {
            Stage::Own(live) => live,
            Stage::Filling | Stage::Told => panic!("{NOT_ITS_OWN}"),
        }
    }
}

impl<A, O> DerefMut for Placed<A, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Live<A, O> {
        match &mut self.stage {
            Stage::Own(live) => live,
            Stage::Filling | Stage::Told => panic!("{NOT_ITS_OWN}"),
        }
    }
}

/// No wake-up is set.
pub(crate) const NO_ALARM: Millis = Millis::MAX;

impl<A, O> Live<A, O> {
    pub(crate) fn new(window: Window) -> Self {
        Live {
            window,
            acc: None,
            shown: None,
            shown_before: Vec::new(),
            trigger: TriggerState::default(),
            elements: 0,
            changes: 0,
            hold: None,
            panes: 0,
            settled_panes: 0,
            passed: false,
            closed: false,
            dirty: false,
            alarm: NO_ALARM,
            points: Vec::new(),
        }
    }
}

/// What several windows share: the elements of one slice.
#[derive(Serialize, Deserialize)]
pub(crate) struct Slice<A> {
    pub(crate) start: EventTime,
    pub(crate) acc: A,
    pub(crate) elements: i64,
    /// Elements that came or went, ever.
    pub(crate) changes: i64,
    /// The watermark at which the first of its windows is complete. Until then, windows need not be told of changes.
    pub(crate) quiet_until: EventTime,
}

/// The changes of one epoch in one slice.
pub(crate) struct Pending<A> {
    pub(crate) slice: Window,
    pub(crate) acc: A,
    pub(crate) inserted: i64,
    pub(crate) deleted: i64,
}

/// One key. What belongs to one epoch is empty between epochs, and not kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Keyed<K, A, O> {
    pub(crate) key: K,
    /// By start, then end.
    pub(crate) windows: VecDeque<Placed<A, O>>,
    /// Shared slices, by start.
    pub(crate) slices: VecDeque<Slice<A>>,
    /// The sum of the last window that was told, and of the last that expired.
    #[serde(skip, default = "Rolling::default")]
    pub(crate) told: Rolling<A>,
    #[serde(skip, default = "Rolling::default")]
    pub(crate) over: Rolling<A>,
    #[serde(skip, default = "Vec::new")]
    pub(crate) pending: Vec<Pending<A>>,
    /// Windows that refused the elements of a slice in this epoch.
    #[serde(skip)]
    pub(crate) refused: Vec<(EventTime, Window, LateReason)>,
}

impl<K, A, O> Keyed<K, A, O> {
    pub(crate) fn new(key: K) -> Self {
        Keyed {
            key,
            windows: VecDeque::new(),
            slices: VecDeque::new(),
            told: Rolling::default(),
            over: Rolling::default(),
            pending: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn forget_slices(&mut self) {
        self.slices = VecDeque::new();
        self.told.clear();
        self.over.clear();
    }

    /// Where the window is, or where it would be.
    #[inline]
    pub(crate) fn find(&self, window: Window) -> Result<usize, usize> {
        // Newest windows are the busiest: look from the end.
        match self.windows.back() {
            None => Err(0),
            Some(last) if last.window < window => Err(self.windows.len()),
            Some(last) if last.window == window => Ok(self.windows.len() - 1),
            Some(_) if self.windows[0].window == window => Ok(0),
            Some(last) => {
                let first = self.windows[0].window.start;
                let guess = guess(window.start, first, last.window.start, self.windows.len());
                let index = first_not(&self.windows, guess, |placed| placed.window < window);
                if self.windows[index].window == window { Ok(index) } else { Err(index) }
            }
        }
    }

    /// Where the window is if it is still where it was put.
    #[inline]
    pub(crate) fn find_near(&self, window: Window, hint: usize) -> Result<usize, usize> {
        match self.windows.get(hint) {
            Some(placed) if placed.window == window => Ok(hint),
            _ => self.find(window),
        }
    }

    /// Where the slice is, or where it would be.
    #[inline]
    pub(crate) fn find_slice(&self, start: EventTime) -> Result<usize, usize> {
        match self.slices.back() {
            None => Err(0),
            Some(last) if last.start < start => Err(self.slices.len()),
            Some(last) if last.start == start => Ok(self.slices.len() - 1),
            Some(_) => {
                let index = first_slice(&self.slices, start);
                if self.slices[index].start == start { Ok(index) } else { Err(index) }
            }
        }
    }

    /// The pending changes of the slice `at` falls in.
    #[inline]
    pub(crate) fn pending_at(
        &mut self,
        at: EventTime,
        slice: impl FnOnce() -> Window,
        zero: impl FnOnce() -> A,
    ) -> &mut Pending<A> {
        // Far more slices than this in one epoch and key only come from sessions, which sort them anyway.
        const LOOK_BACK: usize = 24;
        let recent = self.pending.len().saturating_sub(LOOK_BACK);
        let known = self.pending[recent..]
            .iter()
            .rposition(|pending| pending.slice.start <= at && at < pending.slice.end);
        let index = if let Some(index) = known {
            recent + index
        } else {
            let fresh = Pending { slice: slice(), acc: zero(), inserted: 0, deleted: 0 };
            self.pending.push(fresh);
            self.pending.len() - 1
        };
        &mut self.pending[index]
    }
}

/// The first slice that begins at `at` or after it.
#[inline]
pub(crate) fn first_slice<A>(slices: &VecDeque<Slice<A>>, at: EventTime) -> usize {
    match slices.back() {
        Some(last) if at <= last.start => {
            let guess = guess(at, slices[0].start, last.start, slices.len());
            first_not(slices, guess, |slice| slice.start < at)
        }
        _ => slices.len(),
    }
}

/// Where `at` would be among `len` places that lie evenly from `first` to `last`: windows and slices mostly do, one
/// beside the other, with a gap here and there.
#[inline]
fn guess(at: EventTime, first: EventTime, last: EventTime, len: usize) -> usize {
    let (at, first, last) = (at as f64, first as f64, last as f64);
    ((at - first) / (last - first) * (len - 1) as f64 + 0.5) as usize
}

/// Where the first is for which `before` does not hold, in a list that has those for which it does at its front.
///
/// A long list lies far apart in memory: it is halved only if that place is not near the one guessed.
#[inline]
fn first_not<T>(list: &VecDeque<T>, guess: usize, before: impl Fn(&T) -> bool) -> usize {
    const NEAR: usize = 8;
    let mut index = guess.min(list.len());
    for _ in 0..NEAR {
        if list.get(index).is_some_and(&before) {
            index += 1;
        } else if index > 0 && !before(&list[index - 1]) {
            index -= 1;
        } else {
            return index;
        }
    }
    list.partition_point(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However far from even a list is, and whatever is looked for.
    #[test]
    fn a_guess_never_shows() {
        let lists: [Vec<i64>; 6] = [
            vec![7],
            vec![-30, 90_000],
            (0..300).map(|nth| nth * 10).collect(),
            (0..300).filter(|nth| nth % 7 < 3).map(|nth| nth * 10).collect(),
            (0..100).chain(9_000..9_100).map(|nth| nth * 10).collect(),
            (0..60).map(|nth| 1_i64 << nth).collect(),
        ];
        for starts in lists {
            let slice =
                |&start: &i64| Slice { start, acc: (), elements: 0, changes: 0, quiet_until: 0 };
            let slices: VecDeque<Slice<()>> = starts.iter().map(slice).collect();
            let near = starts.iter().flat_map(|start| [start - 1, *start, start + 1]);
            for at in near.chain([EventTime::MIN, 0, EventTime::MAX]) {
                assert_eq!(first_slice(&slices, at), starts.partition_point(|start| *start < at));
            }
        }
    }
}
