//! Numbers that are unique among the journals of a cluster.
//!
//! Every journal counts its records and partitions from 1. Together they are told apart by the journal's own number in
//! the high bits. Journal 0 keeps its numbers, so that a single process and the first of a cluster say the same.

use highwater_dataflow::{PartitionId, Signal};
use highwater_ingest::journal::Committed;
use highwater_queries::Entry;

const SEQ_BITS: u32 = 48;
const PARTITION_BITS: u32 = 24;

/// A journal's number: that of the process that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Number(pub(crate) u8);

impl Number {
    /// The number of a record in the cluster.
    ///
    /// Panics when a journal has more than 2^48 records: nine years of a million a second.
    pub(crate) fn seq(self, own: u64) -> u64 {
        assert!(own >> SEQ_BITS == 0, "a journal has fewer than 2^48 records");
        u64::from(self.0) << SEQ_BITS | own
    }

    /// The journal of a record, and its number there.
    pub(crate) fn of_seq(seq: u64) -> (Number, u64) {
        (Number((seq >> SEQ_BITS) as u8), seq & ((1 << SEQ_BITS) - 1))
    }

    /// The number of a partition in the cluster.
    pub(crate) fn partition(self, own: PartitionId) -> PartitionId {
        assert!(own >> PARTITION_BITS == 0, "a journal has fewer than 2^24 partitions");
        PartitionId::from(self.0) << PARTITION_BITS | own
    }

    /// The name of a source in the cluster: processes take events under the same names.
    fn name(self, source: &mut String) {
        let Number(number) = self;
        source.push('@');
        source.push_str(&number.to_string());
    }

    /// A frame of this journal in the numbers of the cluster.
    pub(crate) fn apply(self, committed: &mut Committed) {
        if self == Number(0) {
            return;
        }
        for envelope in &mut committed.envelopes {
            envelope.seq = self.seq(envelope.seq);
        }
        committed.recorded.renumber(|own| self.seq(own));
        for letter in &mut committed.dead_letters {
            letter.seq = self.seq(letter.seq);
            self.name(&mut letter.partition);
        }
        for receipt in &mut committed.receipts {
            receipt.seq = self.seq(receipt.seq);
            self.name(&mut receipt.partition);
        }
        self.apply_to_signals(&mut committed.signals);
    }

    /// What a base of this journal holds in the numbers of the cluster.
    pub(crate) fn apply_to(self, entries: &mut [Entry], signals: &mut [Signal]) {
        for entry in entries {
            let envelope = entry.event_mut().expect("a base has events alone");
            envelope.seq = self.seq(envelope.seq);
        }
        self.apply_to_signals(signals);
    }

    fn apply_to_signals(self, signals: &mut [Signal]) {
        for signal in signals {
            match signal {
                Signal::Bound { partition, .. } | Signal::Idle { partition } => {
                    *partition = self.partition(*partition);
                }
                Signal::Clock { .. } | Signal::Tick => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_journals_never_meet() {
        let largest = (1 << SEQ_BITS) - 1;
        for number in [0, 1, 7, 255].map(Number) {
            for own in [1, 1_000_000, largest] {
                assert_eq!(Number::of_seq(number.seq(own)), (number, own));
                assert!(i64::try_from(number.seq(own)).is_ok(), "it fits a column");
            }
        }
        assert_eq!((Number(0).seq(5), Number(0).partition(3)), (5, 3));
        assert_ne!(Number(1).partition(1), Number(2).partition(1));
    }
}
