//! Queue rolling: the last five minutes of each queue, anew every thirty seconds.
//!
//! in   measures (Queue, (event time, Measures))
//! out  queue_rolling   one row per queue and window that had contacts, when the watermark passes its end; corrected until final

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Behavior, LateElement, RowStatus, SlidingWindows, Sum, Trigger, Window,
};
use highwater_model::QueueId;
use serde::{Deserialize, Serialize};

use crate::measures::Measures;
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
        doc: "Volume and waiting over a sliding window per queue, by event time.",
        key: 2,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("window_start_ms", "start of the window, ms UTC"),
            Column::int("window_end_ms", "end of the window, ms UTC"),
            Column::int("arrivals", "contacts that arrived"),
            Column::int("offered", "arrivals that were offered to agents"),
            Column::int("answered", "contacts answered"),
            Column::int("abandoned", "contacts that gave up in queue"),
            Column::int("completed", "contacts finished"),
            Column::real("aht_ms", "average handle time of the completed, ms"),
            Column::real("asa_ms", "average speed of answer, ms"),
            Column::real("sl_offered_pct", "answered in time / (answered + abandoned)"),
            Column::text("status", "closing (late events still count) or final"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let m = &self.measures;
        row.extend([
            Value::from(self.queue.0.clone()),
            self.window.start.into(),
            self.window.end.into(),
            m.arrivals.into(),
            m.offered.into(),
            m.answered.into(),
            m.abandoned.into(),
            m.completed.into(),
            m.aht_ms().into(),
            m.asa_ms().into(),
            m.sl_offered_pct().into(),
            self.status.as_str().into(),
        ]);
    }
}

/// The view and its late side output.
pub fn queue_rolling<'s>(
    measured: Table<'s, (QueueId, (i64, Measures))>,
    settings: &Settings,
) -> (Table<'s, QueueRolling>, Table<'s, (QueueId, LateElement)>) {
    let windows =
        SlidingWindows::of(settings.rolling_s * 1000).every(settings.rolling_every_s * 1000);
    let panes = measured
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
