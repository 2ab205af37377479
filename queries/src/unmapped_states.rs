//! Unmapped states: what agents were seen doing that the mapping says nothing about, counted instead of judged.
//!
//! in   segments (Agent, Segment<Judged>)
//! out  unmapped_states   one row per scheduled activity, state and UTC day in which such a stretch began

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{
    Accumulation, Behavior, Count, Distinct, FixedWindows, Max, Trigger, Window, over,
};
use highwater_dataflow::{EventTime, Overlay, Table};
use highwater_model::{ActivityCode, AgentId, AgentState};
use serde::{Deserialize, Serialize};

use crate::adherence::{Judged, Status};
use crate::input::Inputs;

/// A row of `unmapped_states`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnmappedState {
    pub activity: ActivityCode,
    pub state: AgentState,
    pub day: Window,
    pub stretches: i64,
    pub agents: i64,
    pub last: EventTime,
}

impl ViewRow for UnmappedState {
    const VIEW: &'static View = &View {
        name: "unmapped_states",
        doc: "Pairs of scheduled activity and actual state that no mapping judges: map them.",
        key: 3,
        columns: &[
            Column::text("activity", "what was scheduled"),
            Column::text("state", "the state; unknown: a spelling nobody knows, or never heard of"),
            Column::int("day_start_ms", "start of the UTC day, ms UTC"),
            Column::int("stretches", "how many times it began on that day"),
            Column::int("agents", "of how many agents"),
            Column::int("last_seen_ms", "when it began last, ms UTC"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::from(self.activity.0.clone()),
            self.state.name().into(),
            self.day.start.into(),
            self.stretches.into(),
            self.agents.into(),
            self.last.into(),
        ]);
    }
}

const DAY: i64 = 86_400_000;

/// The view. State: the stretches of days that the correction horizon still reaches.
pub(crate) fn unmapped_states<'s>(
    input: &Inputs<'s>,
    adherence: &Overlay<'s, AgentId, Judged>,
) -> Table<'s, UnmappedState> {
    adherence
        .segments
        .clone()
        .filter(|(_, segment)| segment.value.status == Status::Unknown)
        .flat_map(|(agent, segment)| {
            let state = segment.value.state;
            segment.value.activity.map(|code| ((code, state), (segment.from, agent)))
        })
        // A stretch that merely got its end is the same stretch.
        .consolidate()
        .map(|(pair, (from, agent))| (pair, (from, (from, agent))))
        .window_into("unmapped_states", FixedWindows::of(DAY))
        .trigger(
            Trigger::after_watermark()
                .early(Trigger::repeatedly(Trigger::after_count(1)))
                .late(Trigger::repeatedly(Trigger::after_count(1))),
        )
        .allowed_lateness(input.correction)
        .accumulation(Accumulation::AccumulatingRetracting)
        .on_time_behavior(Behavior::FireIfNonEmpty)
        .closing_behavior(Behavior::FireIfNonEmpty)
        .aggregate((
            Count,
            over(|(_, agent): &(EventTime, AgentId)| agent.clone(), Distinct),
            over(|(from, _): &(EventTime, AgentId)| *from, Max),
        ))
        .panes
        .flat_map(|((activity, state), pane)| {
            let (stretches, agents, last) = pane.value;
            last.map(|last| UnmappedState {
                activity,
                state,
                day: pane.window,
                stretches,
                agents,
                last,
            })
        })
}
