//! Where an element belongs: window functions.

use crate::time::{BEGINNING, EventTime, FOREVER, Millis};

use super::Window;

/// Assigns elements to windows by their event time. Implement it for windows of your own.
pub trait WindowFn: 'static {
    /// Appends the windows of an element at `at`, each of which holds it, ascending. A merging function assigns
    /// exactly one.
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>);

    /// Whether overlapping windows of a key become one.
    fn is_merging(&self) -> bool {
        false
    }

    /// The watermark at which every element of the window has come: its end, unless the end itself belongs to it.
    fn complete_at(&self, window: Window) -> EventTime {
        window.end
    }

    /// A stretch around `at`, half open, all of whose elements have the same windows. The coarser, the faster.
    fn slice(&self, at: EventTime) -> Window {
        Window { start: at, end: at.saturating_add(1) }
    }

    /// Whether windows overlap and are made of slices, so that keeping each slice once is cheaper than adding every
    /// element to each of its windows.
    fn shares_slices(&self) -> bool {
        false
    }
}

impl<W: WindowFn + ?Sized> WindowFn for Box<W> {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        (**self).assign(at, windows);
    }
    fn is_merging(&self) -> bool {
        (**self).is_merging()
    }
    fn complete_at(&self, window: Window) -> EventTime {
        (**self).complete_at(window)
    }
    fn slice(&self, at: EventTime) -> Window {
        (**self).slice(at)
    }
    fn shares_slices(&self) -> bool {
        (**self).shares_slices()
    }
}

/// Which end of a window belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Closed {
    /// `[start, end)`.
    #[default]
    Left,
    /// `(start, end]`.
    Right,
}

impl Closed {
    /// How much later than left-closed windows of the same name these begin and end.
    fn shift(self) -> Millis {
        match self {
            Closed::Left => 0,
            Closed::Right => 1,
        }
    }
}

/// The greatest multiple of `size` (plus `offset`) that is not after `at`.
fn floor(at: EventTime, size: Millis, offset: Millis) -> EventTime {
    // Also where `at - offset` is no number, which only the first and last instants have to fear.
    at.saturating_sub(at.wrapping_sub(offset).rem_euclid(size))
}

/// Windows of one size, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindows {
    size: Millis,
    offset: Millis,
    closed: Closed,
}

impl FixedWindows {
    /// Windows of `size` ms from the Unix epoch on. Panics unless `size` is positive.
    pub fn of(size: Millis) -> Self {
        assert!(size > 0, "a window needs a positive size, not {size} ms");
        FixedWindows { size, offset: 0, closed: Closed::Left }
    }

    /// Moves the start of every window.
    pub fn offset(self, offset: Millis) -> Self {
        FixedWindows { offset, ..self }
    }

    pub fn closed(self, closed: Closed) -> Self {
        FixedWindows { closed, ..self }
    }
}

impl WindowFn for FixedWindows {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        let start = floor(at.saturating_sub(self.closed.shift()), self.size, self.offset);
        windows.push(Window { start, end: start.saturating_add(self.size) });
    }

    fn complete_at(&self, window: Window) -> EventTime {
        window.end.saturating_add(self.closed.shift())
    }

    fn slice(&self, at: EventTime) -> Window {
        let start = floor(at, self.size, self.offset + self.closed.shift());
        Window { start, end: start.saturating_add(self.size) }
    }
}

/// Windows of one size that begin every `period`: they overlap when the period is smaller than the size, and leave
/// gaps when it is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    size: Millis,
    period: Millis,
    offset: Millis,
    closed: Closed,
    slice: Millis,
}

impl SlidingWindows {
    /// Windows of `size` ms; [`SlidingWindows::every`] says how often one begins. Panics unless `size` is positive.
    pub fn of(size: Millis) -> Self {
        assert!(size > 0, "a window needs a positive size, not {size} ms");
        SlidingWindows { size, period: size, offset: 0, closed: Closed::Left, slice: size }
    }

    /// One window begins every `period` ms. Panics unless it is positive.
    pub fn every(self, period: Millis) -> Self {
        assert!(period > 0, "windows need a positive period, not {period} ms");
        let (mut a, mut b) = (self.size, period);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        SlidingWindows { period, slice: a, ..self }
    }

    pub fn offset(self, offset: Millis) -> Self {
        SlidingWindows { offset, ..self }
    }

    pub fn closed(self, closed: Closed) -> Self {
        SlidingWindows { closed, ..self }
    }
}

