//! The clock of a paced replay: event time that runs at a multiple of the clock given to `poll`.

use highwater_dataflow::EventTime;

use crate::source::SourceError;

pub(super) struct Pace {
    speed: f64,
    /// The reading of the given clock at which the replay began, and the event time it began with.
    start: Option<(EventTime, EventTime)>,
}

impl Pace {
    pub(super) fn new(speed: f64) -> Result<Self, SourceError> {
        if !(0.001..=1e6).contains(&speed) {
            let reason = format!(
                "file: speed {speed} must be 0.001 to 1000000; leave it out for full speed"
            );
            return Err(SourceError::Config(reason));
        }
        Ok(Self { speed, start: None })
    }

    pub(super) fn start(&self) -> Option<EventTime> {
        self.start.map(|(_, replayed)| replayed)
    }

    pub(super) fn begin(&mut self, now: EventTime, first: EventTime) {
        self.start = Some((now, first));
    }

    /// The replay's time at `now`; `None` before it began.
    pub(super) fn replayed(&self, now: EventTime) -> Option<EventTime> {
        self.start.map(|(given, replayed)| replayed + ((now - given) as f64 * self.speed) as i64)
    }

    /// The reading of the given clock at which the replay reaches `at`.
    pub(super) fn given(&self, at: EventTime) -> Option<EventTime> {
        self.start
            .map(|(given, replayed)| given + ((at - replayed) as f64 / self.speed).ceil() as i64)
    }
}
