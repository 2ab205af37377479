//! How what happens is told: late, twice, out of order, cut into epochs, by several partitions.

use std::collections::BTreeMap;
use std::collections::btree_map;

use highwater_dataflow::{FOREVER, Signal};
use highwater_model::{Envelope, EventKey};
use highwater_queries::{Entry, Receipt, Rejected};

use super::random::Random;
use super::world::{Happening, MINUTE};
use crate::oracle::Epoch;

/// What may go wrong on the way.
#[derive(Clone, Copy)]
pub(crate) struct Trouble {
    /// In a thousand events.
    pub(crate) duplicates: i64,
    /// Percent that come some minutes late.
    pub(crate) late: i64,
    /// Percent that come hours late.
    pub(crate) very_late: i64,
    /// Whether reference data are among those. The door never refuses them; where corrections reach back less far than
    /// that, what they say of the time before changes nothing, and no oracle models how far each row still could.
    pub(crate) late_edits: bool,
    pub(crate) partitions: u32,
    /// The partition that is a recording.
    pub(crate) recording: Option<u32>,
    /// How far partitions expect their events to be out of order, ms.
    pub(crate) disorder: i64,
    /// Ends with the end of every partition.
    pub(crate) ends: bool,
}

/// An entry on its way.
pub(crate) struct Told {
    arrives_at: i64,
    at: i64,
    partition: u32,
    entry: Entry,
}

/// Everything as it arrives, with journal positions.
pub(crate) fn deliver(
    random: &mut Random,
    happenings: Vec<Happening>,
    trouble: Trouble,
) -> Vec<Told> {
    let mut told = Vec::new();
    for (n, happening) in happenings.into_iter().enumerate() {
        let partition = random.within(0, i64::from(trouble.partitions)) as u32;
        let recorded = trouble.recording == Some(partition);
        let told_as =
            |envelope| if recorded { Entry::Recorded(envelope) } else { Entry::Event(envelope) };
        let mut delay = random.within(0, 2_000);
        if random.chance(10) {
            delay = random.within(0, 90_000);
        }
        if random.chance(trouble.late) {
            delay = random.within(2, 25) * MINUTE;
        }
        let envelope = Envelope {
            seq: 0,
            key: EventKey(n as u128 + 1),
            at: happening.at,
            event: happening.event,
        };
        if random.chance(trouble.very_late) {
            let hours = random.within(60, 120) * MINUTE;
            let reference = Entry::Event(envelope.clone()).is_reference();
            if !reference || trouble.late_edits {
                delay = hours;
            }
        }
        let mut arrives_at = happening.told_at + delay;
        let mut copies = 1;
        while random.within(0, 1000) < trouble.duplicates {
            copies += 1;
        }
        for _ in 0..copies {
            let entry = told_as(envelope.clone());
            told.push(Told { arrives_at, at: happening.at, partition, entry });
            arrives_at += random.within(0, 10 * MINUTE);
        }
        if random.chance(1) {
            let rejected = Rejected {
                seq: 0,
                source: "sim".into(),
                position: n as u64,
                received_at: arrives_at,
                reason: "not JSON".into(),
            };
            let entry = Entry::Rejected(rejected);
            told.push(Told { arrives_at, at: i64::MIN, partition, entry });
        }
    }
    told.sort_by_key(|told| told.arrives_at);
    for (n, told) in told.iter_mut().enumerate() {
        let place = n as u64 + 1;
        match &mut told.entry {
            Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
                envelope.seq = place;
            }
            Entry::Rejected(rejected) => rejected.seq = place,
            Entry::Receipt(_) => unreachable!("receipts are written when epochs are cut"),
        }
    }
    told
}

/// Cuts what arrives into epochs of random sizes, with what the partitions say of event time.
pub(crate) fn epochs(
    random: &mut Random,
    told: Vec<Told>,
    largest: i64,
    trouble: Trouble,
) -> Vec<Epoch> {
    let mut epochs = Vec::new();
    let mut seen = vec![i64::MIN; trouble.partitions as usize];
    let mut number = 1_000_000;
    let mut told = told.into_iter().peekable();
    while told.peek().is_some() {
        let size = random.within(0, largest + 1) as usize;
        let mut entries = Vec::new();
        let mut clock = i64::MIN;
        let mut receipts: BTreeMap<u32, Receipt> = BTreeMap::new();
        for told in told.by_ref().take(size) {
            let seen = &mut seen[told.partition as usize];
            *seen = told.at.max(*seen);
            clock = clock.max(told.arrives_at);
            receive(&told, receipts.entry(told.partition));
            entries.push(told.entry);
        }
        entries.extend(receipts.into_values().map(Entry::Receipt));
        let mut signals = Vec::new();
        for partition in 0..trouble.partitions {
            let seen = seen[partition as usize];
            if random.chance(4) {
                signals.push(Signal::Idle { partition });
            } else if seen > i64::MIN && random.chance(80) {
                signals.push(Signal::Bound { partition, bound: seen - trouble.disorder });
            }
        }
        if clock > i64::MIN && random.chance(10) {
            signals.push(Signal::Clock { bound: clock - 3 * MINUTE });
        }
        if random.chance(5) {
            signals.push(Signal::Tick);
        }
        // The journal's clock, which also says how late things come.
        number = (number + random.within(1, 2_000_000) as u64).max(clock.max(0) as u64 * 1000);
        epochs.push(Epoch { number, entries, signals });
    }
    if trouble.ends {
        let end = |partition| Signal::Bound { partition, bound: FOREVER };
        let signals = (0..trouble.partitions).map(end).collect();
        epochs.push(Epoch { number: number + 1, entries: Vec::new(), signals });
    }
    epochs
}

/// Writes an entry into the receipt of its partition.
fn receive(told: &Told, receipt: btree_map::Entry<'_, u32, Receipt>) {
    let (seq, event) = match &told.entry {
        Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
            (envelope.seq, true)
        }
        Entry::Rejected(rejected) => (rejected.seq, false),
        Entry::Receipt(_) => unreachable!("a receipt is not received"),
    };
    let receipt = receipt.or_insert_with(|| Receipt {
        seq,
        source: format!("source-{}", told.partition).into(),
        received_at: told.arrives_at,
        events: 0,
        dead_letters: 0,
        newest: None,
        lags: Vec::new(),
    });
    receipt.received_at = receipt.received_at.max(told.arrives_at);
    if event {
        receipt.events += 1;
        receipt.newest = receipt.newest.max(Some(told.at));
        let lag = told.arrives_at - told.at;
        match receipt.lags.binary_search_by_key(&lag, |(lag, _)| *lag) {
            Ok(place) => receipt.lags[place].1 += 1,
            Err(place) => receipt.lags.insert(place, (lag, 1)),
        }
    } else {
        receipt.dead_letters += 1;
    }
}
