//! The door: each identity once, nothing from before the correction horizon; what it turned away, counted.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::{Envelope, Event};
use highwater_queries::{Entry, Rejected, Settings};

pub(crate) struct Door {
    correction: i64,
    seen: BTreeSet<u128>,
    /// Events that were let in.
    pub(crate) known: Vec<Envelope>,
    pub(crate) rejected: Vec<Rejected>,
    late: Vec<Row>,
    duplicates: BTreeMap<&'static str, i64>,
}

impl Door {
    /// Identities are remembered for ever: longer runs than the dedup horizon are not for this oracle.
    pub(crate) fn new(settings: &Settings) -> Self {
        Door {
            correction: settings.correction_s * 1000,
            seen: BTreeSet::new(),
            known: Vec::new(),
            rejected: Vec::new(),
            late: Vec::new(),
            duplicates: BTreeMap::new(),
        }
    }

    /// Takes an epoch's entries; `before` is the watermark as it was before them.
    pub(crate) fn admit(&mut self, entries: &[Entry], before: EventTime) {
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by_key(|entry| match entry {
            Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
                envelope.seq
            }
            Entry::Rejected(rejected) => rejected.seq,
            Entry::Receipt(receipt) => receipt.seq,
        });
        for entry in entries {
            match entry {
                Entry::Receipt(_) => {}
                Entry::Rejected(rejected) => self.rejected.push(rejected.clone()),
                Entry::Event(event) | Entry::Recorded(event) | Entry::Kept(event) => {
                    let (kind, reference) = kind(&event.event);
                    let oldest = before.saturating_sub(self.correction);
                    if !reference && event.at < oldest {
                        self.late.push(vec![
                            Value::Int(event.seq as i64),
                            Value::Text(kind.into()),
                            Value::Int(event.at),
                            Value::Int(before - event.at),
                        ]);
                    } else if self.seen.insert(event.key.0) {
                        self.known.push(event.clone());
                    } else {
                        *self.duplicates.entry(kind).or_default() += 1;
                    }
                }
            }
        }
    }

    pub(crate) fn late_rows(&self) -> Vec<Row> {
        self.late.clone()
    }

    pub(crate) fn duplicate_rows(&self) -> Vec<Row> {
        let rows = self.duplicates.iter();
        rows.map(|(kind, n)| vec![Value::Text((*kind).into()), Value::Int(*n)]).collect()
    }
}

/// The event's type, and whether it is reference data, which may come at any time.
pub(super) fn kind(event: &Event) -> (&'static str, bool) {
    match event {
        Event::AgentStateChange(_) => ("AgentStateChange", false),
        Event::ContactArrival(_) => ("ContactArrival", false),
        Event::ContactComplete(_) => ("ContactComplete", false),
        Event::ContactAbandoned(_) => ("ContactAbandoned", false),
        Event::QueueUpdate(_) => ("QueueUpdate", false),
        Event::ForecastRefresh(_) => ("ForecastRefresh", false),
        Event::AgentProfile(_) => ("AgentProfile", true),
        Event::ScheduleUpdate(_) => ("ScheduleUpdate", true),
        Event::ActivityMapping(_) => ("ActivityMapping", true),
        Event::QueueProfile(_) => ("QueueProfile", true),
        Event::ForecastUpdate(_) => ("ForecastUpdate", true),
        Event::RuleUpdate(_) => ("RuleUpdate", true),
    }
}
