//! State by key for our operators: slots, the rows of an epoch grouped by slot, and wake-ups on the watermark.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::table::Change;
use crate::time::{EventTime, FOREVER};
use crate::{Datum, scratch};

/// One state per key, addressed by a dense slot number.
pub(crate) struct Keyed<K, S> {
    /// Slots by key. The keys themselves are in the slots alone: there are as many as agents or contacts.
    index: HashTable<u32>,
    slots: Vec<Slot<K, S>>,
    free: Vec<u32>,
    order: Vec<(u32, u32)>,
    timers: BTreeSet<(EventTime, u32)>,
}

/// Marks a retraction in the order of an epoch's rows.
const RETRACTION: u32 = 1 << 31;

#[derive(Serialize, Deserialize)]
struct Slot<K, S> {
    key: Option<K>,
    state: S,
    /// The earliest armed wake-up, `FOREVER` if none.
    wake: EventTime,
}

impl<K: Serialize, S: Serialize> Serialize for Keyed<K, S> {
    fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
        (&self.slots, &self.free, &self.timers).serialize(to)
    }
}

impl<'de, K: Datum, S: Deserialize<'de>> Deserialize<'de> for Keyed<K, S> {
    fn deserialize<Z: Deserializer<'de>>(from: Z) -> Result<Self, Z::Error> {
        type Parts<K, S> = (Vec<Slot<K, S>>, Vec<u32>, BTreeSet<(EventTime, u32)>);
        let (slots, free, timers): Parts<K, S> = Deserialize::deserialize(from)?;
        let mut index = HashTable::with_capacity(slots.len() - free.len());
        for (at, slot) in (0..).zip(&slots) {
            if let Some(key) = &slot.key {
                index.insert_unique(hash(key), at, |&other| slots[other as usize].hash());
            }
        }
        Ok(Keyed { index, slots, free, order: Vec::new(), timers })
    }
}

fn hash<K: Hash>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl<K: Hash, S> Slot<K, S> {
    /// The hash of the key; those that are not in use are not in the index.
    fn hash(&self) -> u64 {
        hash(self.key.as_ref().expect("a slot in the index has a key"))
    }
}

impl<K: Hash + Eq + Clone, S: Default> Keyed<K, S> {
    pub(crate) fn new() -> Self {
        Keyed {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            timers: BTreeSet::new(),
        }
    }

    fn slot(&mut self, key: &K) -> u32 {
        let hash = hash(key);
        let same = |&slot: &u32| self.slots[slot as usize].key.as_ref() == Some(key);
        if let Some(&slot) = self.index.find(hash, same) {
            return slot;
        }
        let fresh = Slot { key: Some(key.clone()), state: S::default(), wake: FOREVER };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = fresh;
            slot
        } else {
            self.slots.push(fresh);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 keys on a worker")
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&other| slots[other as usize].hash());
        slot
    }

    /// Calls `each` once per key that has rows, with the key's rows: insertions first, then retractions, so that what
    /// comes and goes within one epoch is never retracted before it is there.
    pub(crate) fn group<D>(
        &mut self,
        rows: &[Change<(K, D)>],
        mut each: impl FnMut(u32, &K, &mut S, &mut dyn Iterator<Item = (&D, isize)>),
    ) {
        let mut order = std::mem::take(&mut self.order);
        self.arrange(rows, &mut order);
        for run in order.chunk_by(|a, b| a.0 == b.0) {
            let slot = run[0].0;
            let entry = &mut self.slots[slot as usize];
            let key = entry.key.as_ref().expect("a slot with rows has a key");
            each(slot, key, &mut entry.state, &mut in_order(rows, run));
        }
        scratch::clear(&mut order);
        self.order = order;
    }

    /// The rows' slots and places, sorted by slot, insertions first.
    pub(crate) fn arrange<D>(&mut self, rows: &[Change<(K, D)>], order: &mut Vec<(u32, u32)>) {
        order.clear();
        assert!(rows.len() < RETRACTION as usize, "an epoch holds fewer than 2^31 rows");
        for (at, ((key, _), _, diff)) in rows.iter().enumerate() {
            let rank = if *diff < 0 { RETRACTION } else { 0 };
            order.push((self.slot(key), rank | at as u32));
        }
        order.sort_unstable();
    }

    /// The key and state in `slot`.
    pub(crate) fn get(&mut self, slot: u32) -> (&K, &mut S) {
        let entry = &mut self.slots[slot as usize];
        (entry.key.as_ref().expect("the slot is in use"), &mut entry.state)
    }

    /// Every key and its state.
    pub(crate) fn each(&mut self, mut f: impl FnMut(&K, &mut S)) {
        for slot in &mut self.slots {
            if let Some(key) = &slot.key {
                f(key, &mut slot.state);
            }
        }
    }

    /// Every key and its state; those for which `keep` says no are forgotten.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut S) -> bool) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if let Some(key) = &slot.key
                && !keep(key, &mut slot.state)
            {
                self.remove(at as u32);
            }
        }
    }

    /// Asks for `slot` to be returned by [`Keyed::due`] once the watermark reaches `at`, unless an earlier wake-up is armed.
    pub(crate) fn wake(&mut self, slot: u32, at: EventTime) {
        let entry = &mut self.slots[slot as usize];
        if at < entry.wake {
            entry.wake = at;
            self.timers.insert((at, slot));
        }
    }

    /// Slots whose wake-up is at or before `watermark`, each once; they are disarmed.
    pub(crate) fn due(&mut self, watermark: EventTime, out: &mut Vec<u32>) {
        while self.timers.first().is_some_and(|(at, _)| *at <= watermark) {
            let Some((at, slot)) = self.timers.pop_first() else { break };
            // A wake-up that was overtaken by an earlier one finds the slot armed for another time.
            let state = &mut self.slots[slot as usize];
            if state.wake == at && state.key.is_some() {
                state.wake = FOREVER;
                out.push(slot);
            }
        }
        out.sort_unstable();
        out.dedup();
    }

    /// Forgets a key; its state is gone.
    pub(crate) fn remove(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        if let Some(key) = entry.key.take() {
            if let Ok(found) = self.index.find_entry(hash(&key), |&other| other == slot) {
                found.remove();
            }
            entry.state = S::default();
            entry.wake = FOREVER;
            self.free.push(slot);
        }
    }
}

/// The rows of `slot` in an order made by [`Keyed::arrange`]; slots are asked for in ascending order, `from` remembers
/// how far.
pub(crate) fn run_of<'o>(order: &'o [(u32, u32)], from: &mut usize, slot: u32) -> &'o [(u32, u32)] {
    let rest = &order[*from..];
    let run = &rest[..rest.iter().take_while(|(of, _)| *of == slot).count()];
    *from += run.len();
    run
}

/// The rows of a run, each with its difference.
pub(crate) fn in_order<'r, K, D>(
    rows: &'r [Change<(K, D)>],
    run: &'r [(u32, u32)],
) -> impl Iterator<Item = (&'r D, isize)> + Clone {
    run.iter().map(|&(_, at)| {
        let ((_, row), _, diff) = &rows[(at & !RETRACTION) as usize];
        (row, *diff)
    })
}