impl WindowFn for SlidingWindows {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        let at = at.saturating_sub(self.closed.shift());
        let last = floor(at, self.period, self.offset);
        let from = windows.len();
        let mut start = last;
        while start > at.saturating_sub(self.size) {
            windows.push(Window { start, end: start.saturating_add(self.size) });
            start = start.saturating_sub(self.period);
        }
        windows[from..].reverse();
    }

    fn complete_at(&self, window: Window) -> EventTime {
        window.end.saturating_add(self.closed.shift())
    }

    fn slice(&self, at: EventTime) -> Window {
        let start = floor(at, self.slice, self.offset + self.closed.shift());
        Window { start, end: start.saturating_add(self.slice) }
    }

    fn shares_slices(&self) -> bool {
        self.size > self.period
    }
}

/// One window per burst of activity of a key: elements closer than `gap` belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    gap: Millis,
}

impl Sessions {
    /// Elements exactly `gap` ms apart are two sessions. Panics unless `gap` is positive.
    pub fn with_gap(gap: Millis) -> Self {
        assert!(gap > 0, "sessions need a positive gap, not {gap} ms");
        Sessions { gap }
    }
}

impl WindowFn for Sessions {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        windows.push(Window { start: at, end: at.saturating_add(self.gap) });
    }

    fn is_merging(&self) -> bool {
        true
    }
}

/// All of time. Its end is reached when the input ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalWindow;

impl WindowFn for GlobalWindow {
    fn assign(&self, _at: EventTime, windows: &mut Vec<Window>) {
        windows.push(Window { start: BEGINNING, end: FOREVER });
    }

    fn slice(&self, _at: EventTime) -> Window {
        Window { start: BEGINNING, end: FOREVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(windows: &impl WindowFn, at: EventTime) -> Vec<(EventTime, EventTime)> {
        let mut out = Vec::new();
        windows.assign(at, &mut out);
        out.iter().map(|w| (w.start, w.end)).collect()
    }

    #[test]
    fn an_element_at_the_end_belongs_to_the_next_window_unless_closed_right() {
        let left = FixedWindows::of(10);
        assert_eq!(assigned(&left, 9), [(0, 10)]);
        assert_eq!(assigned(&left, 10), [(10, 20)]);
        assert_eq!(assigned(&left, -1), [(-10, 0)]);
        let right = left.closed(Closed::Right);
        assert_eq!(assigned(&right, 10), [(0, 10)]);
        assert_eq!(assigned(&right, 11), [(10, 20)]);
        assert_eq!(right.complete_at(Window { start: 0, end: 10 }), 11);
    }

    #[test]
    fn sliding_windows_that_do_not_divide() {
        let sliding = SlidingWindows::of(100).every(30);
        assert_eq!(assigned(&sliding, 23), [(-60, 40), (-30, 70), (0, 100)]);
        assert_eq!(assigned(&sliding, 40), [(-30, 70), (0, 100), (30, 130)]);
        let gaps = SlidingWindows::of(10).every(30);
        assert_eq!(assigned(&gaps, 5), [(0, 10)]);
        assert!(assigned(&gaps, 15).is_empty());
    }

    #[test]
    fn the_ends_of_time_have_windows() {
        for at in [EventTime::MIN, EventTime::MIN + 1, EventTime::MAX - 1, EventTime::MAX] {
            let mut out = Vec::new();
            FixedWindows::of(10).closed(Closed::Right).assign(at, &mut out);
            SlidingWindows::of(10).every(3).offset(2).assign(at, &mut out);
            Sessions::with_gap(5).assign(at, &mut out);
            assert!(out.iter().all(|window| window.start <= window.end), "{out:?}");
        }
    }

    #[test]
    fn elements_of_a_slice_share_their_windows() {
        let all: Vec<Box<dyn WindowFn>> = vec![
            Box::new(FixedWindows::of(7).offset(3)),
            Box::new(FixedWindows::of(7).closed(Closed::Right)),
            Box::new(SlidingWindows::of(10).every(4).offset(1)),
            Box::new(SlidingWindows::of(9).every(3).closed(Closed::Right)),
            Box::new(SlidingWindows::of(3).every(9)),
        ];
        for windows in &all {
            for at in -40..40 {
                let slice = windows.slice(at);
                assert!(slice.start <= at && at < slice.end);
                let (mut here, mut there) = (Vec::new(), Vec::new());
                windows.assign(at, &mut here);
                windows.assign(slice.start, &mut there);
                assert_eq!(here, there, "at {at}, slice {slice:?}");
            }
        }
    }
}
