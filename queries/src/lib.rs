//! The product's queries, one file each: pure functions from input tables to views and alerts.
//!
//! Adding a query touches its file, its oracle under `tests/oracle/`, and one line of [`registry`].

mod adherence;
mod adherence_now;
mod contacts;
mod dead_letters;
mod input;
mod late_events;
mod measures;
mod queue_interval;
mod queue_now;
mod queue_rolling;
pub mod registry;
mod settings;
mod spine;
mod team_drift;

pub use adherence::{Judged, Status, adherence, default_verdict};
pub use adherence_now::AdherenceNow;
pub use contacts::{Fact, Outcome, What, outcomes, tell};
pub use input::{Entry, Inputs, Rejected};
pub use late_events::{DuplicateCount, LateEvent};
pub use measures::{Measures, Promise};
pub use queue_interval::QueueInterval;
pub use queue_now::QueueNow;
pub use queue_rolling::QueueRolling;
pub use registry::build;
pub use settings::{ClosedSide, DriftRule, Settings};
pub use spine::opening_intervals;
