//! From jobs to a frame: sequence numbers, the future guard and the signals; and back when the disk is full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use highwater_dataflow::view::Stamps;
use highwater_dataflow::{BEGINNING, Epoch, EventTime, FOREVER, PartitionId, Signal};
use highwater_model::Envelope;

use super::book::Book;
use super::frame::{Frame, Record};
use super::options::PartitionSpec;
use super::outlet::{Committed, FrameMeta, Recorded};
use super::queue::Queued;
use super::receipts::Receipts;
use super::replay::{dead_letter, path_of};
use super::signals::{bound, from_the_future};
use super::store::Tip;
use super::writer::Appended;

/// One delivery or statement of a source, in the order they came.
pub(super) enum Input {
    /// A delivery; with `end`, the partition's last.
    Delivery(Queued),
    Idle(PartitionId),
    /// Somebody waits for processing time.
    Tick,
}

/// A frame to be, with what it was made of.
pub(super) struct Assembled {
    pub frame: Frame,
    pub inputs: Vec<Input>,
}

/// Makes the frame that follows `tip`, with an epoch after `after`. The raw bytes move into it; everything else stays where it was.
pub(super) fn assemble(
    mut inputs: Vec<Input>,
    book: &Book,
    tip: &Tip,
    after: Epoch,
    now_ms: EventTime,
    tick: impl FnOnce(&BTreeMap<PartitionId, Signal>) -> Vec<Signal>,
) -> Assembled {
    let clock = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000);
    let epoch: Epoch = clock.max(after + 1);
    let first_seq = tip.seq + 1;
    let mut registrations = BTreeMap::new();
    let mut records = Vec::new();
    let mut greatest: BTreeMap<PartitionId, EventTime> = BTreeMap::new();
    let mut ticked = false;
    let mut spoke: BTreeMap<PartitionId, Signal> = BTreeMap::new();
    for input in &mut inputs {
        let partition = match input {
            Input::Delivery(queued) => queued.delivery.partition,
            Input::Idle(partition) => *partition,
            Input::Tick => {
                ticked = true;
                continue;
            }
        };
        let entry = book.ledger.partitions.get(&partition);
        match input {
            Input::Delivery(queued) if queued.end && queued.delivery.items.is_empty() => {
                spoke.insert(partition, Signal::Bound { partition, bound: FOREVER });
            }
            Input::Delivery(queued) if queued.delivery.items.is_empty() => continue,
            Input::Delivery(queued) => {
                let spec = book.spec(partition);
                let max = greatest.entry(partition).or_insert(BEGINNING);
                let seq = first_seq + records.len() as u64;
                *max = (*max).max(take_records(queued, spec, seq, &mut records));
                // Several deliveries of a partition make one bound: that of the greatest time among them.
                let before = spoke.remove(&partition);
                let said =
                    (*max > BEGINNING).then(|| bound(entry, *max, spec.disorder_ms)).flatten();
                match (said, before) {
                    (Some(bound), _) => {
                        spoke.insert(partition, Signal::Bound { partition, bound });
                    }
                    (None, Some(Signal::Bound { bound, .. })) if bound != FOREVER => {
                        spoke.insert(partition, Signal::Bound { partition, bound });
                    }
                    (None, _) => {}
                }
                if queued.end {
                    spoke.insert(partition, Signal::Bound { partition, bound: FOREVER });
                }
            }
            Input::Tick => {}
            Input::Idle(_) => {
                let idle = Signal::Idle { partition };
                if entry.is_none_or(|entry| !entry.released()) || spoke.contains_key(&partition) {
                    // What it said before falling silent still holds: both are journaled below.
                    let ended =
                        matches!(spoke.get(&partition), Some(Signal::Bound { bound: FOREVER, .. }));
                    if !ended {
                        spoke.insert(partition, idle);
                    }
                }
            }
        }
        if let Some(registration) = book.registration(partition) {
            registrations.insert(partition, registration);
        }
    }
    let mut signals = Vec::new();
    if ticked {
        signals.push(Signal::Tick);
    }
    for (&partition, &signal) in &spoke {
        if let (Signal::Idle { .. }, Some(&max)) = (signal, greatest.get(&partition))
            && max > BEGINNING
        {
            let entry = book.ledger.partitions.get(&partition);
            let said = bound(entry, max, book.spec(partition).disorder_ms);
            signals.extend(said.map(|bound| Signal::Bound { partition, bound }));
        }
        signals.push(signal);
    }
    signals.extend(tick(&spoke));
    if !(records.is_empty() && signals.is_empty()) {
        // Nothing may move the watermark past a recording before it has spoken.
        for id in book.recordings_to_come().filter(|id| !spoke.contains_key(id)) {
            signals.push(Signal::Bound { partition: id, bound: BEGINNING });
            registrations.extend(book.registration(id).map(|registration| (id, registration)));
        }
    }
    let registrations = registrations.into_values().collect();
    let frame = Frame { epoch, first_seq, clock_ms: now_ms, registrations, signals, records };
    Assembled { frame, inputs }
}

