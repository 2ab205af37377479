//! Agent stuck: each agent's runs of one state, held against the limit of that state.

use std::collections::BTreeSet;

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{AgentState, Envelope};
use highwater_queries::Settings;

use super::agent_sessions::states;
use super::alarms::{Book, Level, Stretch};

pub(crate) fn alarms(
    known: &[Envelope],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("agent_stuck", known, settings);
    let mut alarms = Vec::new();
    for (agent, states) in states(known) {
        let level = |(from, to, value, seq)| Level { from, to, value, seq };
        let levels: Vec<Level<AgentState>> = states.into_iter().map(level).collect();
        let found = book.alarms(agent.as_str(), &[], &levels, watermark, |terms, states| {
            let limit = match states[0] {
                AgentState::OnCall => "on_call_s",
                AgentState::Hold => "hold_s",
                AgentState::Acw => "acw_s",
                AgentState::NotResponding => "not_responding_s",
                AgentState::Break => "break_s",
                AgentState::Lunch => "lunch_s",
                AgentState::Aux | AgentState::Busy => "aux_s",
                AgentState::Away => "away_s",
                _ => return None,
            };
            let limit = terms[limit];
            (limit > 0).then_some((limit / 1000, limit / 1000, limit, *states[0] as i64))
        });
        for (mut stretch, states) in found {
            let states: BTreeSet<&str> = states.iter().map(|state| state.name()).collect();
            stretch.members = states.into_iter().collect::<Vec<&str>>().join(",");
            if stretch.to < FOREVER {
                stretch.value = (stretch.to - stretch.from) / 1000;
            }
            alarms.push(stretch);
        }
    }
    alarms
}
