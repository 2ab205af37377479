//! Queue now: the ACD's latest word on each queue, beside what the events say, and its interval so far.
//!
//! in   queue updates (Queue, snapshot)   outcomes (Queue, (event time, Outcome))   queue profiles   queue_interval
//! out  queue_now   one row per queue ever heard of

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{Closed, Window};
use highwater_dataflow::{Point, Table};
use highwater_model::{QueueId, QueueProfile, QueueUpdate};
use serde::{Deserialize, Serialize};

use crate::contacts::Outcome;
use crate::input::Inputs;
use crate::measures::{COLUMNS, Measures};
use crate::queue_interval::QueueInterval;
use crate::settings::Settings;

/// A row of `queue_now`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueNow {
    pub queue: QueueId,
    pub profile: Option<QueueProfile>,
    pub update: Option<Point<QueueUpdate>>,
    pub waiting: i64,
    pub in_progress: i64,
    /// The interval that the watermark is in, so far.
    pub interval: Option<(Window, Measures)>,
}

impl ViewRow for QueueNow {
    const VIEW: &'static View = &View {
        name: "queue_now",
        doc: "Each queue as of its latest snapshot, with counts from contact events and its present interval so far.",
        key: 1,
        columns: &Column::join::<{ COLUMNS.len() + 16 }>(&[
            &[
                Column::text("queue_id", "the queue"),
                Column::text("channel", "as in the queue's profile"),
                Column::int("contacts_waiting", "the ACD's count"),
                Column::int("longest_wait_s", "the ACD's longest wait, seconds"),
                Column::int("agents_available", "the ACD's count"),
                Column::int("agents_on_call", "the ACD's count"),
                Column::int("agents_acw", "the ACD's count"),
                Column::int("agents_aux", "the ACD's count"),
                Column::real(
                    "acd_service_level_pct",
                    "the ACD's own figure, by its own definition",
                ),
                Column::real("target_pct", "what the queue promises"),
                Column::int("threshold_ms", "within which time, ms"),
                Column::int("overflow_threshold", "contacts waiting above which it overflows"),
                Column::int("updated_ms", "event time of the snapshot, ms UTC"),
                Column::int(
                    "waiting_by_events",
                    "contacts that arrived and neither left nor were answered",
                ),
                Column::int(
                    "in_progress_by_events",
                    "contacts that were answered and are not finished",
                ),
                Column::int(
                    "interval_start_ms",
                    "start of the interval that the watermark is in, ms UTC; what follows is of it so far",
                ),
            ],
            &COLUMNS,
        ]),
    };

    fn cells(&self, row: &mut Row) {
        let update = self.update.as_ref().map(|point| &point.value);
        let profile = self.profile.as_ref();
        row.extend([
            Value::from(self.queue.0.clone()),
            profile.map(|profile| profile.channel.name()).into(),
            update.map(|u| u.contacts_waiting).into(),
            update.map(|u| u.longest_wait_s).into(),
            update.map(|u| u.agents_available).into(),
            update.map(|u| u.agents_on_call).into(),
            update.map(|u| u.agents_acw).into(),
            update.map(|u| u.agents_aux).into(),
            update.and_then(|u| u.service_level_ppm).map(|ppm| ppm as f64 / 10_000.0).into(),
            profile.map(|profile| profile.target_ppm as f64 / 10_000.0).into(),
            profile.map(|profile| profile.threshold_ms).into(),
            profile.and_then(|profile| profile.overflow_threshold).into(),
            self.update.as_ref().map(|point| point.at).into(),
            self.waiting.into(),
            self.in_progress.into(),
            self.interval.as_ref().map(|(window, _)| window.start).into(),
        ]);
        match &self.interval {
            Some((_, measures)) => measures.cells(row),
            None => row.extend(COLUMNS.map(|_| Value::Null)),
        }
    }
}

pub fn queue_now<'s>(
    input: &Inputs<'s>,
    outcomes: Table<'s, (QueueId, (i64, Outcome))>,
    intervals: Table<'s, QueueInterval>,
    settings: &Settings,
) -> Table<'s, QueueNow> {
    let updates = input.queue_updates().latest_per_key("queue update");
    let profiles = input
        .queue_profiles()
        .latest_per_key("queue profile shown")
        .map_values(|_, point| point.value);
    let count = |outcome: Outcome| {
        outcomes
            .clone()
            .filter(move |(_, (_, has))| *has == outcome)
            .map(|(queue, _)| (queue, ()))
            .count_per_key()
            .map(|(queue, n)| (queue, n as i64))
    };
    let later = i64::from(Closed::from(settings.closed) == Closed::Right);
    let counted = intervals.clone().map(|row| row.queue);
    let present = intervals
        .map(|row| (row.queue, (row.window, row.measures)))
        .while_active("present interval", move |(_, (window, _))| {
            (window.start + later, window.end + later)
        });
    let seen = outcomes.clone().map(|(queue, _)| queue);
    let updated = updates.clone().map(|(queue, _)| queue);
    let profiled = profiles.clone().map(|(queue, _)| queue);
    seen.concat(updated)
        .concat(profiled)
        .concat(counted)
        .distinct()
        .map(|queue| (queue, ()))
        .lookup("queue profile", profiles, |queue, (), profile| (queue.clone(), profile.cloned()))
        .lookup("queue snapshot", updates, |queue, profile, update| {
            (queue.clone(), (profile.clone(), update.cloned()))
        })
        .lookup("queue waiting", count(Outcome::Waiting), |queue, (profile, update), waiting| {
            let row = QueueNow {
                queue: queue.clone(),
                profile: profile.clone(),
                update: update.clone(),
                waiting: waiting.copied().unwrap_or(0),
                in_progress: 0,
                interval: None,
            };
            (queue.clone(), row)
        })
        .lookup("queue in progress", count(Outcome::InProgress), |queue, row, in_progress| {
            let in_progress = in_progress.copied().unwrap_or(0);
            (queue.clone(), QueueNow { in_progress, ..row.clone() })
        })
        .lookup("queue present", present, |_, row, interval| QueueNow {
            interval: interval.copied(),
            ..row.clone()
        })
}
