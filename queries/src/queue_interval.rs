//! Queue interval: what happened in each queue in each interval, kept right until the interval is final.
//!
//! in   measures (Queue, (instant, Measures))   queue profiles over time
//! out  queue_interval   one row per queue and interval; zeros inside opening hours; status open, closing, final
//! side late_elements    what came for intervals that are final

use highwater_dataflow::view::{Column, Row, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Behavior, Closed, FixedWindows, LateElement, RowStatus, Sum, Trigger, Window,
};
use highwater_dataflow::{Reach, Table};
use highwater_model::{QueueId, QueueProfile};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;
use crate::measured::Measured;
use crate::measures::{COLUMNS, Measures, window_cells};
use crate::settings::Settings;
use crate::spine::opening_intervals;

/// A row of `queue_interval`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueInterval {
    pub queue: QueueId,
    pub window: Window,
    pub measures: Measures,
    pub status: RowStatus,
}

impl ViewRow for QueueInterval {
    const VIEW: &'static View = &View {
        name: "queue_interval",
        doc: "Volume, outcomes, service level and occupancy per queue and interval, by event time.",
        key: 2,
        columns: &Column::join::<{ COLUMNS.len() + 4 }>(&[
            &[
                Column::text("queue_id", "the queue"),
                Column::int("interval_start_ms", "start of the interval, ms UTC"),
                Column::int("interval_end_ms", "end of the interval, ms UTC"),
            ],
            &COLUMNS,
            &[Column::text(
                "status",
                "open (not over), closing (late events still count) or final",
            )],
        ]),
    };

    fn cells(&self, row: &mut Row) {
        window_cells(&self.queue, self.window, &self.measures, self.status, row);
    }
}

/// The view and its late side output.
pub fn queue_interval<'s>(
    input: &Inputs<'s>,
    measured: &Measured<'s>,
    settings: &Settings,
) -> (Table<'s, QueueInterval>, Table<'s, (QueueId, LateElement)>) {
    let (size, closed) = (settings.interval(), settings.closed.into());
    let measured = measured.per("interval", size, closed);
    let measured = if settings.empty_intervals {
        measured.concat(spine(input, settings, closed))
    } else {
        measured
    };
    // Told from the first event on, told again at the end, and corrected until it is final.
    let every_epoch = || Trigger::repeatedly(Trigger::after_count(1));
    let panes = measured
        .window_into("queue_interval", FixedWindows::of(size).closed(closed))
        .trigger(Trigger::after_watermark().early(every_epoch()).late(every_epoch()))
        .allowed_lateness(settings.allowed_lateness())
        .accumulation(Accumulation::AccumulatingRetracting)
        .on_time_behavior(Behavior::FireAlways)
        .closing_behavior(Behavior::FireAlways)
        .aggregate(Sum);
    let rows = panes.panes.map(|(queue, pane)| QueueInterval {
        queue,
        window: pane.window,
        status: pane.status(),
        measures: pane.value,
    });
    (rows, panes.late)
}

/// Opening intervals that have begun, by the profile in force when they began, as measures that count nothing but show.
fn spine<'s>(
    input: &Inputs<'s>,
    settings: &Settings,
    closed: Closed,
) -> Table<'s, (QueueId, (i64, Measures))> {
    let size = settings.interval();
    let reach = Reach {
        // As long as an interval is not final.
        correction: settings.allowed_lateness() + size,
        beginning: settings.correction(),
    };
    let profiles = input.queue_profiles().intervals("opening hours", settings.correction());
    profiles
        .unfold("opening intervals", reach, move |_, profile: &QueueProfile, from, to| {
            opening_intervals(profile.opening.as_ref(), size, from, to).collect()
        })
        .map(move |(queue, start)| {
            let at = if closed == Closed::Right { start + size } else { start };
            (queue, (at, Measures { spine: 1, ..Measures::default() }))
        })
}
