//! Queue rolling: the last five minutes of each queue, anew every thirty seconds.
//!
//! in   measures (Queue, (event time, Measures))
//! out  queue_rolling   one row per queue and window that holds anything, when the watermark passes its end; corrected
//!                      until final
//! side late_elements   what came for windows that are final

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Behavior, Closed, LateElement, RowStatus, SlidingWindows, Sum, Trigger, Window,
};
use highwater_model::QueueId;
use serde::{Deserialize, Serialize};

use crate::measured::Measured;
use crate::measures::{COLUMNS, Measures, window_cells};
use crate::settings::Settings;

/// A row of `queue_rolling`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueRolling {
    pub queue: QueueId,
    pub window: Window,
    pub measures: Measures,
    pub status: RowStatus,
}

impl ViewRow for QueueRolling {
    const VIEW: &'static View = &View {
        name: "queue_rolling",
        doc: "Volume, waiting, service level and occupancy over a sliding window per queue, by event time.",
        key: 2,
        columns: &Column::join::<{ COLUMNS.len() + 4 }>(&[
            &[
                Column::text("queue_id", "the queue"),
                Column::int("window_start_ms", "start of the window, ms UTC"),
                Column::int("window_end_ms", "end of the window, ms UTC"),
            ],
            &COLUMNS,
            &[Column::text("status", "closing (late events still count) or final")],
        ]),
    };

    fn cells(&self, row: &mut Row) {
        window_cells(&self.queue, self.window, &self.measures, self.status, row);
    }
}

/// The view and its late side output.
pub fn queue_rolling<'s>(
    measured: &Measured<'s>,
    settings: &Settings,
) -> (Table<'s, QueueRolling>, Table<'s, (QueueId, LateElement)>) {
    let every = settings.rolling_every_s * 1000;
    let windows = SlidingWindows::of(settings.rolling_s * 1000).every(every);
    let panes = measured
        .per("rolling", every, Closed::Left)
        .window_into("queue_rolling", windows)
        .trigger(Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(1))))
        .allowed_lateness(settings.allowed_lateness())
        .accumulation(Accumulation::AccumulatingRetracting)
        .on_time_behavior(Behavior::FireIfNonEmpty)
        .closing_behavior(Behavior::FireAlways)
        .aggregate(Sum);
    let rows = panes.panes.map(|(queue, pane)| QueueRolling {
        queue,
        window: pane.window,
        status: pane.status(),
        measures: pane.value,
    });
    (rows, panes.late)
}
