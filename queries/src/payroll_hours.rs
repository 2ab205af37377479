//! Payroll hours: paid and productive time per agent and business day, every millisecond once, and what was corrected.
//!
//! in   states (Agent, state)   placements (Agent, Placement over time)
//! out  payroll_hours    one row per agent and day of the site's calendar, 23 or 25 hours long when clocks change
//!      payroll_ledger   one row per correction of a day that had been published; only ever added to
//!
//! Paid is the time logged in, in a state that is not unpaid. Running days are told every quarter of an hour of event
//! time. A day is published when the watermark reaches its end and final after the correction horizon. What was published
//! and what the ledger says of the day add up to what is known of it: whoever pays the one when the day has closed, and
//! settles the other entry by entry, has paid what is right. A day that closed with nothing was published as nothing.

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{Group, RowStatus};
use highwater_dataflow::{Accrual, Correction, Graph, Millis, Pace};
use highwater_model::{AgentId, AgentState, Name};
use serde::{Deserialize, Serialize};

use crate::adherence_interval::REACH;
use crate::adherence_time::working;
use crate::input::{Entry, Inputs};
use crate::placement::{Days, date, placements};
use crate::settings::Settings;

/// Milliseconds of one agent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Hours {
    pub paid_ms: i64,
    pub productive_ms: i64,
}

impl Group for Hours {
    fn zero() -> Self {
        Hours::default()
    }

    fn add(&mut self, other: &Self, times: isize) {
        self.paid_ms += other.paid_ms * times as i64;
        self.productive_ms += other.productive_ms * times as i64;
    }
}

/// An agent's days are those of the zone of the agent's site.
type Key = (AgentId, Name);

/// A row of `payroll_hours`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PayrollHours(pub Key, pub Accrual<Hours>);

/// A row of `payroll_ledger`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PayrollLedger(pub Key, pub Correction<Hours>);

impl ViewRow for PayrollHours {
    const VIEW: &'static View = &View {
        name: "payroll_hours",
        doc: "Paid and productive time per agent and business day, corrected until the day is final.",
        key: 3,
        columns: &[
            Column::text("agent_id", "the agent"),
            Column::text("time_zone", "IANA time zone of the agent's site"),
            Column::int("day_start_ms", "the day's first instant, ms UTC"),
            Column::int("day_end_ms", "the next day's first instant, ms UTC"),
            Column::text("business_day", "the day's civil date, YYYY-MM-DD"),
            Column::int("paid_ms", "logged in and not in an unpaid state, ms"),
            Column::int("productive_ms", "available for contacts or handling one, ms"),
            Column::int(
                "published_paid_ms",
                "paid_ms when the day first closed, 0 where there was none yet; null before, ms",
            ),
            Column::int(
                "published_productive_ms",
                "productive_ms when the day first closed, 0 where there was none yet; null before, ms",
            ),
            Column::text("status", "open (not over), closing (corrections still count) or final"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let PayrollHours((agent, zone), accrual) = self;
        // What was not worth a row when the day closed is there for what came late.
        let closed = accrual.status != RowStatus::Open;
        let published = accrual.published.or(closed.then(Hours::zero));
        row.extend([
            Value::from(agent.0.clone()),
            zone.clone().into(),
            accrual.window.start.into(),
            accrual.window.end.into(),
            date(zone, accrual.window.start).as_deref().map(Value::from).into(),
            accrual.value.paid_ms.into(),
            accrual.value.productive_ms.into(),
            published.as_ref().map(|hours| hours.paid_ms).into(),
            published.as_ref().map(|hours| hours.productive_ms).into(),
            accrual.status.as_str().into(),
        ]);
    }
}

impl ViewRow for PayrollLedger {
    const VIEW: &'static View = &View {
        name: "payroll_ledger",
        doc: "Every correction of a business day after it closed; rows are never changed. They add up, from published_* of payroll_hours \
              to what it says now; a day without a row there was published as 0.",
        key: 4,
        columns: &[
            Column::text("agent_id", "the agent"),
            Column::text("time_zone", "IANA time zone of the agent's site"),
            Column::int("day_start_ms", "the day's first instant, ms UTC"),
            Column::int("epoch_us", "the journal's clock when it was corrected, microseconds UTC"),
            Column::text("business_day", "the day's civil date, YYYY-MM-DD"),
            Column::int("paid_before_ms", "paid time before, ms"),
            Column::int("paid_after_ms", "paid time after, ms"),
            Column::int("paid_change_ms", "the difference, ms"),
            Column::int("productive_before_ms", "productive time before, ms"),
            Column::int("productive_after_ms", "productive time after, ms"),
            Column::int("productive_change_ms", "the difference, ms"),
            Column::int(
                "cause_seq",
                "journal position of the latest state change that came into the day; null if none \
                 did, as when the agent's site was changed",
            ),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let PayrollLedger((agent, zone), correction) = self;
        let (before, after) = (&correction.before, &correction.after);
        row.extend([
            Value::from(agent.0.clone()),
            zone.clone().into(),
            correction.window.start.into(),
            (correction.epoch as i64).into(),
            date(zone, correction.window.start).as_deref().map(Value::from).into(),
            before.paid_ms.into(),
            after.paid_ms.into(),
            (after.paid_ms - before.paid_ms).into(),
            before.productive_ms.into(),
            after.productive_ms.into(),
            (after.productive_ms - before.productive_ms).into(),
            correction.cause.map(|seq| seq as i64).into(),
        ]);
    }
}

/// How often running days are told, ms: on this beat the days of all time zones begin.
const EVERY: Millis = 15 * 60_000;

pub(crate) fn publish<'s>(graph: &mut Graph<'s, Entry>, input: &Inputs<'s>, settings: &Settings) {
    let unpaid = settings.payroll.unpaid();
    let hours = move |state: AgentState| Hours {
        paid_ms: (state != AgentState::Offline && !unpaid.contains(&state)).into(),
        productive_ms: working(state).into(),
    };
    let pace = Pace { every: EVERY, horizon: input.correction, reach: input.correction + REACH };
    let days = Days::default();
    let accrued = input
        .states_over_time()
        .overlap_join(
            "placed states",
            placements(input, settings),
            input.correction,
            |_, state, placement| (*state, placement.zone.clone()),
        )
        .map(|(agent, span)| {
            let (state, zone) = span.value.clone();
            ((agent, zone), span.with(state))
        })
        .accrue(
            "payroll days",
            pace,
            move |(_, zone): &Key, at| days.day(zone, at),
            move |state| hours(*state),
        );
    graph.publish(accrued.rows.map(|(key, row)| PayrollHours(key, row)));
    graph.publish(accrued.corrections.map(|(key, row)| PayrollLedger(key, row)));
}
