//! The engine: Beam's model over differential collections. The only crate that names timely and differential.

pub mod accrue;
pub mod admit;
pub mod alarms;
pub mod alert;
pub mod alerts;
mod as_of;
pub mod clock;
mod closed;
mod copies;
mod dedup;
mod diff;
mod edge;
pub mod episodes;
pub mod events;
pub mod explain;
mod gather;
pub mod graph;
mod hold;
mod intervals;
pub mod keep;
mod keyed;
mod keys;
pub mod latency;
mod latest;
mod lookup;
pub mod membership;
mod multiset;
pub mod overlap;
pub mod overlay;
mod prompt;
pub mod pulse;
pub mod refusals;
mod revised;
mod rows;
pub mod runtime;
mod scratch;
pub mod sequence;
mod settle;
pub mod signal;
mod slices;
mod stamped;
pub mod table;
pub mod testing;
pub mod time;
pub mod timed;
pub mod totals;
mod unfold;
pub mod view;
pub mod watermark;
pub mod window;
mod worker;

pub use accrue::{Accrual, Accrued, Correction, Pace};
pub use admit::{Admission, Horizons, Reason, Refused};
pub use alarms::{Alarm, Alarms, End, Finding};
pub use alert::{Incident, Notification, Step};
pub use alerts::{AlertRow, AlertStatus, Alerts};
pub use clock::Clock;
pub use episodes::Episode;
pub use events::Events;
pub use explain::{Explanation, Situation, Voice, explain_frontier};
pub use graph::Graph;
pub use keep::{Kept, Part, Unfit};
pub use membership::{Link, Membership};
pub use overlay::{Overlay, Provenance, Revision, Segment};
pub use pulse::{Says, Word};
pub use refusals::{Folded, Journals, Refusals};
pub use runtime::{Batch, Gone, Leave, NotJoined, Options, Runtime};
pub use sequence::{Pattern, Sequence};
pub use signal::{PartitionId, Signal};
pub use table::Table;
pub use time::{BEGINNING, Epoch, EventTime, FOREVER, Millis, Point, Span};
pub use timed::Timed;
pub use totals::Total;
pub use unfold::Reach;
pub use window::{
    Accumulation, Behavior, LateElement, LateReason, Pane, PaneInfo, Panes, RowStatus,
    TimestampCombiner, Timing, Trigger, Window, WindowFn,
};

/// What a collection may hold: anything that can be ordered, hashed, exchanged between workers and kept.
pub trait Datum: differential_dataflow::ExchangeData + std::hash::Hash {}
impl<T: differential_dataflow::ExchangeData + std::hash::Hash> Datum for T {}