impl Assembled {
    /// True when there is nothing to make durable.
    pub(super) fn is_empty(&self) -> bool {
        self.frame.records.is_empty() && self.frame.signals.is_empty()
    }

    /// What became durable, for the dataflow, and the answer to each sender.
    pub(super) fn committed(
        self,
        prev_epoch: Epoch,
        durable: Instant,
        book: &Book,
    ) -> (Committed, Vec<(Queued, Appended)>) {
        let Frame { epoch, first_seq, clock_ms, signals, records, .. } = self.frame;
        let last_seq = first_seq + records.len() as u64 - 1;
        let meta = FrameMeta { epoch, prev_epoch, first_seq, last_seq, clock_ms };
        let mut envelopes = Vec::with_capacity(records.len());
        let mut dead_letters = Vec::new();
        let mut receipts = Receipts::default();
        let recorded = Recorded::of(&records);
        let mut received = Vec::new();
        let mut answers = Vec::new();
        let mut records = records.into_iter();
        let mut next_seq = first_seq;
        for input in self.inputs {
            let Input::Delivery(mut queued) = input else { continue };
            let first_seq = next_seq;
            let mut rejected = Vec::new();
            let mut counts = BTreeMap::new();
            for (at, item) in queued.delivery.items.drain(..).enumerate() {
                let mut record = records.next().expect("a record was made of every item");
                next_seq = record.seq + 1;
                let (partition, received_at) = (record.partition, record.received_at);
                match (record.rejected.take(), item.decoded) {
                    (None, Ok(envelope)) => {
                        receipts.note(record.seq, partition, received_at, Some(envelope.at));
                        *counts.entry(path_of(&envelope.event)).or_insert(0_u32) += 1;
                        envelopes.push(Envelope { seq: record.seq, ..envelope });
                    }
                    (reason, _) => {
                        receipts.note(record.seq, partition, received_at, None);
                        let reason = reason.expect("what did not decode was rejected");
                        rejected.push((at, reason.clone()));
                        let partition = book.name(record.partition);
                        dead_letters.push(dead_letter(record, partition, reason));
                    }
                }
            }
            if let Some(at) = queued.delivery.received {
                received.extend(counts.into_iter().map(|(path, n)| (path, at, n)));
            }
            answers.push((queued, Appended { epoch, first_seq, durable, rejected }));
        }
        let stamps = Arc::new(Stamps { received, durable: Some(durable), replay: false });
        let receipts = receipts.finish(|partition| book.name(partition));
        let committed =
            Committed { meta, signals, envelopes, recorded, dead_letters, receipts, stamps };
        (committed, answers)
    }

    /// The inputs as they were before, raw bytes back in their places.
    pub(super) fn undo(self) -> Vec<Input> {
        let mut records = self.frame.records.into_iter();
        let mut inputs = self.inputs;
        for input in &mut inputs {
            if let Input::Delivery(queued) = input {
                for item in &mut queued.delivery.items {
                    item.raw = records.next().expect("a record was made of every item").raw;
                }
            }
        }
        inputs
    }
}

/// Makes the records of a delivery; returns the greatest event time among those accepted.
fn take_records(
    queued: &mut Queued,
    spec: &PartitionSpec,
    first_seq: u64,
    records: &mut Vec<Record>,
) -> EventTime {
    let mut greatest = BEGINNING;
    let delivery = &mut queued.delivery;
    for (seq, item) in (first_seq..).zip(&mut delivery.items) {
        let rejected = match &item.decoded {
            Err(reason) => Some(reason.clone()),
            Ok(envelope) => from_the_future(envelope.at, delivery.received_at, spec.max_future_ms),
        };
        if let (None, Ok(envelope)) = (&rejected, &item.decoded) {
            greatest = greatest.max(envelope.at);
        }
        records.push(Record {
            seq,
            partition: delivery.partition,
            codec: item.codec as u8,
            position: item.position,
            received_at: delivery.received_at,
            recorded: delivery.history || !spec.live,
            rejected,
            raw: std::mem::take(&mut item.raw),
        });
    }
    greatest
}
