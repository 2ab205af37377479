//! What the frames so far add up to: partitions, where their sources resume, and what was said of event time.
//!
//! A pure fold over frames. Each segment begins with the ledger of all before it, under the hash chain, so that
//! dropping old segments forgets nothing of this, and a restart need not read them.

use std::collections::BTreeMap;

use highwater_dataflow::{BEGINNING, EventTime, FOREVER, PartitionId, Signal};

use super::frame::{Frame, Registration};
use super::wire::{Bad, Fields, put_len, put_text};

/// The state of the journal that outlives its segments. Grows with the number of partitions ever used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    pub partitions: BTreeMap<PartitionId, Entry>,
    /// The last quiet-time bound.
    pub clock_bound: EventTime,
}

/// What is known of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub kind: String,
    /// Position of its last record.
    pub position: Option<u64>,
    /// Its last bound; `BEGINNING` before the first.
    pub bound: EventTime,
    pub idle: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger { partitions: BTreeMap::new(), clock_bound: BEGINNING }
    }
}

impl Entry {
    pub(super) fn new(name: String, kind: String) -> Self {
        Entry { name, kind, position: None, bound: BEGINNING, idle: false }
    }

    /// True when it does not hold the watermark.
    pub(super) fn released(&self) -> bool {
        self.idle || self.bound == FOREVER
    }
}

const VERSION: u8 = 1;

impl Ledger {
    /// Takes a committed frame into account.
    ///
    /// Errors: the frame speaks of a partition that no frame has registered.
    pub(super) fn apply(&mut self, frame: &Frame) -> Result<(), Bad> {
        for Registration { id, name, kind } in &frame.registrations {
            self.partitions.insert(*id, Entry::new(name.clone(), kind.clone()));
        }
        for record in &frame.records {
            self.entry(record.partition)?.position = Some(record.position);
        }
        for signal in &frame.signals {
            match *signal {
                Signal::Bound { partition, bound } => {
                    let entry = self.entry(partition)?;
                    entry.bound = bound;
                    entry.idle = false;
                }
                Signal::Idle { partition } => self.entry(partition)?.idle = true,
                Signal::Clock { bound } => self.clock_bound = bound,
                Signal::Tick => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, id: PartitionId) -> Result<&mut Entry, Bad> {
        self.partitions.get_mut(&id).ok_or("it names a partition that was never registered")
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.clock_bound.to_le_bytes());
        put_len(&mut out, self.partitions.len());
        for (id, entry) in &self.partitions {
            out.extend_from_slice(&id.to_le_bytes());
            put_text(&mut out, &entry.name);
            put_text(&mut out, &entry.kind);
            out.push(entry.position.is_some().into());
            out.extend_from_slice(&entry.position.unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&entry.bound.to_le_bytes());
            out.push(entry.idle.into());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Ledger, Bad> {
        let mut fields = Fields(bytes);
        if fields.u8()? != VERSION {
            return Err("the format of its ledger is not known");
        }
        let clock_bound = fields.i64()?;
        let partitions = (0..fields.count(30)?)
            .map(|_| {
                let id = fields.u32()?;
                let name = fields.text()?;
                let kind = fields.text()?;
                let known = fields.u8()? != 0;
                let position = fields.u64()?;
                let bound = fields.i64()?;
                let idle = fields.u8()? != 0;
                Ok((id, Entry { name, kind, position: known.then_some(position), bound, idle }))
            })
            .collect::<Result<_, Bad>>()?;
        fields.end()?;
        Ok(Ledger { partitions, clock_bound })
    }
}
