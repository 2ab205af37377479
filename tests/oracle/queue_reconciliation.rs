//! Queue reconciliation: each interval's last snapshot, beside everything that had happened by then, counted anew.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::{Envelope, Event, QueueId, QueueUpdate};
use highwater_queries::Settings;
use highwater_queries::settings::ClosedSide;

use super::contacts::{Outcome, Telling};
use super::sums::{Sums, mean, measured};
use super::windows::Windows;

type Place = (QueueId, EventTime);

pub(crate) struct Reconciliation {
    windows: Windows,
    /// How many events were looked at in earlier epochs.
    seen: usize,
    /// The last snapshot of each interval among those that came in time.
    snapshots: BTreeMap<Place, (EventTime, QueueUpdate)>,
    late: BTreeMap<Place, i64>,
    /// Rows of intervals that are final.
    rows: BTreeMap<Place, Row>,
}

impl Reconciliation {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (size, right) = (settings.interval_s, settings.closed == ClosedSide::Right);
        Reconciliation {
            windows: Windows::new(size, size, right, settings.allowed_lateness_s),
            seen: 0,
            snapshots: BTreeMap::new(),
            late: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// The rows, and those of `late_elements`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        told: &[Telling],
        before: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let size = self.windows.size;
        let shift = i64::from(self.windows.right);
        for envelope in &known[self.seen..] {
            let Event::QueueUpdate(update) = &envelope.event else { continue };
            let start = (envelope.at - shift).div_euclid(size) * size;
            let place = (update.queue.clone(), start);
            if self.windows.status(start, before) == "final" {
                *self.late.entry(place).or_default() += 1;
            } else {
                let this = (envelope.at, update.clone());
                let held = self.snapshots.entry(place).or_insert_with(|| this.clone());
                if this > *held {
                    *held = this;
                }
            }
        }
        self.seen = known.len();

        let counted = measured(known, told);
        for (place, (at, update)) in &self.snapshots {
            let (queue, start) = place;
            if self.windows.status(*start, before) == "final" {
                continue;
            }
            let mut so_far = Sums::default();
            for (_, when, sums) in counted.iter().filter(|(of, _, _)| of == queue) {
                if *when >= start + shift && when <= at {
                    so_far.add(sums);
                }
            }
            let waiting = told.iter().filter(|t| t.queue == *queue && waits(t, *at)).count() as i64;
            let row = row(place, size, (*at, update), waiting, &so_far);
            self.rows.insert(place.clone(), row);
        }
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        for at in 0..rows.len() {
            let latest = rows.get(at + 1).is_none_or(|next| next[0] != rows[at][0]);
            rows[at][4] = Value::Int(latest.into());
        }
        let late = self.windows.late_rows("queue_reconciliation", self.late.clone());
        (rows, late)
    }
}

/// Whether the contact of this telling waited at `at`; one telling of each contact that ever waits says so.
fn waits(told: &Telling, at: EventTime) -> bool {
    match told.outcome {
        Outcome::Waiting => told.at <= at,
        Outcome::Answered { .. } | Outcome::Abandoned { .. } => {
            (told.offered_at..told.at).contains(&at)
        }
        _ => false,
    }
}

fn row(
    (queue, start): &Place,
    size: i64,
    (at, acd): (EventTime, &QueueUpdate),
    waiting: i64,
    so_far: &Sums,
) -> Row {
    let int = |n: Option<i64>| n.map_or(Value::Null, Value::Int);
    let real = |x: Option<f64>| x.map_or(Value::Null, Value::Real);
    let less = |theirs: Option<f64>, ours: &Value| match (theirs, ours) {
        (Some(theirs), Value::Real(ours)) => Value::Real(theirs - ours),
        _ => Value::Null,
    };
    let theirs_aht = acd.interval_aht_ms.map(|ms| ms as f64);
    let theirs_level = acd.service_level_ppm.map(|ppm| ppm as f64 / 10_000.0);
    let aht = mean(so_far.completed_ms, so_far.completed);
    let (level, definition) = so_far.chosen();
    vec![
        Value::Text(queue.0.clone()),
        Value::Int(*start),
        Value::Int(start + size),
        Value::Int(at),
        Value::Null,
        Value::Int(acd.contacts_waiting),
        Value::Int(waiting),
        Value::Int(acd.contacts_waiting - waiting),
        int(acd.interval_volume),
        Value::Int(so_far.offered),
        int(acd.interval_volume.map(|theirs| theirs - so_far.offered)),
        real(theirs_aht),
        aht.clone(),
        less(theirs_aht, &aht),
        real(theirs_level),
        level.clone(),
        definition,
        less(theirs_level, &level),
    ]
}
