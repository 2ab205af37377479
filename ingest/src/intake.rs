//! What a source hands over, and what becomes of it: the one road from every source into the journal.

use std::time::Instant;

use highwater_dataflow::{EventTime, PartitionId};
use highwater_model::Envelope;

/// One piece of input with its raw bytes, decoded at the door so that the sender can be told at once.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The bytes as they came: the journal keeps these.
    pub raw: Vec<u8>,
    /// How `raw` is decoded again on replay.
    pub codec: Codec,
    /// Place in the source (file offset, line, broker offset), for dead letters and resumption.
    pub position: u64,
    /// The decoded event, or why it could not be one (a dead letter).
    pub decoded: Result<Envelope, String>,
    /// What of it the decoder did not know.
    pub unknown: Unknown,
}

/// What an event holds that the decoder does not know: for the counters, the bytes are in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    pub fields: u32,
    /// Values of enumerations, read as unknown.
    pub values: u32,
}

impl Intake {
    /// A native event as its sender would post it, decoded at the door like any other.
    pub fn native(raw: Vec<u8>, position: u64) -> Intake {
        let (decoded, unknown) = match highwater_model::decode(&raw) {
            Ok(decoded) => {
                let (fields, values) = (decoded.unknown_fields, decoded.unknown_values);
                (Ok(decoded.envelope), Unknown { fields, values })
            }
            Err(malformed) => (Err(malformed.0), Unknown::default()),
        };
        Intake { raw, codec: Codec::Native, position, decoded, unknown }
    }

    /// Input that was found to be no event before anybody tried to decode it.
    pub fn rejected(raw: Vec<u8>, position: u64, reason: String) -> Intake {
        let unknown = Unknown::default();
        Intake { raw, codec: Codec::Native, position, decoded: Err(reason), unknown }
    }
}

/// A group of intakes of one partition that is journaled, and acknowledged, as a whole.
#[derive(Debug)]
pub struct Delivery {
    pub partition: PartitionId,
    pub items: Vec<Intake>,
    /// When the first byte came in; for latency only. `None` for what is told long after it happened: a recording, or
    /// the history a source begins with, is not late by our doing.
    pub received: Option<Instant>,
    /// What the source's clock said, ms UTC: wall clock for live sources, simulated for replays. Journaled; the
    /// future guard compares event times with it.
    pub received_at: EventTime,
    /// It is told as history: what happened before a live source was listened to for the first time. Journaled, so that
    /// nobody takes it for late. Of a recording all is.
    pub history: bool,
}

/// The decoder of a record's raw bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// The product's own JSON events (`highwater_model::decode`).
    Native = 1,
}
