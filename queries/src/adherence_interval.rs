//! Adherence per interval and business day: of every agent, team and site, as published and as corrected.
//!
//! in   what every millisecond counts as (Scope, Span<Counts>)
//! out  adherence_interval, adherence_day   one row per scope and stretch that holds time; status open, closing, final
//!
//! Running intervals are told every `refresh_s` of event time, running days every `day_refresh_s`, and count the time up
//! to there; a late event or a schedule edit changes the rows it touches at once. A row is published when the watermark reaches its end, and corrected for
//! the correction horizon.

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::Window;
use highwater_dataflow::{Accrual, Graph, Millis, Overlay, Pace};
use highwater_model::AgentId;
use serde::{Deserialize, Serialize};

use crate::adherence::Judged;
use crate::adherence_time::{Counts, Scope, TimeSums, adherence_time};
use crate::input::{Entry, Inputs};
use crate::placement::{Days, date};
use crate::settings::{AdherenceSettings, Settings};

/// A row of `adherence_interval`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AdherenceInterval(pub Scope, pub Accrual<TimeSums>);

/// A row of `adherence_day`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AdherenceDay(pub Scope, pub Accrual<TimeSums>);

const COLUMNS: &[Column] = &[
    Column::text("scope", "agent, team or site"),
    Column::text("scope_id", "which one"),
    Column::text("time_zone", "IANA time zone of the site, by which days are cut"),
    Column::int("start_ms", "start, ms UTC"),
    Column::int("end_ms", "end, exclusive, ms UTC"),
    Column::text("business_day", "civil date of the start in the time zone, YYYY-MM-DD"),
    Column::int("scheduled_ms", "scheduled time, summed over the scope's agents, ms"),
    Column::int("in_ms", "of it in adherence, ms"),
    Column::int("out_ms", "of it out of adherence, as far as it counts: the exceptions, ms"),
    Column::int("excused_ms", "of it out of adherence within the grace, ms"),
    Column::int("neutral_ms", "of it neutral, ms"),
    Column::int("ignored_ms", "of it ignored by the mapping, ms"),
    Column::int("unknown_ms", "of it with an unknown or unmapped state: never out, ms"),
    Column::int("outside_ms", "worked while nothing was scheduled, ms"),
    Column::int("on_queue_scheduled_ms", "scheduled on queue, ms"),
    Column::int("on_queue_actual_ms", "on queue in fact, scheduled or not, ms"),
    Column::real(
        "adherence_pct",
        "1 - out / (in + out + excused + neutral), in percent; null without such time",
    ),
    Column::real(
        "adherence_with_outside_pct",
        "1 - (out + outside) / (in + out + excused + neutral + outside), in percent",
    ),
    Column::real(
        "adherence_connect_pct",
        "on queue while so scheduled, or off queue and logged in while so scheduled, of the \
         scheduled time that is known and not ignored, in percent",
    ),
    Column::real(
        "conformance_pct",
        "on queue in fact / on queue by schedule, in percent; may exceed 100",
    ),
    Column::int("published_scheduled_ms", "scheduled_ms when first closed; null before, ms"),
    Column::int("published_out_ms", "out_ms when first closed, ms"),
    Column::int("published_outside_ms", "outside_ms when first closed, ms"),
    Column::int("published_on_queue_actual_ms", "on_queue_actual_ms when first closed, ms"),
    Column::real("published_adherence_pct", "adherence_pct when first closed"),
    Column::real(
        "published_adherence_with_outside_pct",
        "adherence_with_outside_pct when first closed",
    ),
    Column::real("published_adherence_connect_pct", "adherence_connect_pct when first closed"),
    Column::real("published_conformance_pct", "conformance_pct when first closed"),
    Column::text("status", "open (not over), closing (corrections still count) or final"),
];

impl ViewRow for AdherenceInterval {
    const VIEW: &'static View = &View {
        name: "adherence_interval",
        doc: "Time in and out of adherence per agent, team and site, and interval.",
        key: 4,
        columns: COLUMNS,
    };

    fn cells(&self, row: &mut Row) {
        cells(&self.0, &self.1, row);
    }
}

impl ViewRow for AdherenceDay {
    const VIEW: &'static View = &View {
        name: "adherence_day",
        doc: "Time in and out of adherence per agent, team and site, and business day of the site.",
        key: 4,
        columns: COLUMNS,
    };

    fn cells(&self, row: &mut Row) {
        cells(&self.0, &self.1, row);
    }
}

fn cells(scope: &Scope, accrual: &Accrual<TimeSums>, row: &mut Row) {
    let (sums, published) = (&accrual.value, accrual.published.as_ref());
    row.extend([
        Value::from(scope.kind.name()),
        scope.id.clone().into(),
        scope.zone.clone().into(),
        accrual.window.start.into(),
        accrual.window.end.into(),
        date(&scope.zone, accrual.window.start).as_deref().map(Value::from).into(),
        sums.scheduled_ms().into(),
        sums.in_ms.into(),
        sums.out_ms.into(),
        sums.excused_ms.into(),
        sums.neutral_ms.into(),
        sums.ignored_ms.into(),
        sums.unknown_ms.into(),
        sums.outside_ms.into(),
        sums.on_queue_scheduled_ms.into(),
        sums.on_queue_actual_ms.into(),
        sums.adherence_pct().into(),
        sums.adherence_with_outside_pct().into(),
        sums.adherence_connect_pct().into(),
        sums.conformance_pct().into(),
        published.map(TimeSums::scheduled_ms).into(),
        published.map(|sums| sums.out_ms).into(),
        published.map(|sums| sums.outside_ms).into(),
        published.map(|sums| sums.on_queue_actual_ms).into(),
        published.and_then(TimeSums::adherence_pct).into(),
        published.and_then(TimeSums::adherence_with_outside_pct).into(),
        published.and_then(TimeSums::adherence_connect_pct).into(),
        published.and_then(TimeSums::conformance_pct).into(),
        accrual.status.as_str().into(),
    ]);
}

/// How far back a leap of the watermark fills intervals and days, beyond the correction horizon, ms: a month.
pub(crate) const REACH: Millis = 31 * 86_400_000;

pub(crate) fn publish<'s>(
    graph: &mut Graph<'s, Entry>,
    input: &Inputs<'s>,
    adherence: &Overlay<'s, AgentId, Judged>,
    settings: &Settings,
) {
    let time = adherence_time(input, adherence, settings);
    let size = settings.interval();
    let AdherenceSettings { refresh_s, day_refresh_s, .. } = settings.adherence;
    let pace = |every| Pace { every, horizon: input.correction, reach: input.correction + REACH };
    let interval = move |_: &Scope, at: i64| {
        let start = at.div_euclid(size) * size;
        Window { start, end: start + size }
    };
    let rate = |counts: &Counts| counts.rate();
    let intervals = time.clone().accrue(
        "adherence intervals",
        pace(common(refresh_s * 1000, size)),
        interval,
        rate,
    );
    graph.publish(intervals.rows.map(|(scope, row)| AdherenceInterval(scope, row)));
    let days = Days::default();
    let day = move |scope: &Scope, at| days.day(&scope.zone, at);
    let days = time.accrue("adherence days", pace(day_refresh_s * 1000), day, rate);
    graph.publish(days.rows.map(|(scope, row)| AdherenceDay(scope, row)));
}

/// The longest beat that meets both: intervals begin on it.
fn common(a: Millis, b: Millis) -> Millis {
    if b == 0 { a } else { common(b, a % b) }
}
