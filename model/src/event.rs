//! Events and reference data: what the journal holds once decoded.
//!
//! The five events of the product's sources carry exactly the sources' JSON fields, snake_case. Abandonment and
//! reference data have events of the same form, so that every result is a function of the journal.

use serde::{Deserialize, Serialize};

use crate::ids::{
    ActivityCode, AgentId, ContactId, EventKey, Name, QueueId, ShiftId, SiteId, TeamId,
};
use crate::state::{AgentState, Channel, ServiceLevel, Verdict};

/// An event with its identity, its event time and its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// Journal position; 0 before it is journaled.
    pub seq: u64,
    pub key: EventKey,
    /// The event's own `timestamp`, ms UTC.
    pub at: i64,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    AgentStateChange(AgentStateChange),
    ContactArrival(ContactArrival),
    ContactComplete(ContactComplete),
    ContactAbandoned(ContactAbandoned),
    QueueUpdate(QueueUpdate),
    ForecastRefresh(ForecastRefresh),
    AgentProfile(AgentProfile),
    ScheduleUpdate(ScheduleUpdate),
    ActivityMapping(ActivityMapping),
    QueueProfile(QueueProfile),
    ForecastUpdate(ForecastUpdate),
    RuleUpdate(RuleUpdate),
}

/// An agent entered `new_state` at the event's time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentStateChange {
    pub agent: AgentId,
    pub previous: AgentState,
    pub new: AgentState,
    pub reason: Option<Name>,
    pub queue: Option<QueueId>,
    pub contact: Option<ContactId>,
    pub source: Option<Name>,
}

/// A contact entered a queue (or the voice menu before it).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactArrival {
    pub contact: ContactId,
    pub queue: QueueId,
    pub channel: Channel,
    /// Seconds, as the source estimated it.
    pub estimated_handle_s: Option<i64>,
}

/// A contact was finished, after-call work included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactComplete {
    pub contact: ContactId,
    pub queue: QueueId,
    pub agent: AgentId,
    pub handle_ms: i64,
    pub talk_ms: i64,
    pub hold_ms: i64,
    pub acw_ms: i64,
    pub disposition: Option<Name>,
    pub transfer: bool,
    /// Time in queue before the answer, where the source knows it (JSON `wait_ms`, optional and ours): otherwise
    /// it is derived from arrival and answer, and not known without an arrival.
    pub wait_ms: Option<i64>,
}

/// A contact left before an agent answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactAbandoned {
    pub contact: ContactId,
    pub queue: QueueId,
    /// Time in queue, ms; 0 when it never reached the queue.
    pub wait_ms: i64,
    pub stage: AbandonStage,
}

/// Where a contact gave up. Those in the voice menu count as arrivals but were never offered to an agent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AbandonStage {
    #[default]
    Queue,
    Ivr,
}

/// The ACD's own snapshot of a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueUpdate {
    pub queue: QueueId,
    pub contacts_waiting: i64,
    pub longest_wait_s: i64,
    pub agents_available: i64,
    pub agents_on_call: i64,
    pub agents_acw: i64,
    pub agents_aux: i64,
    /// `service_level_current` in millionths (0.78 is 780,000): whole numbers compare exactly.
    pub service_level_ppm: Option<i64>,
    pub interval_volume: Option<i64>,
    /// `interval_aht_so_far`, ms.
    pub interval_aht_ms: Option<i64>,
}

/// The rest of the day was forecast again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForecastRefresh {
    pub forecast_version: Name,
    pub queue: QueueId,
    pub intervals_updated: i64,
    pub trigger: Name,
    pub method: Name,
    /// `volume_change_pct` in thousandths of a percent.
    pub volume_change_mpct: i64,
    /// `confidence` in millionths.
    pub confidence_ppm: i64,
}

/// Who an agent is from `at` on: an upsert with valid time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentProfile {
    pub agent: AgentId,
    pub name: Option<Name>,
    pub team: TeamId,
    pub site: SiteId,
    pub skills: Vec<QueueId>,
}

/// A shift of an agent; replaces every lower version of the same shift. No activities: the shift is deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScheduleUpdate {
    pub agent: AgentId,
    pub shift: ShiftId,
    pub version: i64,
    pub activities: Vec<Activity>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Activity {
    pub start_at: i64,
    pub end_at: i64,
    pub code: ActivityCode,
}

/// What it means to be in `state` while `activity` is scheduled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActivityMapping {
    pub activity: ActivityCode,
    pub state: AgentState,
    pub verdict: Verdict,
}

/// What a queue promises and when it is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueProfile {
    pub queue: QueueId,
    pub channel: Channel,
    /// Share of contacts to be answered within the threshold, in millionths (0.8 is 800,000).
    pub target_ppm: i64,
    /// Service-level threshold T, ms.
    pub threshold_ms: i64,
    /// An abandon after at most this wait is a short abandon, ms.
    pub short_abandon_ms: i64,
    /// The service level it is held to: JSON `service_level_definition`, optional and ours.
    pub service_level: ServiceLevel,
    /// Contacts waiting above which the queue overflows.
    pub overflow_threshold: Option<i64>,
    /// Opening hours; `None`: always open.
    pub opening: Option<Opening>,
}

/// Opening hours of every day in a time zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Opening {
    /// IANA name; "UTC" when absent.
    pub time_zone: Name,
    /// Bit 0 is Monday.
    pub weekdays: u8,
    /// Minutes after local midnight; `closes` at or before `opens` is on the next day.
    pub opens_min: i64,
    pub closes_min: i64,
}

/// What the forecast expects of a queue in one interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForecastUpdate {
    pub queue: QueueId,
    pub interval_start_at: i64,
    pub interval_end_at: i64,
    /// Expected contacts, in thousandths.
    pub volume_milli: i64,
    pub aht_ms: i64,
    pub version: i64,
}

/// What a rule is to do within a scope from the event's time on; replaces all that was said of the same two before.
///
/// What it leaves out is as the wider scope says: first everywhere, then the configuration. One that says nothing but
/// its rule and scope therefore takes back what was said of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleUpdate {
    pub rule: Name,
    /// What the rule is about: a team, a queue, an agent; `None`: everywhere.
    pub scope: Option<Name>,
    pub enabled: Option<bool>,
    /// By name, ascending, each once. Whether the rule knows them is for the rule to say.
    pub parameters: Vec<RuleParameter>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleParameter {
    pub name: Name,
    /// In thousandths.
    pub value_milli: i64,
}
