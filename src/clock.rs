//! The machine's clock: the only place in the product that asks the system what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use highwater_dataflow::{Clock, EventTime};

/// Wall-clock and monotonic time of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock;

#[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else takes")]
impl Clock for WallClock {
    fn now_ms(&self) -> EventTime {
        // A clock set before 1970 reads as 1970: epochs still grow, because the journal makes them.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventTime::try_from(since.as_millis()).unwrap_or(EventTime::MAX)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
