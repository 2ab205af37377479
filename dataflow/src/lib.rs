//! The engine: Beam's model over differential collections. The only crate that names timely and differential.

pub mod alert;
pub mod clock;
pub mod latency;
pub mod signal;
pub mod time;
pub mod view;

pub use alert::{Incident, Notification, Step};
pub use clock::Clock;
pub use signal::{PartitionId, Signal};
pub use time::{BEGINNING, Epoch, EventTime, FOREVER, Millis, Point, Span};

/// What a collection may hold: anything that can be ordered, hashed, exchanged between workers and kept.
pub trait Datum: differential_dataflow::ExchangeData + std::hash::Hash {}
impl<T: differential_dataflow::ExchangeData + std::hash::Hash> Datum for T {}
