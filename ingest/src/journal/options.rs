//! How a journal is set up, and what it is told about each partition.

use std::time::Duration;

use highwater_dataflow::{Epoch, EventTime, Millis};
use highwater_model::Envelope;

use super::replay::decode;
use crate::intake::Codec;

/// Turns a record's bytes back into an event, or says why that is not possible.
pub type Decoder = fn(Codec, &[u8]) -> Result<Envelope, String>;

/// The journal's limits and times. The defaults are those of `highwater run`.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is full at this many bytes of payload.
    pub segment_bytes: u64,
    /// ... or when the clock passes a multiple of this, ms.
    pub segment_ms: Millis,
    /// A segment's log is copied into it at about this many bytes.
    pub log_bytes: u64,
    /// A frame takes deliveries until it holds this many events,
    pub frame_events: usize,
    /// ... this many bytes,
    pub frame_bytes: usize,
    /// ... or this time has passed. Zero: whatever queued up while the previous commit ran.
    pub linger: Duration,
    /// The bounds of the queue before the writer; beyond them submissions are refused as overloaded.
    pub queue_events: usize,
    pub queue_bytes: usize,
    /// The bounds of the outlet to the follower; beyond them it reads the segments.
    pub outlet_frames: usize,
    pub outlet_events: usize,
    /// How often silence is looked at.
    pub tick_every: Duration,
    /// A live partition that says nothing for this long is idle.
    pub idle_after: Duration,
    /// How far quiet time stays behind the clock, ms.
    pub quiet_delay_ms: Millis,
    /// How much is read and checked when the journal is opened.
    pub verify: Verify,
    /// How records are read back.
    pub decode: Decoder,
}

/// What opening checks. Whatever is skipped is still checked when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every frame.
    Everything,
    /// Every frame of the segments that hold anything after this epoch (a checkpoint); of the others only that
    /// they are there and link up.
    After(Epoch),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 1 << 30,
            segment_ms: 3_600_000,
            log_bytes: 4 << 20,
            frame_events: 1_000,
            frame_bytes: 1 << 20,
            linger: Duration::ZERO,
            queue_events: 32_768,
            queue_bytes: 64 << 20,
            outlet_frames: 1_024,
            outlet_events: 65_536,
            tick_every: Duration::from_millis(250),
            idle_after: Duration::from_secs(5),
            quiet_delay_ms: 2_000,
            verify: Verify::Everything,
            decode,
        }
    }
}

impl Options {
    /// The stretch of the clock that `ms` is in: frames of several do not share a segment.
    pub(super) fn hour(&self, ms: EventTime) -> i64 {
        ms.div_euclid(self.segment_ms.max(1))
    }
}

/// A partition as its source describes it at every start. Only name and kind are journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// Unique and stable across restarts ("http", "file:/calls.jsonl"): it finds the number again.
    pub name: String,
    /// The kind of source ("http", "file").
    pub kind: String,
    /// How far its events may be out of order without being late, ms.
    pub disorder_ms: Millis,
    /// Events further ahead of the source's clock are dead letters, ms. `None`: no limit.
    pub max_future_ms: Option<Millis>,
    /// Its silence means that nothing happened. A recording is not live: from its registration on it holds the
    /// watermark until it ends or says that it is idle, and how late its events come says nothing of anybody.
    pub live: bool,
    /// It is asked for its events, and whoever asks says when it was at its head with nothing
    /// ([`super::JournalWriter::declare_idle`]): that it was not heard from is no idleness.
    pub polled: bool,
}

impl PartitionSpec {
    /// A live partition with 5 s of disorder whose events are at most 10 minutes ahead of its clock.
    pub fn live(name: impl Into<String>, kind: impl Into<String>) -> Self {
        PartitionSpec {
            name: name.into(),
            kind: kind.into(),
            disorder_ms: 5_000,
            max_future_ms: Some(600_000),
            live: true,
            polled: false,
        }
    }

    /// Recorded input: it holds the watermark until it ends, and its times are not compared with a clock.
    pub fn recorded(name: impl Into<String>, kind: impl Into<String>) -> Self {
        PartitionSpec { max_future_ms: None, live: false, ..PartitionSpec::live(name, kind) }
    }
}
