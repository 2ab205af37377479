//! Agent sessions: each agent's states read from the first to the last.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{AgentId, AgentState, Envelope};

use super::agent_states::{self, Held};

/// `(from, to, state, journal position)`, the last one open.
pub(crate) type States = Vec<(EventTime, EventTime, AgentState, u64)>;

/// Every agent's states in their order in time.
pub(crate) fn states(known: &[Envelope]) -> BTreeMap<AgentId, States> {
    let spans = |points: BTreeMap<EventTime, Held>| {
        let ends = points.keys().copied().skip(1).chain([FOREVER]).collect::<Vec<_>>();
        let starts = points.into_iter().zip(ends);
        starts.map(|((from, held), to)| (from, to, held.state, held.seq)).collect()
    };
    let agents = agent_states::held(known).into_iter();
    agents.map(|(agent, points)| (agent.clone(), spans(points))).collect()
}

pub(crate) fn rows(known: &[Envelope]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (agent, states) in states(known) {
        let mut session: Vec<(EventTime, EventTime, AgentState)> = Vec::new();
        for (from, to, state, _) in states {
            if state == AgentState::Offline {
                tell(&agent, &session, &mut rows);
                session.clear();
            } else {
                session.push((from, to, state));
            }
        }
        tell(&agent, &session, &mut rows);
    }
    rows
}

fn tell(agent: &AgentId, session: &[(EventTime, EventTime, AgentState)], rows: &mut Vec<Row>) {
    let (Some(first), Some(last)) = (session.first(), session.last()) else { return };
    let end = |at: EventTime| if at == FOREVER { Value::Null } else { Value::Int(at) };
    let kind = |state: AgentState| match state.name() {
        "break" | "lunch" => "break",
        _ => "work",
    };
    let mut part = 0;
    let mut n = 0;
    while n < session.len() {
        let from = n;
        while n < session.len() && kind(session[n].2) == kind(session[from].2) {
            n += 1;
        }
        part += 1;
        let mut productive_ms = 0;
        let mut since = Value::Null;
        for &(from, to, state) in &session[from..n] {
            if ["available", "on-call", "hold", "acw", "on-queue"].contains(&state.name()) {
                if to < FOREVER {
                    productive_ms += to - from;
                }
                if since == Value::Null {
                    since = Value::Int(from);
                }
            } else {
                since = Value::Null;
            }
        }
        if session[n - 1].1 < FOREVER {
            since = Value::Null;
        }
        // The stretch that lasts began before its last state did; it is not counted yet.
        if let Value::Int(since) = since {
            productive_ms -= session[n - 1].0 - since;
        }
        rows.push(vec![
            Value::Text(agent.0.clone()),
            Value::Int(first.0),
            Value::Int(part),
            Value::Text(kind(session[from].2).into()),
            Value::Int(session[from].0),
            end(session[n - 1].1),
            end(last.1),
            Value::Int(productive_ms),
            since,
        ]);
    }
}
