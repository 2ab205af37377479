//! Windows of the civil calendar: days and intervals of a day, in a time zone with its clock changes.

use std::cell::Cell;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::time::{EventTime, Millis};

use super::{Window, WindowFn};

/// Days from midnight to midnight: 23 and 25 hours long when clocks change.
#[derive(Clone, Debug)]
pub struct CalendarDays {
    zone: TimeZone,
    /// The window used last: most elements fall in the same one.
    last: Cell<Option<Window>>,
}

impl CalendarDays {
    /// Days of `zone`, an IANA time zone.
    pub fn in_zone(zone: TimeZone) -> Self {
        CalendarDays { zone, last: Cell::new(None) }
    }

    fn day(&self, at: EventTime) -> Window {
        if let Some(last) = self.last.get().filter(|w| w.start <= at && at < w.end) {
            return last;
        }
        let day = day_of(&self.zone, at);
        self.last.set(Some(day));
        day
    }
}

impl WindowFn for CalendarDays {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        windows.push(self.day(at));
    }

    fn slice(&self, at: EventTime) -> Window {
        self.day(at)
    }
}

/// Intervals of equal length counted from each midnight. A clock change adds or takes whole intervals of real time:
/// none is merged or missing. When midnight is not a multiple away, the last interval of the day is shorter.
#[derive(Clone, Debug)]
pub struct CalendarIntervals {
    length: Millis,
    days: CalendarDays,
}

impl CalendarIntervals {
    /// Intervals of `minutes`; [`CalendarIntervals::in_zone`] says whose midnight they count from (default UTC).
    pub fn of(minutes: u32) -> Self {
        assert!(minutes > 0, "an interval needs at least a minute");
        let days = CalendarDays::in_zone(TimeZone::UTC);
        CalendarIntervals { length: Millis::from(minutes) * 60_000, days }
    }

    pub fn in_zone(self, zone: TimeZone) -> Self {
        CalendarIntervals { days: CalendarDays::in_zone(zone), ..self }
    }
}

impl WindowFn for CalendarIntervals {
    fn assign(&self, at: EventTime, windows: &mut Vec<Window>) {
        windows.push(self.slice(at));
    }

    fn slice(&self, at: EventTime) -> Window {
        let day = self.days.day(at);
        let start = at - (at - day.start) % self.length;
        Window { start, end: (start + self.length).min(day.end) }
    }
}

/// The civil day of `at` as instants. Times that the calendar cannot name fall into days of 24 hours UTC.
fn day_of(zone: &TimeZone, at: EventTime) -> Window {
    let named = || -> Result<Window, jiff::Error> {
        let date = zone.to_datetime(Timestamp::from_millisecond(at)?).date();
        let next = date.checked_add(Span::new().days(1))?;
        Ok(Window { start: midnight(zone, date)?, end: midnight(zone, next)? })
    };
    named().unwrap_or_else(|_| {
        let day = 24 * 3_600_000;
        let start = at - at.rem_euclid(day);
        Window { start, end: start.saturating_add(day) }
    })
}

/// The first instant of `date`, also where clocks skip midnight.
fn midnight(zone: &TimeZone, date: Date) -> Result<EventTime, jiff::Error> {
    Ok(date.to_zoned(zone.clone())?.start_of_day()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const HOUR: Millis = 3_600_000;

    fn instant(text: &str) -> EventTime {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn windows_of(windows: &impl WindowFn, from: EventTime, to: EventTime) -> Vec<Window> {
        let mut all = Vec::new();
        let mut at = from;
        while at < to {
            windows.assign(at, &mut all);
            at += 15 * 60_000;
        }
        all.dedup();
        all
    }

    #[test]
    fn days_have_23_and_25_hours_when_clocks_change() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let days = CalendarDays::in_zone(zone);
        let mut out = Vec::new();
        for at in ["2025-03-30T11:00:00Z", "2025-10-26T11:00:00Z", "2025-07-01T11:00:00Z"] {
            days.assign(instant(at), &mut out);
        }
        let hours: Vec<_> = out.iter().map(|w| (w.end - w.start) / HOUR).collect();
        assert_eq!(hours, [23, 25, 24]);
        assert_eq!(out[0].start, instant("2025-03-29T23:00:00Z"));
    }

    #[test]
    fn no_interval_is_merged_or_missing_when_clocks_change() {
        let zone = TimeZone::get("America/New_York").unwrap();
        for (day, count) in [("2025-03-09T05:00:00Z", 23), ("2025-11-02T04:00:00Z", 25)] {
            let hours = CalendarIntervals::of(60).in_zone(zone.clone());
            let start = instant(day);
            let windows = windows_of(&hours, start, start + count * HOUR);
            assert_eq!(windows.len() as i64, count);
            assert!(windows.iter().all(|w| w.end - w.start == HOUR));
            assert!(windows.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn a_day_without_midnight_begins_when_it_begins() {
        // Clocks in Santiago went from 24:00 to 01:00.
        let days = CalendarDays::in_zone(TimeZone::get("America/Santiago").unwrap());
        let mut out = Vec::new();
        days.assign(instant("2024-09-08T12:00:00Z"), &mut out);
        assert_eq!((out[0].end - out[0].start) / HOUR, 23);
    }
}
