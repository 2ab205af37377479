//! Queue interval: every interval with elements, and those in which a queue is open.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::Row;
use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_model::{Envelope, Event, Opening, QueueId, QueueProfile};
use highwater_queries::settings::ClosedSide;
use highwater_queries::{Attribution, Settings};

use super::contacts::Telling;
use super::spent::Spent;
use super::sums::{Sums, attributed};
use super::windows::{Held, Windows};

pub(crate) struct Intervals {
    attribution: Attribution,
    windows: Windows,
    spent: Spent,
    spine: Option<Spine>,
}

/// Intervals that show because their queue is open.
struct Spine {
    correction: i64,
    /// Nothing is shown that began before: a correction horizon before the first watermark.
    origin: Option<EventTime>,
    /// The last watermark of an input that goes on.
    reached: EventTime,
    shown: BTreeMap<QueueId, BTreeSet<EventTime>>,
}

impl Intervals {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (size, right) = (settings.interval_s, settings.closed == ClosedSide::Right);
        let spine = || Spine {
            correction: settings.correction_s * 1000,
            origin: None,
            reached: BEGINNING,
            shown: BTreeMap::new(),
        };
        Intervals {
            attribution: settings.attribution,
            windows: Windows::new(size, size, right, settings.allowed_lateness_s),
            spent: Spent::new(settings, size * 1000, right),
            spine: settings.empty_intervals.then(spine),
        }
    }

    /// The rows, and those of `late_elements`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        told: &[Telling],
        before: EventTime,
        now: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let mut elements = attributed(known, told, self.attribution);
        elements.extend(self.spent.elements(known, told, now));
        if let Some(spine) = &mut self.spine {
            spine.grow(known, &self.windows, before, now);
            for (queue, starts) in &spine.shown {
                let shift = if self.windows.right { self.windows.size } else { 0 };
                let shown = starts.iter().map(|at| (queue.clone(), at + shift, Sums::default()));
                elements.extend(shown);
            }
        }
        let (held, late) = self.windows.hold(&elements, before, now);
        let row = |((queue, start), held): ((QueueId, i64), Held)| {
            self.windows.row(queue, start, &held.sums, now)
        };
        (held.into_iter().map(row).collect(), self.windows.late_rows("queue_interval", late))
    }
}

impl Spine {
    /// Intervals that have begun while the profile of that time says open. Those that were final before this epoch stay
    /// as they are.
    fn grow(&mut self, known: &[Envelope], windows: &Windows, before: EventTime, now: EventTime) {
        if now > BEGINNING && now < FOREVER {
            self.origin.get_or_insert(now - self.correction);
            self.reached = now;
        }
        let Some(origin) = self.origin else { return };
        let mut profiles: BTreeMap<&QueueId, BTreeMap<EventTime, &QueueProfile>> = BTreeMap::new();
        for envelope in known {
            if let Event::QueueProfile(profile) = &envelope.event {
                let queue = profiles.entry(&profile.queue).or_default();
                let held = queue.entry(envelope.at).or_insert(profile);
                *held = profile.max(*held);
            }
        }
        let final_before = before.saturating_sub(windows.lateness + windows.size);
        let from = final_before.saturating_add(1).max(origin);
        for (queue, profiles) in profiles {
            let shown = self.shown.entry(queue.clone()).or_default();
            shown.retain(|at| *at < from);
            let mut start = from.div_euclid(windows.size) * windows.size;
            while start <= self.reached {
                let in_force = profiles.range(..=start).next_back();
                let opening = in_force.map(|(_, profile)| profile.opening.as_ref());
                let open = opening.is_some_and(|opening| {
                    is_open(opening, start) || is_open(opening, start + windows.size - 1)
                });
                if start >= from && open {
                    shown.insert(start);
                }
                start += windows.size;
            }
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
