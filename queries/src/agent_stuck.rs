//! Agent stuck: an agent in one state for longer than that state should take.
//!
//! in   states (Agent, state)   terms (Agent, Terms over time)
//! out  incidents, one per stretch of event time in one state beyond its limit; alerts follow them
//!
//! It is the watermark that passes the limit: an alert opens when no event can be on its way any more that would have
//! ended the state in time, unless one comes late, and then the alert is taken back.

use highwater_dataflow::{Alerts, FOREVER, Finding, Incident};
use highwater_model::{AgentState, Name};

use crate::registry::Shared;
use crate::rule::{Definition, Parameter, Terms, incident, raise, terms};
use crate::settings::Settings;

pub const AGENT_STUCK: Definition = Definition {
    name: "agent_stuck",
    scope: "agent",
    enabled: true,
    parameters: &[
        Parameter::seconds("on_call_s", 3_600, "limit of on call; 0: none, as for all of them"),
        Parameter::seconds("hold_s", 900, "limit of hold"),
        Parameter::seconds("acw_s", 900, "limit of after-call work"),
        Parameter::seconds("not_responding_s", 300, "limit of not responding"),
        Parameter::seconds("break_s", 2_700, "limit of a break"),
        Parameter::seconds("lunch_s", 5_400, "limit of lunch"),
        Parameter::seconds("aux_s", 3_600, "limit of aux and busy"),
        Parameter::seconds("away_s", 3_600, "limit of away"),
    ],
};

/// The parameter that limits a state; `None`: the state may last.
fn limit_of(state: AgentState) -> Option<usize> {
    match state {
        AgentState::OnCall => Some(0),
        AgentState::Hold => Some(1),
        AgentState::Acw => Some(2),
        AgentState::NotResponding => Some(3),
        AgentState::Break => Some(4),
        AgentState::Lunch => Some(5),
        AgentState::Aux | AgentState::Busy => Some(6),
        AgentState::Away => Some(7),
        AgentState::Unknown
        | AgentState::Offline
        | AgentState::Available
        | AgentState::OnQueue
        | AgentState::Meeting
        | AgentState::Training
        | AgentState::Coaching => None,
    }
}

pub fn agent_stuck<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let input = &shared.input;
    let horizon = input.correction;
    let states = input.states_over_time().map(|(agent, span)| (agent.0, span));
    let agents = states.clone().keys("agents with states");
    let told = terms(&AGENT_STUCK, settings, shared.rules.clone(), agents, None);
    let found = states.alarms("in one state", told.terms, horizon, |terms: &Terms, states| {
        let state = **states.last()?;
        let lasting = terms.milli(limit_of(state)?);
        let seconds = lasting / 1000;
        let kind = state as i64;
        (lasting > 0).then_some(Finding { value: seconds, threshold: seconds, lasting, kind })
    });
    let incidents = found.alarms.map(|(agent, alarm)| {
        let states = alarm.levels.iter().map(|state| Name::const_new(state.name())).collect();
        with_duration(incident(agent, alarm, states))
    });
    raise(&AGENT_STUCK, incidents, found.revisions.concat(told.words), horizon)
}

/// The value of an incident that is over: how long it was, seconds.
pub(crate) fn with_duration(incident: Incident) -> Incident {
    let value = match incident.to {
        FOREVER => incident.value,
        to => (to - incident.from) / 1000,
    };
    Incident { value, ..incident }
}
