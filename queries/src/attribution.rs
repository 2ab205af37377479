//! Attribution: in which interval a contact's figures count.
//!
//! The trade does not agree, and neither do its products: a counter in the interval of its own event (Genesys), all of
//! a contact when it ends (Amazon Connect, Avaya CMS), or time spread over the intervals in which it was spent. A
//! contact handled from 05:23 to 06:15 puts 52 minutes into the half hour from 06:00 (completed) or 7, 30 and 15 into
//! three of them (prorated); one that arrives at 7:28 and is answered at 7:32 is answered in the half hour from 7:30
//! (event) or from 7:00 (offered).

use highwater_dataflow::window::Closed;
use highwater_dataflow::{Millis, Span, Table};
use highwater_model::QueueId;
use serde::Deserialize;

use crate::contacts::{Outcome, Told};
use crate::measures::{Measures, Promise};

/// The `[queries.attribution]` table of the configuration: for each group of metrics, where it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attribution {
    /// Arrived, offered, answered, abandoned and completed contacts, with their waits and what follows from those.
    /// Default event. Counts cannot be prorated.
    pub counts: Attribute,
    /// Handling time. Default event, which is its contact's completion.
    pub handle_time: Attribute,
}

/// The instant, or stretch of time, that a figure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// When the contact was offered.
    Offered,
    /// When it happened.
    Event,
    /// When the contact was over: one that is open counts nothing yet, except as in progress.
    Completed,
    /// Spread over the time it took.
    Prorated,
}

impl Default for Attribution {
    fn default() -> Self {
        Attribution { counts: Attribute::Event, handle_time: Attribute::Event }
    }
}

impl Attribution {
    /// What one outcome counts, and when. Handling time that is prorated is left to [`prorated`].
    pub fn place(
        self,
        at: i64,
        told: &Told,
        promise: Promise,
    ) -> impl Iterator<Item = (i64, Measures)> + use<> {
        let all = Measures::of(&told.outcome, promise);
        let place = |attribute| match attribute {
            Attribute::Event => Some(at),
            Attribute::Offered => Some(told.offered_at),
            Attribute::Completed => told.ended_at,
            Attribute::Prorated => None,
        };
        let mut parts = [None; 3];
        if self == Attribution::default() {
            parts[0] = Some((at, all));
        } else {
            let Measures { in_progress, handle_ms, .. } = all;
            let counts = Measures { in_progress: 0, handle_ms: 0, ..all };
            let zero = Measures::default();
            // What is in progress is so where it arrived.
            let live = (at, Measures { in_progress, ..zero });
            let handled = place(self.handle_time).map(|at| (at, Measures { handle_ms, ..zero }));
            let counted = place(self.counts).map(|at| (at, counts));
            let some = |part: &(i64, Measures)| part.1 != zero;
            parts = [counted.filter(some), handled.filter(some), Some(live).filter(some)];
        }
        parts.into_iter().flatten()
    }
}

/// Of a contact that took longer than this, the rest is not prorated: no contact is handled for a day.
const LONGEST: Millis = 86_400_000;

/// Handling time of the completed, spread over the steps of a clock.
pub(crate) fn prorated<'s>(
    told: Table<'s, (QueueId, (i64, Told))>,
    name: &str,
    step: Millis,
    closed: Closed,
) -> Table<'s, (QueueId, (i64, Measures))> {
    let spells = told.flat_map(|(queue, (at, told))| match told.outcome {
        Outcome::Completed { handle } if handle > 0 => {
            let from = at - handle.min(LONGEST);
            Some((queue, Span { from, to: at, value: (), seq: 0 }))
        }
        _ => None,
    });
    spells.slices(name, step, LONGEST, |_| false).map(move |(queue, slice)| {
        let handle_ms = slice.to - slice.from;
        (queue, (instant(&slice, closed), Measures { handle_ms, ..Measures::default() }))
    })
}

/// The instant by which a slice falls into the interval it lies in.
pub(crate) fn instant<V>(slice: &Span<V>, closed: Closed) -> i64 {
    if closed == Closed::Right { slice.to } else { slice.from }
}
