//! Alerts as sinks see them: an episode of event time with a life cycle, and the messages of that life cycle.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::time::{Epoch, EventTime};

/// What a rule found: `scope` was in the alarming state over `[from, to)`; `to` is `FOREVER` while it lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incident {
    pub scope: CompactString,
    pub from: EventTime,
    pub to: EventTime,
    /// The measured extreme in the rule's unit (agents out, contacts waiting), and what it was held against.
    pub value: i64,
    pub threshold: i64,
    /// Who or what took part, sorted (agents of the team, for instance).
    pub members: Vec<CompactString>,
    /// Journal positions of the records that brought it about, sorted.
    pub causes: Vec<u64>,
    /// Why it ended or was taken back where the condition's own end is not why; empty otherwise.
    pub reason: CompactString,
}

/// A step of an alert's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The condition holds.
    Opened,
    /// It still is the same alert, but its start, extent or members changed.
    Amended,
    /// The condition ended at `to`.
    Resolved,
    /// Later knowledge shows that it never was true, or that it is part of another alert: the incident's `reason` says
    /// which.
    Retracted,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Opened => "opened",
            Step::Amended => "amended",
            Step::Resolved => "resolved",
            Step::Retracted => "retracted",
        }
    }
}

/// One message to alert channels. `(alert_id, revision)` is its identity: receivers deduplicate by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Notification {
    /// `rule/scope/<first start in ms>`, with `/2` and so on where that name is taken: stable over the alert's whole life.
    pub alert_id: CompactString,
    /// Counts the messages of this alert from 1.
    pub revision: u32,
    pub step: Step,
    pub rule: CompactString,
    pub incident: Incident,
    /// Journal positions of the records that made this step known, sorted: those that brought it about for one that
    /// opens; otherwise those that changed or ended it, as far as records and not the passing of time did.
    pub causes: Vec<u64>,
    /// The epoch in which this step became known.
    pub epoch: Epoch,
}
