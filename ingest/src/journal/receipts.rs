//! What a frame holds of each partition: how much came, when, and how long after it happened.

use std::collections::BTreeMap;

use highwater_dataflow::{EventTime, Millis, PartitionId};

/// One partition's part of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of its first record in the frame.
    pub seq: u64,
    /// The partition's name.
    pub partition: String,
    /// The source's clock when the last of it came, ms UTC.
    pub received_at: EventTime,
    pub events: u32,
    pub dead_letters: u32,
    /// The greatest event time.
    pub newest: Option<EventTime>,
    /// The source's clock less event time, ms, ascending, with how many events came so late.
    pub lags: Vec<(Millis, u32)>,
}

/// Receipts being written.
#[derive(Default)]
pub(super) struct Receipts(BTreeMap<PartitionId, (Receipt, BTreeMap<Millis, u32>)>);

impl Receipts {
    /// Notes a record; `at` is its event time, `None` for a dead letter.
    pub(super) fn note(
        &mut self,
        seq: u64,
        partition: PartitionId,
        received_at: EventTime,
        at: Option<EventTime>,
    ) {
        let (receipt, lags) = self.0.entry(partition).or_insert_with(|| {
            let empty = Receipt {
                seq,
                partition: String::new(),
                received_at,
                events: 0,
                dead_letters: 0,
                newest: None,
                lags: Vec::new(),
            };
            (empty, BTreeMap::new())
        });
        receipt.received_at = receipt.received_at.max(received_at);
        receipt.newest = receipt.newest.max(at);
        match at {
            Some(at) => {
                receipt.events += 1;
                *lags.entry(received_at.saturating_sub(at)).or_default() += 1;
            }
            None => receipt.dead_letters += 1,
        }
    }

    pub(super) fn finish(self, name: impl Fn(PartitionId) -> String) -> Vec<Receipt> {
        let named = self.0.into_iter().map(|(partition, (receipt, lags))| Receipt {
            partition: name(partition),
            lags: lags.into_iter().collect(),
            ..receipt
        });
        named.collect()
    }
}
