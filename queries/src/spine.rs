//! The spine: intervals that exist because a queue is open, whether anyone calls or not.

use highwater_dataflow::{EventTime, Millis};
use highwater_model::Opening;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Starts of the intervals of `size` in `[from, to)` that overlap the opening hours; all of them if there are none.
pub fn opening_intervals(
    opening: Option<&Opening>,
    size: Millis,
    from: EventTime,
    to: EventTime,
) -> impl Iterator<Item = EventTime> {
    let hours = opening.map(Hours::new);
    let first = from.div_euclid(size) * size;
    let count = (to - first).max(0) / size + 1;
    (0..count)
        .map(move |n| first + n * size)
        .filter(move |&start| start >= from && start < to)
        .filter(move |&start| hours.as_ref().is_none_or(|hours| hours.open_within(start, size)))
}

struct Hours {
    zone: TimeZone,
    weekdays: u8,
    opens: i64,
    closes: i64,
}

impl Hours {
    fn new(opening: &Opening) -> Self {
        Hours {
            // A zone nobody knows was refused at the door; UTC keeps the rows coming all the same.
            zone: TimeZone::get(&opening.time_zone).unwrap_or(TimeZone::UTC),
            weekdays: opening.weekdays,
            opens: opening.opens_min,
            closes: opening.closes_min,
        }
    }

    fn open_within(&self, start: EventTime, size: Millis) -> bool {
        self.open_at(start) || self.open_at(start + size - 1)
    }

    fn open_at(&self, at: EventTime) -> bool {
        let Ok(instant) = Timestamp::from_millisecond(at) else { return false };
        let local = instant.to_zoned(self.zone.clone());
        let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
        let today = self.works(i64::from(local.weekday().to_monday_zero_offset()));
        let yesterday = self.works(i64::from(local.weekday().to_monday_zero_offset()) - 1);
        if self.opens < self.closes {
            today && self.opens <= minute && minute < self.closes
        } else {
            (today && self.opens <= minute) || (yesterday && minute < self.closes)
        }
    }

    fn works(&self, weekday: i64) -> bool {
        self.weekdays >> weekday.rem_euclid(7) & 1 == 1
    }
}
