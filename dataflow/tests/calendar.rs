//! Days and hours of a zone whose clocks change: none is merged, split or missing.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use highwater_dataflow::testing::Bench;
use highwater_dataflow::window::{CalendarDays, CalendarIntervals, Count, WindowFn};
use highwater_dataflow::{EventTime, FOREVER, Millis};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: Millis = 60_000;

fn instant(text: &str) -> EventTime {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// Start and end of each window that a contact every quarter of an hour from `from` to `to` falls in, and how many
/// did. They come in no order, and the last of them late.
fn contacts<W: WindowFn>(
    zone: &'static str,
    windows: fn(TimeZone) -> W,
    from: &str,
    to: &str,
) -> Vec<(EventTime, EventTime, i64)> {
    let mut bench = Bench::start(2, move |calls| {
        calls
            .window_into("calendar", windows(TimeZone::get(zone).unwrap()))
            .allowed_lateness(60 * MINUTE)
            .aggregate(Count)
            .panes
            .map(|((), pane)| (pane.window.start, pane.window.end, pane.value))
    });
    let (from, to) = (instant(from), instant(to));
    let quarters = (to - from) / (15 * MINUTE);
    let times: Vec<EventTime> = (0..quarters).map(|n| from + n * 15 * MINUTE).collect();
    let (early, late): (Vec<_>, Vec<_>) = times.iter().partition(|t| *t / MINUTE % 7 != 0);
    let row = |at: EventTime| ((), (at, ()));
    bench.add(early.iter().rev().map(|at| row(*at)));
    // Half an hour after each of them its windows are over, and still take what comes.
    for at in late {
        bench.watermark(at + 30 * MINUTE);
        bench.add([row(at)]);
    }
    bench.watermark(FOREVER);
    let rows = bench.rows();
    bench.finish();
    rows
}

fn hours(rows: &[(EventTime, EventTime, i64)]) -> Vec<i64> {
    rows.iter().map(|(start, end, _)| (end - start) / (60 * MINUTE)).collect()
}

#[test]
fn a_day_view_has_days_of_23_and_25_hours() {
    // Berlin: clocks go forward on 29 March 2026 and back on 25 October 2026.
    let days = |from, to| contacts("Europe/Berlin", CalendarDays::in_zone, from, to);
    let spring = days("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z");
    assert_eq!(hours(&spring), [24, 23, 24]);
    assert_eq!(spring.iter().map(|day| day.2).collect::<Vec<_>>(), [96, 92, 96]);
    assert_eq!(spring[1].0, instant("2026-03-28T23:00:00Z"));
    let autumn = days("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z");
    assert_eq!(hours(&autumn), [24, 25, 24]);
    assert_eq!(autumn.iter().map(|day| day.2).collect::<Vec<_>>(), [96, 100, 96]);
    assert_eq!(autumn[2].0, instant("2026-10-25T23:00:00Z"));
}

#[test]
fn the_hour_that_comes_twice_is_two_and_the_one_that_is_skipped_none() {
    let by_hour = |zone: TimeZone| CalendarIntervals::of(60).in_zone(zone);
    for (zone, from, to, count) in [
        ("America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23),
        ("America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
        // Clocks move by half an hour: a day of 24.5 hours ends with a short interval.
        ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", 25),
    ] {
        let rows = contacts(zone, by_hour, from, to);
        assert_eq!(rows.len(), count, "{zone}");
        assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{zone}: {rows:?}");
        assert!(rows.iter().all(|(start, end, n)| (end - start) / (15 * MINUTE) == *n), "{zone}");
        assert_eq!((rows[0].0, rows[count - 1].1), (instant(from), instant(to)), "{zone}");
    }
}
