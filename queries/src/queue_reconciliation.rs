//! Queue reconciliation: the ACD's own figures beside ours, as of the instant at which it took them.
//!
//! in   queue updates (Queue, snapshot)   measures and waiting by event time
//! out  queue_reconciliation   one row per queue and interval: its last snapshot, ours as of then, and the difference
//! side late_elements          snapshots for intervals that are final
//!
//! Ours are by event, whatever the deployment's attribution: so far in the interval, nothing else is known yet. A late
//! event corrects them until the interval is final.

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{FixedWindows, LateElement, Window};
use highwater_dataflow::{Point, Table};
use highwater_model::{QueueId, QueueUpdate};
use serde::{Deserialize, Serialize};

use crate::contacts::{Outcome, Told};
use crate::input::Inputs;
use crate::measured::Measured;
use crate::measures::Measures;
use crate::settings::Settings;

/// A row of `queue_reconciliation`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueReconciliation {
    pub queue: QueueId,
    pub window: Window,
    pub latest: bool,
    pub snapshot: Point<QueueUpdate>,
    /// Contacts that waited at that instant.
    pub waiting: i64,
    /// The interval up to that instant.
    pub measures: Measures,
}

impl ViewRow for QueueReconciliation {
    const VIEW: &'static View = &View {
        name: "queue_reconciliation",
        doc: "The ACD's figures of each interval's last snapshot, ours as of the same instant, and theirs less ours.",
        key: 2,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("interval_start_ms", "start of the interval, ms UTC"),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::int("snapshot_ms", "event time of the snapshot, ms UTC"),
            Column::int("latest", "1 on the queue's newest row, else 0"),
            Column::int("acd_waiting", "contacts waiting, as the ACD counts"),
            Column::int("waiting", "contacts offered by then and neither answered nor gone"),
            Column::int("waiting_diff", "theirs less ours"),
            Column::int("acd_volume", "contacts in the interval so far, as the ACD counts"),
            Column::int("volume", "contacts offered in the interval by then"),
            Column::int("volume_diff", "theirs less ours"),
            Column::real("acd_aht_ms", "average handle time so far, ms, as the ACD reckons"),
            Column::real("aht_ms", "of the contacts completed in the interval by then, ms"),
            Column::real("aht_diff_ms", "theirs less ours, ms"),
            Column::real("acd_service_level_pct", "the ACD's figure, by its own definition"),
            Column::real("service_level_pct", "ours, in the interval by then"),
            Column::text("service_level_definition", "by this definition"),
            Column::real("service_level_diff_pct", "theirs less ours, percentage points"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let (acd, ours) = (&self.snapshot.value, &self.measures);
        let acd_aht = acd.interval_aht_ms.map(|ms| ms as f64);
        let acd_level = acd.service_level_ppm.map(|ppm| ppm as f64 / 10_000.0);
        let less = |theirs: Option<f64>, ours: Option<f64>| Some(theirs? - ours?);
        row.extend([
            Value::from(self.queue.0.clone()),
            self.window.start.into(),
            self.window.end.into(),
            self.snapshot.at.into(),
            i64::from(self.latest).into(),
            acd.contacts_waiting.into(),
            self.waiting.into(),
            (acd.contacts_waiting - self.waiting).into(),
            acd.interval_volume.into(),
            ours.offered.into(),
            acd.interval_volume.map(|theirs| theirs - ours.offered).into(),
            acd_aht.into(),
            ours.aht_ms().into(),
            less(acd_aht, ours.aht_ms()).into(),
            acd_level.into(),
            ours.chosen_service_level_pct().into(),
            ours.definition().into(),
            less(acd_level, ours.chosen_service_level_pct()).into(),
        ]);
    }
}

/// The view, and snapshots that came too late for it.
pub fn queue_reconciliation<'s>(
    input: &Inputs<'s>,
    measured: &Measured<'s>,
    settings: &Settings,
) -> (Table<'s, QueueReconciliation>, Table<'s, (QueueId, LateElement)>) {
    let counted = measured.by_event.clone();
    let counted = counted.map(|(queue, (at, measures))| (queue, (at, (measures, 0_i64))));
    let waiting = measured.told.clone().flat_map(|(queue, (at, told))| {
        waits(at, &told).map(move |(at, n)| (queue.clone(), (at, (Measures::default(), n))))
    });
    let windows = FixedWindows::of(settings.interval()).closed(settings.closed.into());
    let (totals, late) = counted.concat(waiting).totals_at(
        "queue_reconciliation",
        input.queue_updates(),
        windows,
        settings.allowed_lateness(),
    );
    let rows = totals.map(|(queue, total)| QueueReconciliation {
        queue,
        window: total.window,
        latest: total.latest,
        snapshot: Point { seq: 0, ..total.reading },
        waiting: total.up_to.1,
        measures: total.within.0,
    });
    (rows, late)
}

/// When a contact begins and ceases to wait.
fn waits(at: i64, told: &Told) -> impl Iterator<Item = (i64, i64)> + use<> {
    let steps = match told.outcome {
        Outcome::Waiting => [Some((at, 1)), None],
        Outcome::Answered { .. } | Outcome::Abandoned { .. } if told.offered_at < at => {
            [Some((told.offered_at, 1)), Some((at, -1))]
        }
        _ => [None, None],
    };
    steps.into_iter().flatten()
}
