//! From a stored frame back to events: what the follower hands out when it reads segments.

use std::sync::Arc;

use highwater_dataflow::latency::Path;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Epoch, PartitionId};
use highwater_model::{Envelope, Event};

use super::frame::{Frame, Record};
use super::options::Decoder;
use super::outlet::{Committed, DeadLetter, FrameMeta, Recorded};
use super::receipts::Receipts;
use crate::intake::Codec;

/// Decodes by codec: the default of `Options::decode`.
pub(super) fn decode(codec: Codec, raw: &[u8]) -> Result<Envelope, String> {
    match codec {
        Codec::Native => highwater_model::decode(raw)
            .map(|decoded| decoded.envelope)
            .map_err(|malformed| malformed.0),
    }
}

/// The codec of a number, if this version has it.
pub(super) fn codec(number: u8) -> Option<Codec> {
    [Codec::Native].into_iter().find(|codec| *codec as u8 == number)
}

/// What a frame says, decoded again. A record that no longer decodes becomes a dead letter.
pub(super) fn reread(
    frame: Frame,
    prev_epoch: Epoch,
    stamps: Arc<Stamps>,
    decode: Decoder,
    name: impl Fn(PartitionId) -> String,
) -> Committed {
    let meta = FrameMeta {
        epoch: frame.epoch,
        prev_epoch,
        first_seq: frame.first_seq,
        last_seq: frame.last_seq(),
        clock_ms: frame.clock_ms,
    };
    let mut envelopes = Vec::with_capacity(frame.records.len());
    let mut dead_letters = Vec::new();
    let mut receipts = Receipts::default();
    let recorded = Recorded::of(&frame.records);
    for mut record in frame.records {
        let decoded = match (record.rejected.take(), codec(record.codec)) {
            (Some(reason), _) => Err(reason),
            (None, Some(codec)) => decode(codec, &record.raw),
            (None, None) => Err(format!("codec {} is not known to this version", record.codec)),
        };
        let at = decoded.as_ref().ok().map(|envelope| envelope.at);
        receipts.note(record.seq, record.partition, record.received_at, at);
        match decoded {
            Ok(envelope) => envelopes.push(Envelope { seq: record.seq, ..envelope }),
            Err(reason) => {
                let partition = name(record.partition);
                dead_letters.push(dead_letter(record, partition, reason));
            }
        }
    }
    let receipts = receipts.finish(name);
    let signals = frame.signals;
    Committed { meta, signals, envelopes, recorded, dead_letters, receipts, stamps }
}

/// A record as a dead letter.
pub(super) fn dead_letter(record: Record, partition: String, reason: String) -> DeadLetter {
    let Record { seq, position, received_at, codec, raw, .. } = record;
    DeadLetter { seq, partition, codec, position, received_at, reason, raw }
}

/// The latency path of an event.
pub fn path_of(event: &Event) -> Path {
    match event {
        Event::AgentStateChange(_) => Path::AgentState,
        Event::ContactArrival(_) | Event::ContactComplete(_) | Event::ContactAbandoned(_) => {
            Path::Contact
        }
        Event::QueueUpdate(_) => Path::Queue,
        Event::ForecastRefresh(_) | Event::ForecastUpdate(_) => Path::Forecast,
        Event::AgentProfile(_)
        | Event::ScheduleUpdate(_)
        | Event::ActivityMapping(_)
        | Event::QueueProfile(_)
        | Event::RuleUpdate(_) => Path::Reference,
    }
}
