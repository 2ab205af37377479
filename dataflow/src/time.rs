//! The two times, and the shapes data takes in event time.

use serde::{Deserialize, Serialize};

/// Differential's timestamp and the unit of commit: microseconds of the journal's clock, strictly increasing.
pub type Epoch = u64;

/// When something happened: milliseconds since the Unix epoch, UTC. Data, never a timestamp of the dataflow.
pub type EventTime = i64;

/// A length of event time in milliseconds.
pub type Millis = i64;

/// Before every event.
pub const BEGINNING: EventTime = i64::MIN;

/// The end of a span that is still open; the watermark of an input that has ended.
pub const FOREVER: EventTime = i64::MAX;

/// A value that holds from `at` until the next point of its key.
///
/// `seq` is the journal position of the record that said so: provenance, not identity. Of two points at the
/// same instant the greater value wins, so that arrival order never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point<V> {
    pub at: EventTime,
    pub value: V,
    pub seq: u64,
}

/// A value that holds over `[from, to)`; `to` is [`FOREVER`] while the end is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span<V> {
    pub from: EventTime,
    pub to: EventTime,
    pub value: V,
    pub seq: u64,
}

impl<V> Span<V> {
    /// The same stretch of time with another value.
    pub fn with<W>(self, value: W) -> Span<W> {
        Span { from: self.from, to: self.to, value, seq: self.seq }
    }
}
