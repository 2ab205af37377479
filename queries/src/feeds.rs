//! Feeds: when each kind of event was heard of, and how late, in slots of ten seconds of event time.
//!
//! in   admitted events that were told as they happened, but reference data, with the epoch that brought them
//! out  slots (kind, Point<lag>)   one row per kind and slot that had an event; the lag is that of its promptest event
//!
//! The journal's clock is the epoch, so that the lag is a fact of the journal and a replay finds the same. What a base has
//! kept of the journal before it counts as prompt: that it came is known, and no longer when. What a recording
//! holds, or a source's history, is no feed: nobody waits for more of it, and it is as old as it is. The journal says so
//! record by record.

use highwater_dataflow::{EventTime, Millis, Point, Table};
use highwater_model::Name;

use crate::input::Inputs;

/// Length of a slot, ms, and what lags are rounded down to.
pub const SLOT: Millis = 10_000;

/// See the file's head. The lag is in seconds, 0 for what comes ahead of its time.
///
/// State: one entry per kind and slot of the last correction horizon.
pub fn feeds<'s>(input: &Inputs<'s>) -> Table<'s, (Name, Point<i64>)> {
    let horizon = input.correction;
    input
        .arrivals()
        .map(|(kind, point)| {
            let slot = point.at - point.at.rem_euclid(SLOT);
            let late = point.value.map_or(0, |journaled| journaled - point.at);
            let lag = late.max(0) / SLOT * SLOT;
            // The greatest is kept: that of the smallest lag, and of those the first in the journal.
            ((kind, slot), Point { at: -lag, value: -(point.seq as i64), seq: point.seq })
        })
        .latest_per_key_until("slots of feeds", move |(_, slot): &(Name, EventTime), _| {
            slot.saturating_add(2 * horizon + SLOT)
        })
        .map(|((kind, slot), point)| {
            (kind, Point { at: slot, value: -point.at / 1000, seq: point.seq })
        })
}
