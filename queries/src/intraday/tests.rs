//! Days followed by hand: surges, clocks that turn out different, and what is forgotten.

use highwater_dataflow::{EventTime, FOREVER, Millis, Timed};
use highwater_model::{Opening, QueueId};

use super::{Desk, Heard, Interval, Piece, Refresh, Spoken, Trigger};

const HOUR: Millis = 3_600_000;
const QUARTER: Millis = HOUR / 4;
const DAY: Millis = 24 * HOUR;
/// Monday, 2 June 2025, 00:00 UTC.
const MIDNIGHT: EventTime = 1_748_822_400_000;

struct Queue {
    desk: Desk,
    id: QueueId,
    state: <Desk as Timed<QueueId, Heard>>::State,
    rows: Vec<Interval>,
    refreshes: Vec<Refresh>,
    wakes_at: EventTime,
}

impl Queue {
    fn new() -> Self {
        Queue {
            desk: Desk { size: QUARTER, right: 0, correction: DAY },
            id: "sales".into(),
            state: super::desk::State::default(),
            rows: Vec::new(),
            refreshes: Vec::new(),
            wakes_at: FOREVER,
        }
    }

    /// An epoch: what is heard, and where the watermark then stands.
    fn epoch(&mut self, heard: impl IntoIterator<Item = Heard>, watermark: EventTime) {
        for row in heard {
            self.desk.hear(&self.id, &mut self.state, &row, 1);
        }
        let mut out = Vec::new();
        self.wakes_at = self.desk.speak(&self.id, &mut self.state, watermark, &mut out);
        for (spoken, diff) in out {
            match spoken {
                Spoken::Row(row) if diff > 0 => self.rows.push(row),
                Spoken::Row(row) => self.rows.retain(|shown| *shown != row),
                Spoken::Refresh(refresh) => self.refreshes.push(refresh),
                Spoken::Accuracy(_) => {}
            }
        }
        self.rows.sort();
    }
}

/// A day's forecast: ten contacts in each quarter from eight to six.
fn forecast(midnight: EventTime) -> impl Iterator<Item = Heard> {
    (32..72).map(move |n| {
        let start = midnight + n * QUARTER;
        let (volume_milli, aht_ms) = (10_000, 200_000);
        Heard::Forecast(Piece {
            version: 1,
            at: 0,
            start,
            end: start + QUARTER,
            volume_milli,
            aht_ms,
        })
    })
}

fn contacts(start: EventTime, n: usize) -> impl Iterator<Item = Heard> {
    std::iter::repeat_n(Heard::Offered { start }, n)
}

#[test]
fn a_surge_refreshes_at_once_and_once() {
    let mut queue = Queue::new();
    let eight = MIDNIGHT + 8 * HOUR;
    queue.epoch(forecast(MIDNIGHT), eight);
    let before = queue.refreshes.len();
    let at = eight + QUARTER / 2;
    let surge = || Heard::Trigger { at, trigger: Trigger::VolumeSurge };
    queue.epoch(contacts(eight, 25).chain([surge()]), eight + 60_000);
    assert_eq!(queue.refreshes.len(), before + 1);
    let refresh = queue.refreshes.last().unwrap();
    assert_eq!((refresh.trigger.as_str(), refresh.at), ("volume_surge", at));
    assert_eq!(refresh.intervals_updated, 40, "the one under way and all after it");
    // κ = 1/0.12², φ = 3.5; half of the ten expected had been due when 25 had come.
    let kappa = 1.0 / (0.12 * 0.12);
    let factor = (kappa + 25.0 / 3.5) / (kappa + 5.0 / 3.5);
    let change = (factor - 1.0) * 100_000.0;
    assert_eq!(refresh.volume_change_mpct, f64::round(change) as i64);
    // What has come, and the other half of the quarter.
    assert_eq!(queue.rows[0].reforecast_milli, Some(25_000 + f64::round(5_000.0 * factor) as i64));
    assert_eq!(queue.rows[0].actual, None);

    queue.epoch([surge()], eight + 90_000);
    assert_eq!(queue.refreshes.len(), before + 1, "told again, it is no other surge");
    assert_eq!(queue.wakes_at, eight + QUARTER);
    queue.epoch([], eight + QUARTER);
    assert_eq!(queue.rows[0].actual, Some(25));
}

#[test]
fn ends_that_are_jumped_over_are_all_acted_on() {
    let mut queue = Queue::new();
    queue.epoch(forecast(MIDNIGHT), MIDNIGHT + 7 * HOUR);
    let before = queue.refreshes.len();
    queue.epoch(contacts(MIDNIGHT + 8 * HOUR, 12), MIDNIGHT + 9 * HOUR + 1);
    let at: Vec<EventTime> = queue.refreshes[before..].iter().map(|refresh| refresh.at).collect();
    let ends: Vec<EventTime> = (1..=8).map(|n| MIDNIGHT + 7 * HOUR + n * QUARTER).collect();
    assert_eq!(at, ends);
    // The end of all input says nothing.
    queue.epoch([], FOREVER);
    assert_eq!(queue.refreshes.len(), before + 8);
    assert_eq!(queue.wakes_at, FOREVER);
}

#[test]
fn the_day_follows_the_clock_of_the_profile() {
    let mut queue = Queue::new();
    queue.epoch(forecast(MIDNIGHT).chain(contacts(MIDNIGHT + 9 * HOUR, 3)), MIDNIGHT + 10 * HOUR);
    assert_eq!(queue.rows.len(), 40);
    // Open from ten in the morning to noon the next day: the day begins at noon, and splits what was one.
    let opening =
        Opening { time_zone: "UTC".into(), weekdays: 127, opens_min: 780, closes_min: 720 };
    queue.epoch([Heard::Hours { at: 0, opening: Some(opening) }], MIDNIGHT + 10 * HOUR);
    queue.epoch([], MIDNIGHT + 10 * HOUR + QUARTER);
    assert_eq!(queue.rows.len(), 16, "from eight to noon");
    assert_eq!(queue.rows[4].actual, Some(3), "what had come is there");
    assert_eq!(queue.refreshes.last().unwrap().intervals_updated, 7);
    queue.epoch([], MIDNIGHT + 12 * HOUR);
    assert_eq!(queue.rows.len(), 24, "from noon to six");
}

#[test]
fn a_silent_queue_is_left_alone_and_old_days_go() {
    let mut queue = Queue::new();
    queue.desk.size = HOUR;
    for day in 0..200 {
        let midnight = MIDNIGHT + day * DAY;
        let heard = (8..18).flat_map(|n| contacts(midnight + n * HOUR, 2));
        queue.epoch(heard, midnight + DAY - 1);
    }
    let days = queue.state.days();
    assert!((140..=142).contains(&days), "{days} days");
    assert!(queue.refreshes.iter().all(|refresh| refresh.at >= MIDNIGHT + 14 * DAY));
    let last = MIDNIGHT + 200 * DAY;
    queue.epoch([], last);
    assert_eq!(queue.rows.len(), 10, "tomorrow is forecast from the weeks before");
    assert_eq!(queue.wakes_at, last + HOUR);
    queue.epoch([], last + 30 * DAY);
    assert_eq!(queue.wakes_at, FOREVER);
}
