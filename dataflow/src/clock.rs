//! Clocks are passed in: the wall clock enters the product here and nowhere else.

use std::time::Instant;

use crate::time::EventTime;

/// What time it is. A simulation brings its own.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time, ms UTC.
    fn now_ms(&self) -> EventTime;
    /// Monotonic time, for measuring.
    fn instant(&self) -> Instant;
}
