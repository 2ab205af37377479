//! Queue interval: every interval with elements, and those in which a queue is open.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_model::{Envelope, Event, Opening, QueueId, QueueProfile};
use highwater_queries::Settings;
use highwater_queries::settings::ClosedSide;

use super::sums::{Element, Sums, mean, percent};
use super::windows::Windows;

pub(crate) struct Intervals {
    windows: Windows,
    spine: Option<Spine>,
}

/// Intervals that show because their queue is open: they come with the watermark and stay.
#[derive(Default)]
struct Spine {
    told_to: BTreeMap<QueueId, EventTime>,
    told: Vec<Element>,
}

impl Intervals {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (size, right) = (settings.interval_s, settings.closed == ClosedSide::Right);
        Intervals {
            windows: Windows::new(size, size, right, settings.allowed_lateness_s),
            spine: settings.empty_intervals.then(Spine::default),
        }
    }

    /// The rows, and those of `late_elements`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        measured: &[Element],
        before: EventTime,
        now: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let mut elements = measured.to_vec();
        if let Some(spine) = &mut self.spine {
            spine.grow(known, &self.windows, now);
            elements.extend(spine.told.iter().cloned());
        }
        let (held, late) = self.windows.hold(&elements, before, now);
        let size = self.windows.size;
        let rows = held.into_iter().map(|((queue, start), held)| {
            let status = self.windows.status(start, now);
            row(queue, start, start + size, &held.sums, status)
        });
        let rows = rows.collect();
        let late = late.into_iter().map(|((queue, start), n)| {
            vec![
                Value::Text("queue_interval".into()),
                Value::Text(queue.0),
                Value::Int(start),
                Value::Int(start + size),
                Value::Int(n),
            ]
        });
        (rows, late.collect())
    }
}

fn row(queue: QueueId, start: i64, end: i64, m: &Sums, status: &str) -> Row {
    let left = m.answered + m.abandoned;
    vec![
        Value::Text(queue.0),
        Value::Int(start),
        Value::Int(end),
        Value::Int(m.arrivals),
        Value::Int(m.offered),
        Value::Int(m.answered),
        Value::Int(m.abandoned),
        Value::Int(m.in_progress),
        Value::Int(m.completed),
        mean(m.handle_ms, m.completed),
        mean(m.wait_ms, m.answered),
        percent(m.answered_in_time, left),
        percent(m.answered_in_time, m.answered),
        percent(m.answered_in_time + m.abandoned_in_time, left),
        percent(m.answered_in_time, left - m.abandoned_in_time),
        percent(m.answered_in_time, left - m.abandoned_short),
        Value::Int(m.answered_in_time),
        Value::Int(m.abandoned_in_time),
        Value::Int(m.abandoned_short),
        Value::Int(m.wait_ms),
        Value::Int(m.handle_ms),
        Value::Text(status.into()),
    ]
}

impl Spine {
    /// Intervals that begin up to `now`, none of them longer ago than lateness is allowed; by the latest profile known.
    fn grow(&mut self, known: &[Envelope], windows: &Windows, now: EventTime) {
        if now == BEGINNING || now == FOREVER {
            return;
        }
        let mut latest: BTreeMap<&QueueId, (i64, &QueueProfile)> = BTreeMap::new();
        for envelope in known {
            if let Event::QueueProfile(profile) = &envelope.event {
                let this = (envelope.at, profile);
                let held = latest.entry(&profile.queue).or_insert(this);
                *held = this.max(*held);
            }
        }
        for (queue, (since, profile)) in latest {
            let told_to = self.told_to.entry(queue.clone()).or_insert(BEGINNING);
            let from = since.max(*told_to).max(now - windows.lateness);
            let mut start = from.div_euclid(windows.size) * windows.size;
            while start <= now {
                let open = is_open(profile.opening.as_ref(), start)
                    || is_open(profile.opening.as_ref(), start + windows.size - 1);
                if start >= from && open {
                    let at = if windows.right { start + windows.size } else { start };
                    self.told.push((queue.clone(), at, Sums::default()));
                }
                start += windows.size;
            }
            *told_to = now + 1;
        }
    }
}

/// Whether a queue is open at an instant; knows the zones that these tests use, all of a fixed offset.
fn is_open(opening: Option<&Opening>, at: i64) -> bool {
    let Some(opening) = opening else { return true };
    let offset_min = match opening.time_zone.as_str() {
        "UTC" => 0,
        "Etc/GMT-2" => 120,
        "Etc/GMT+5" => -300,
        other => panic!("the oracle does not know the zone {other}"),
    };
    let minute = at.div_euclid(60_000) + offset_min;
    let (day, minute) = (minute.div_euclid(1440), minute.rem_euclid(1440));
    // The first of January 1970 was a Thursday.
    let works = |day: i64| opening.weekdays & (1 << (day + 3).rem_euclid(7)) != 0;
    let (opens, closes) = (opening.opens_min, opening.closes_min);
    if opens < closes {
        works(day) && (opens..closes).contains(&minute)
    } else {
        (works(day) && minute >= opens) || (works(day - 1) && minute < closes)
    }
}
