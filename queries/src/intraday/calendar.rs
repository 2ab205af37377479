//! The business day: on the queue's own clock, from midnight, or from closing time where the queue is open past midnight.

use highwater_dataflow::{EventTime, Millis};
use highwater_model::Opening;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const DAY: Millis = 86_400_000;
const MINUTE: Millis = 60_000;

/// A queue's clock.
pub(super) struct Calendar {
    zone: TimeZone,
    /// Minutes after midnight at which the business day begins.
    begins_min: i64,
    size: Millis,
}

/// A business day: its date (days since 1970) and the intervals that start in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) date: i64,
    pub(super) start: EventTime,
    pub(super) end: EventTime,
}

impl Calendar {
    /// UTC, and from midnight to midnight, without opening hours.
    pub(super) fn new(opening: Option<&Opening>, size: Millis) -> Self {
        let zone = opening.and_then(|opening| TimeZone::get(&opening.time_zone).ok());
        let begins_min = opening
            .filter(|opening| opening.closes_min <= opening.opens_min)
            .map_or(0, |opening| opening.closes_min.rem_euclid(DAY / MINUTE));
        Calendar { zone: zone.unwrap_or(TimeZone::UTC), begins_min, size }
    }

    /// The business day that the interval starting at `start` belongs to.
    pub(super) fn day(&self, start: EventTime) -> Bounds {
        let (days, _) = self.local(start);
        // Where clocks change, the shifted date may be off by one.
        let mut bounds = self.bounds(days);
        if start < bounds.start {
            bounds = self.bounds(days - 1);
        } else if bounds.end <= start {
            bounds = self.bounds(days + 1);
        }
        bounds
    }

    fn bounds(&self, date: i64) -> Bounds {
        Bounds { date, start: self.begin(date), end: self.begin(date + 1) }
    }

    /// The first interval that starts on `date`.
    fn begin(&self, date: i64) -> EventTime {
        let wall = date * DAY + self.begins_min * MINUTE;
        let instant = civil(wall)
            .and_then(|wall| wall.to_zoned(self.zone.clone()).ok())
            .map_or(wall, |zoned| zoned.timestamp().as_millisecond());
        (instant + self.size - 1).div_euclid(self.size) * self.size
    }

    /// Which of the day's slots, by the clock on the wall, the interval starting at `start` fills.
    pub(super) fn slot(&self, start: EventTime) -> usize {
        let (_, within) = self.local(start);
        (within / self.size) as usize
    }

    /// Minutes after midnight on the wall.
    pub(super) fn minute(&self, at: EventTime) -> i64 {
        self.wall(at).rem_euclid(DAY) / MINUTE
    }

    /// Slots of an ordinary day.
    pub(super) fn slots(&self) -> usize {
        (DAY / self.size + 1) as usize
    }

    /// Date and milliseconds since its beginning, by the wall.
    fn local(&self, at: EventTime) -> (i64, i64) {
        let wall = self.wall(at) - self.begins_min * MINUTE;
        (wall.div_euclid(DAY), wall.rem_euclid(DAY))
    }

    /// What the clock on the wall shows, as if it were UTC.
    fn wall(&self, at: EventTime) -> i64 {
        let offset = Timestamp::from_millisecond(at)
            .map_or(0, |instant| i64::from(self.zone.to_offset(instant).seconds()));
        at + offset * 1000
    }
}

fn civil(wall: i64) -> Option<DateTime> {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(SignedDuration::from_millis(wall)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Millis = 15 * MINUTE;

    fn opening(zone: &str, opens_min: i64, closes_min: i64) -> Opening {
        Opening { time_zone: zone.into(), weekdays: 127, opens_min, closes_min }
    }

    fn at(text: &str) -> EventTime {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn days_have_as_many_hours_as_their_zone_gives_them() {
        let berlin = Calendar::new(Some(&opening("Europe/Berlin", 480, 1200)), QUARTER);
        for (noon, start, hours) in [
            ("2026-05-15T12:00:00Z", "2026-05-14T22:00:00Z", 24),
            ("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
            ("2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
        ] {
            let day = berlin.day(at(noon));
            assert_eq!(day.start, at(start), "{noon}");
            assert_eq!((day.end - day.start) / 3_600_000, hours, "{noon}");
            let starts = (day.start..day.end).step_by(QUARTER as usize);
            assert!(starts.into_iter().all(|start| berlin.day(start) == day), "{noon}");
        }
        // Both hours from two to three on the night the clocks go back are the same slots.
        assert_eq!(berlin.slot(at("2026-10-25T00:15:00Z")), 9);
        assert_eq!(berlin.slot(at("2026-10-25T01:15:00Z")), 9);
    }

    #[test]
    fn a_queue_open_past_midnight_has_its_day_in_one_piece() {
        let night = Calendar::new(Some(&opening("UTC", 1040, 440)), QUARTER);
        let day = night.day(at("2026-03-03T02:00:00Z"));
        assert_eq!(day.start, at("2026-03-02T07:30:00Z"), "the first quarter after 07:20");
        assert_eq!(day.end, at("2026-03-03T07:30:00Z"));
        assert_eq!(night.minute(at("2026-03-03T02:00:00Z")), 120);
        assert_eq!(Calendar::new(None, QUARTER).day(0), Bounds { date: 0, start: 0, end: DAY });
    }

    #[test]
    fn instants_beyond_every_calendar_do_no_harm() {
        let berlin = Calendar::new(Some(&opening("Europe/Berlin", 480, 1200)), QUARTER);
        for far in [-9_000_000_000_000_000, 9_000_000_000_000_000] {
            let start = i64::div_euclid(far, QUARTER) * QUARTER;
            let day = berlin.day(start);
            assert!(day.start <= start && start < day.end, "{far}: {day:?}");
        }
    }
}
