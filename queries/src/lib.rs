//! The product's queries, one file each: pure functions from input tables to views and alerts.
//!
//! Adding a query touches its file, its oracle under `tests/oracle/`, and one line of [`registry`].

pub mod adherence;
pub mod adherence_interval;
pub mod adherence_now;
pub mod adherence_time;
pub mod agent_sessions;
pub mod attribution;
pub mod contact_record;
pub mod contacts;
pub mod dead_letters;
pub mod forecast;
pub mod input;
pub mod late_events;
pub mod measured;
pub mod measures;
mod occupancy;
pub mod payroll_hours;
pub mod placement;
pub mod queue_interval;
pub mod queue_now;
pub mod queue_reconciliation;
pub mod queue_rolling;
pub mod registry;
pub mod retain;
pub mod settings;
pub mod source_lag;
pub mod spine;
pub mod team_drift;
pub mod unmapped_states;

pub use adherence::{Judged, Status, adherence, default_verdict};
pub use adherence_interval::{AdherenceDay, AdherenceInterval};
pub use adherence_now::AdherenceNow;
pub use agent_sessions::AgentSession;
pub use attribution::{Attribute, Attribution};
pub use contact_record::ContactRecord;
pub use contacts::{Fact, Outcome, Told, What, outcomes, tell, told};
pub use input::{Entry, Inputs, Receipt, Rejected};
pub use late_events::{DuplicateCount, LateEvent};
pub use measured::Measured;
pub use measures::{Measures, Promise};
pub use payroll_hours::{PayrollHours, PayrollLedger};
pub use queue_interval::QueueInterval;
pub use queue_now::QueueNow;
pub use queue_reconciliation::QueueReconciliation;
pub use queue_rolling::QueueRolling;
pub use registry::build;
pub use settings::{ClosedSide, DriftRule, Settings};
pub use source_lag::SourceLag;
pub use spine::opening_intervals;
pub use unmapped_states::UnmappedState;
