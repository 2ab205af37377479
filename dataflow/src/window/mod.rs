//! Windows, triggers and panes: Beam's model, with retractions.
//!
//! ```text
//! rows (K, (at, V)) ── window_into ──► where: FixedWindows, SlidingWindows, Sessions, …
//!                      .trigger        when:  Trigger
//!                      .accumulation   how refinements relate
//!                      .aggregate      what:  Aggregate ──► panes (K, Pane), late (K, LateElement)
//! ```
//!
//! A window is past its end when the watermark has reached it, and expired when the watermark has reached its end
//! plus the allowed lateness. On expiry what is pending fires as the final pane, the window's state leaves memory
//! and its last row stays in the table. State is bounded by this rule alone.

mod aggregate;
mod assign;
mod calendar;
mod filling;
mod multiset;
mod operator;
mod passing;
mod plain;
mod quantiles;
mod sessions;
mod state;
mod sums;
mod trigger;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use serde::{Deserialize, Serialize};

pub use aggregate::{Aggregate, Count, Group, Mean, Only, Over, Ratio, Sum, only, over};
pub use assign::{Closed, FixedWindows, GlobalWindow, Sessions, SlidingWindows, WindowFn};
pub use calendar::{CalendarDays, CalendarIntervals};
pub use multiset::{Collect, Distinct, Max, Min, TopK};
pub use quantiles::{Histogram, Quantiles};
pub use trigger::Trigger;

use crate::Datum;
use crate::closed::{closed_with_side, route};
use crate::table::Table;
use crate::time::{Epoch, EventTime, Millis};

/// A stretch of event time, `[start, end)` unless its window function says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    pub start: EventTime,
    pub end: EventTime,
}

/// What a window said, and when in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pane<O> {
    pub window: Window,
    pub value: O,
    /// The pane's event time, by the timestamp combiner; the last instant of the window unless told otherwise.
    pub at: EventTime,
    pub info: PaneInfo,
}

/// A pane's place among the panes of its window. Starts afresh when sessions merge into a new window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PaneInfo {
    pub timing: Timing,
    /// From 0, over all panes of the window.
    pub index: u32,
    /// From 0, over the panes that are not early; -1 for early ones.
    pub non_speculative_index: i32,
    pub first: bool,
    /// Nothing more will come from this window.
    pub last: bool,
}

/// When a pane fired, seen from its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timing {
    /// Before the watermark passed the end of the window.
    Early,
    /// The first after.
    OnTime,
    /// Any later one, or the first when all of the window's elements were late.
    Late,
}

/// How settled a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowStatus {
    /// The window is still filling.
    Open,
    /// The window is complete, but late elements may correct it.
    Closing,
    /// Nothing can change it any more.
    Final,
}

impl RowStatus {
    /// As written to views.
    pub fn as_str(self) -> &'static str {
        match self {
            RowStatus::Open => "open",
            RowStatus::Closing => "closing",
            RowStatus::Final => "final",
        }
    }
}

impl<O> Pane<O> {
    pub fn status(&self) -> RowStatus {
        match self.info {
            PaneInfo { last: true, .. } => RowStatus::Final,
            PaneInfo { timing: Timing::Early, .. } => RowStatus::Open,
            PaneInfo { .. } => RowStatus::Closing,
        }
    }
}

/// An element that a window would not take, or would not give up: once per element and window. Never retracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LateElement {
    pub window: Window,
    pub at: EventTime,
    /// How far the watermark was ahead of the element, ms.
    pub lateness: Millis,
    pub reason: LateReason,
    /// The element was to be taken away, not added.
    pub deletion: bool,
}

/// Why a window would not take an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LateReason {
    /// The watermark had passed the window's end plus the allowed lateness.
    Expired,
    /// The window's trigger had finished.
    Closed,
    /// A deletion of an element that no window holds.
    Unknown,
}

/// How the panes of one window relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Accumulation {
    /// Each pane holds what came since the one before. Panes are only inserted.
    Discarding,
    /// Each pane holds everything. Panes are only inserted.
    Accumulating,
    /// Each pane holds everything and replaces the one before: a table with one row per key and window.
    #[default]
    AccumulatingRetracting,
}

