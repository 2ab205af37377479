//! What sources say of event time: the journaled inputs of the watermark.

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// One ordered stretch of a source: a file, a connection, a broker partition, a feed. Stable across restarts.
pub type PartitionId = u32;

/// A statement about event time, journaled with its epoch so that a replay closes the same windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signal {
    /// No event before `bound` is expected from `partition` (greatest event time seen less its disorder).
    /// `FOREVER`: the partition has ended.
    Bound { partition: PartitionId, bound: EventTime },
    /// `partition` was polled at its head and had nothing for its idle time: it no longer holds the watermark.
    Idle { partition: PartitionId },
    /// Quiet time: when every partition is idle, no event before `bound` is expected from anywhere.
    Clock { bound: EventTime },
    /// Nothing but the passing of processing time: operators that wait for it look at the epoch.
    Tick,
}
