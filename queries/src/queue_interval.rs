//! Queue interval: what happened in each queue in each interval, kept right until the interval is final.
//!
//! in   outcomes (Queue, (event time, Outcome))   queue profiles over time
//! out  queue_interval   one row per queue and interval; zeros inside opening hours; status open, closing, final
//! side late_events      outcomes for intervals that are final

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Behavior, Closed, FixedWindows, LateElement, RowStatus, Sum, Trigger, Window,
};
use highwater_dataflow::{Point, Table};
use highwater_model::{QueueId, QueueProfile};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;
use crate::measures::Measures;
use crate::settings::{ClosedSide, Settings};
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
        doc: "Arrivals, outcomes and service level per queue and interval, by event time.",
        key: 2,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::int("interval_start_ms", "start of the interval, ms UTC"),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::int("arrivals", "contacts that arrived, voice-menu hang-ups included"),
            Column::int("offered", "arrivals that were offered to agents"),
            Column::int("answered", "contacts answered in the interval"),
            Column::int("abandoned", "contacts that gave up in queue in the interval"),
            Column::int("in_progress", "arrived in the interval and not finished yet"),
            Column::int("completed", "contacts finished in the interval"),
            Column::real(
                "aht_ms",
                "average handle time of the completed, ms; biased low while in_progress > 0",
            ),
            Column::real("asa_ms", "average speed of answer of the answered, ms"),
            Column::real("sl_offered_pct", "answered in time / (answered + abandoned)"),
            Column::real("sl_answered_pct", "answered in time / answered"),
            Column::real(
                "sl_connect_pct",
                "answered or abandoned in time / (answered + abandoned)",
            ),
            Column::real(
                "sl_excl_abandoned_pct",
                "answered in time / (answered + abandoned later than the threshold)",
            ),
            Column::real(
                "sl_excl_short_pct",
                "answered in time / (answered + abandoned - short abandons)",
            ),
            Column::int("answered_in_time", "answered within the queue's threshold"),
            Column::int("abandoned_in_time", "abandoned within the queue's threshold"),
            Column::int("abandoned_short", "abandoned within the short-abandon limit"),
            Column::int("wait_ms", "waiting time of the answered, summed, ms"),
            Column::int("handle_ms", "handling time of the completed, summed, ms"),
            Column::text("status", "open (not over), closing (late events still count) or final"),
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
            m.in_progress.into(),
            m.completed.into(),
            m.aht_ms().into(),
            m.asa_ms().into(),
            m.sl_offered_pct().into(),
            m.sl_answered_pct().into(),
            m.sl_connect_pct().into(),
            m.sl_excl_abandoned_pct().into(),
            m.sl_excl_short_pct().into(),
            m.answered_in_time.into(),
            m.abandoned_in_time.into(),
            m.abandoned_short.into(),
            m.wait_ms.into(),
            m.handle_ms.into(),
            self.status.as_str().into(),
        ]);
    }
}

/// The view and its late side output.
pub fn queue_interval<'s>(
    input: &Inputs<'s>,
    measured: Table<'s, (QueueId, (i64, Measures))>,
    settings: &Settings,
) -> (Table<'s, QueueInterval>, Table<'s, (QueueId, LateElement)>) {
    let size = settings.interval();
    let closed = match settings.closed {
        ClosedSide::Left => Closed::Left,
        ClosedSide::Right => Closed::Right,
    };
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

/// Opening intervals that have begun, as measures that count nothing but show.
fn spine<'s>(
    input: &Inputs<'s>,
    settings: &Settings,
    closed: Closed,
) -> Table<'s, (QueueId, (i64, Measures))> {
    let size = settings.interval();
    let profiles = input.queue_profiles().latest_per_key("queue profile now");
    profiles
        .unfold(
            "opening intervals",
            settings.allowed_lateness(),
            move |_, profile: &Point<QueueProfile>, from, to| {
                let opening = profile.value.opening.as_ref();
                opening_intervals(opening, size, from.max(profile.at), to).collect()
            },
        )
        .map(move |(queue, start)| {
            let at = if closed == Closed::Right { start + size } else { start };
            (queue, (at, Measures { spine: 1, ..Measures::default() }))
        })
}
