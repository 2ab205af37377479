//! Agent sessions: from login to logout, cut into parts by the breaks.
//!
//! in   states (Agent, state)
//! out  agent_sessions   one row per part of a session: work, then break, then work again
//!
//! An agent is logged in from the first state that is not `offline` to the next `offline`. Breaks and meals close one
//! part and open the next. A late event corrects the session it falls into, cuts one in two, or joins two.

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::{EventTime, FOREVER, Span, Table};
use highwater_model::{AgentId, AgentState};
use serde::{Deserialize, Serialize};

use crate::adherence_time::working;
use crate::input::Inputs;

/// A row of `agent_sessions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentSession {
    pub agent: AgentId,
    pub login: EventTime,
    /// From 1.
    pub part: u32,
    pub kind: Part,
    pub from: EventTime,
    /// `FOREVER` while it lasts.
    pub to: EventTime,
    /// The end of the whole session.
    pub logout: EventTime,
    pub productive_ms: i64,
    /// Since when the agent has been productive without a stop; `FOREVER` if not.
    pub productive_since: EventTime,
}

/// What a part of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    Work,
    Break,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Part::Work => "work",
            Part::Break => "break",
        }
    }
}

impl ViewRow for AgentSession {
    const VIEW: &'static View = &View {
        name: "agent_sessions",
        doc: "Sessions of agents from login to logout, in parts of work and break.",
        key: 3,
        columns: &[
            Column::text("agent_id", "the agent"),
            Column::int("login_ms", "when the session began, ms UTC: names the session"),
            Column::int("part", "number of the part within the session, from 1"),
            Column::text("kind", "work or break"),
            Column::int("from_ms", "start of the part, ms UTC"),
            Column::int("to_ms", "end of the part, ms UTC; null while it lasts"),
            Column::int("logout_ms", "end of the session, ms UTC; null while it lasts"),
            Column::int(
                "productive_ms",
                "available for contacts or handling one, ms; without the stretch that still lasts",
            ),
            Column::int("productive_since_ms", "start of that stretch, ms UTC; null without one"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let ended = |at: EventTime| (at < FOREVER).then_some(at);
        row.extend([
            Value::from(self.agent.0.clone()),
            self.login.into(),
            i64::from(self.part).into(),
            self.kind.name().into(),
            self.from.into(),
            ended(self.to).into(),
            ended(self.logout).into(),
            self.productive_ms.into(),
            ended(self.productive_since).into(),
        ]);
    }
}

/// A stretch of a session in which neither the part nor productivity changes: `(from, to, part, productive)`.
type Stretch = (EventTime, EventTime, Part, bool);

/// The view. State: states back to the correction horizon, and the stretches of sessions that may still change; an
/// agent who never logs out keeps those of one long session.
pub(crate) fn agent_sessions<'s>(input: &Inputs<'s>) -> Table<'s, AgentSession> {
    let states = input.agent_states();
    let no_spans = states.clone().flat_map(|_| None::<(AgentId, Span<()>)>);
    let stretch = |state: Option<&AgentState>, _: Option<&()>| match state? {
        AgentState::Offline => None,
        AgentState::Break | AgentState::Lunch => Some((Part::Break, false)),
        &state => Some((Part::Work, working(state))),
    };
    let horizon = input.correction;
    // All of a session is one class: each of its segments knows when it began.
    let sessions = states.overlay("agent sessions", no_spans, horizon, stretch, |_| ());
    sessions
        .segments
        .map(|(agent, segment)| {
            let (part, productive) = segment.value;
            ((agent, segment.since), (segment.from, segment.to, part, productive))
        })
        .gather(
            "session parts",
            move |stretches: &[Stretch]| {
                let end = stretches.last().map_or(FOREVER, |(_, to, _, _)| *to);
                end.saturating_add(horizon).saturating_add(1)
            },
            |(agent, login), stretches, _, rows| tell(agent, *login, stretches, rows),
        )
}

fn tell(agent: &AgentId, login: EventTime, stretches: &[Stretch], rows: &mut Vec<AgentSession>) {
    let logout = stretches.last().map_or(FOREVER, |(_, to, _, _)| *to);
    for (part, run) in (1..).zip(stretches.chunk_by(|a, b| a.2 == b.2)) {
        let (from, to) = (run[0].0, run[run.len() - 1].1);
        let productive = run.iter().filter(|(_, _, _, productive)| *productive);
        let ended = productive.clone().filter(|(_, to, _, _)| *to < FOREVER);
        let lasting = productive.clone().find(|(_, to, _, _)| *to == FOREVER);
        rows.push(AgentSession {
            agent: agent.clone(),
            login,
            part,
            kind: run[0].2,
            from,
            to,
            logout,
            productive_ms: ended.map(|(from, to, _, _)| to - from).sum(),
            productive_since: lasting.map_or(FOREVER, |(from, _, _, _)| *from),
        });
    }
}