/// Whether a pane without news is worth emitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    FireAlways,
    FireIfNonEmpty,
}

/// Which event time a pane gets from its elements. Elements behind the watermark do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampCombiner {
    #[default]
    EndOfWindow,
    Earliest,
    Latest,
}

/// What an operator was told.
pub(crate) struct Plan {
    trigger: Trigger,
    allowed_lateness: Millis,
    accumulation: Accumulation,
    closing: Behavior,
    on_time: Behavior,
    timestamps: TimestampCombiner,
    clock: Rc<dyn Fn(Epoch) -> Millis>,
}

/// A keyed table being windowed; ends in [`Windowed::aggregate`].
pub struct Windowed<'s, K: Datum, V: Datum, W: WindowFn> {
    rows: Table<'s, (K, (EventTime, V))>,
    name: String,
    windows: W,
    plan: Plan,
}

/// What windows said, and what they would not take.
#[derive(Clone)]
pub struct Panes<'s, K: Datum, O: Datum> {
    pub panes: Table<'s, (K, Pane<O>)>,
    pub late: Table<'s, (K, LateElement)>,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, (EventTime, V))> {
    /// Puts rows into windows by their event time. Without further words: default trigger, no allowed lateness,
    /// accumulating and retracting.
    pub fn window_into<W: WindowFn>(self, name: &str, windows: W) -> Windowed<'s, K, V, W> {
        let plan = Plan {
            trigger: Trigger::Default,
            allowed_lateness: 0,
            accumulation: Accumulation::default(),
            closing: Behavior::FireIfNonEmpty,
            on_time: Behavior::FireAlways,
            timestamps: TimestampCombiner::default(),
            clock: Rc::new(|epoch| (epoch / 1000) as Millis),
        };
        Windowed { rows: self, name: name.to_owned(), windows, plan }
    }
}

impl<'s, K: Datum, V: Datum, W: WindowFn> Windowed<'s, K, V, W> {
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.plan.trigger = trigger;
        self
    }

    /// How long after its end a window still takes elements, ms of event time.
    pub fn allowed_lateness(mut self, lateness: Millis) -> Self {
        assert!(lateness >= 0, "allowed lateness is not negative: {lateness} ms");
        self.plan.allowed_lateness = lateness;
        self
    }

    pub fn accumulation(mut self, accumulation: Accumulation) -> Self {
        self.plan.accumulation = accumulation;
        self
    }

    /// Whether the final pane comes even when nothing is new. Default: if there is news. With `FireAlways` every
    /// row ends with the status `Final`.
    pub fn closing_behavior(mut self, behavior: Behavior) -> Self {
        self.plan.closing = behavior;
        self
    }

    /// Whether the on-time pane comes even when nothing is new. Default: always.
    pub fn on_time_behavior(mut self, behavior: Behavior) -> Self {
        self.plan.on_time = behavior;
        self
    }

    pub fn timestamp_combiner(mut self, combiner: TimestampCombiner) -> Self {
        self.plan.timestamps = combiner;
        self
    }

    /// Processing time, ms, as a function of the epoch. Default: the epoch's own, which is in microseconds.
    pub fn clock(mut self, clock: impl Fn(Epoch) -> Millis + 'static) -> Self {
        self.plan.clock = Rc::new(clock);
        self
    }

    /// Runs `aggregate` over every window of every key.
    ///
    /// State: per key and window that has not expired one accumulator and the trigger's state (sliding windows share
    /// the accumulators of their slices; sessions keep one per distinct event time, so that deletions can split
    /// them). It shrinks as windows expire.
    pub fn aggregate<A: Aggregate<V>>(self, aggregate: A) -> Panes<'s, K, A::Output> {
        let operator = operator::Operator::new(self.windows, aggregate, self.plan);
        let (panes, late) = closed_with_side(
            self.rows,
            &self.name,
            |(key, _): &(K, (EventTime, V))| route(key),
            operator,
            |operator: &mut operator::Operator<K, V, W, A>, now, rows, out, late| {
                operator.epoch(now, rows, out, late);
            },
        );
        Panes { panes, late }
    }
}
