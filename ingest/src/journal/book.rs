//! Which partitions there are: the journal's numbers for them, and what their sources say of them this time.

use std::collections::BTreeMap;

use highwater_dataflow::PartitionId;

use super::frame::Registration;
use super::ledger::Ledger;
use super::options::PartitionSpec;

/// Shared between submitters, the writer and the follower. Grows with the number of partitions ever used.
#[derive(Debug)]
pub(super) struct Book {
    /// What is durable.
    pub ledger: Ledger,
    /// Partitions registered since the start.
    pub specs: BTreeMap<PartitionId, PartitionSpec>,
    ids: BTreeMap<String, PartitionId>,
}

impl Book {
    pub(super) fn new(ledger: Ledger) -> Self {
        let ids = ledger.partitions.iter().map(|(id, entry)| (entry.name.clone(), *id)).collect();
        Book { ledger, specs: BTreeMap::new(), ids }
    }

    /// The number of a partition: the one it always had, or a new one, journaled with its first frame.
    pub(super) fn register(&mut self, spec: PartitionSpec) -> PartitionId {
        let next = self.ids.values().max().map_or(1, |last| last + 1);
        let id = *self.ids.entry(spec.name.clone()).or_insert(next);
        self.specs.insert(id, spec);
        id
    }

    /// What must be journaled before a frame may speak of `id`; `None` when an earlier one has done so.
    pub(super) fn registration(&self, id: PartitionId) -> Option<Registration> {
        if self.ledger.partitions.contains_key(&id) {
            return None;
        }
        let PartitionSpec { name, kind, .. } = self.spec(id);
        Some(Registration { id, name: name.clone(), kind: kind.clone() })
    }

    /// Recordings that were registered and of which the journal does not speak yet: what they hold is old, and would
    /// be late if live partitions or quiet time moved the watermark before they speak.
    pub(super) fn recordings_to_come(&self) -> impl Iterator<Item = PartitionId> + '_ {
        let to_come = |id: &PartitionId| !self.ledger.partitions.contains_key(id);
        let recordings = self.specs.iter().filter(|(_, spec)| !spec.live);
        recordings.map(|(id, _)| *id).filter(to_come)
    }

    /// Panics when nobody registered it: a source that submits without registering is our own bug.
    pub(super) fn spec(&self, id: PartitionId) -> &PartitionSpec {
        self.specs.get(&id).expect("a partition is registered before anything is submitted for it")
    }

    pub(super) fn name(&self, id: PartitionId) -> String {
        let durable = self.ledger.partitions.get(&id).map(|entry| &entry.name);
        durable.or_else(|| self.specs.get(&id).map(|spec| &spec.name)).cloned().unwrap_or_default()
    }
}
