//! Team drift: several agents of one team out of adherence at the same time, which is rarely about the agents.
//!
//! in   segments (Agent, Segment<Judged>)   roster (Agent, profile over time)   terms (Team, Terms over time)
//! out  incidents, one per stretch of event time with at least `agents_out_min` out; alerts follow them
//!
//! The rule does not wait for the watermark: a supervisor hears at once, and hears again if it turns out untrue.
//!
//! What time alone changes follows from a record too, and names it: an activity begins or ends for a member, by the
//! watermark or because the agent is heard of after it (the record of the shift); or terms that ask for a while to pass
//! have waited for it (the word on the rule). There is no third: agents' states, moves between teams and words on the rule
//! count from their instants on as soon as they are known, and what was said long ago is forgotten without a word.

use highwater_dataflow::{Alerts, Finding, Revision, Span};

use crate::adherence::Status;
use crate::registry::Shared;
use crate::rule::{Definition, Parameter, incident, raise, terms};
use crate::settings::Settings;

pub const TEAM_DRIFT: Definition = Definition {
    name: "team_drift",
    scope: "team",
    enabled: true,
    parameters: &[
        Parameter::count("agents_out_min", 3, 1, "agents of the team out of adherence at once"),
        Parameter::seconds("lasting_s", 0, "how long that must last before it is an alert"),
    ],
};
const AGENTS_OUT_MIN: usize = 0;
const LASTING: usize = 1;

pub fn team_drift<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let input = &shared.input;
    let horizon = input.correction;
    let absent = shared
        .adherence
        .segments
        .clone()
        .filter(|(_, segment)| segment.value.status == Status::Out)
        .map(|(agent, s)| (agent, Span { from: s.from, to: s.to, value: (), seq: s.seq }))
        .overlap_join("team of", input.roster(), horizon, |_, (), profile| profile.team.clone());
    let out = absent.clone().map(|(agent, span)| (span.value.0.clone(), span.with(agent)));
    let teams = out.clone().keys("drift teams");
    let told = terms(&TEAM_DRIFT, settings, shared.rules.clone(), teams, None);
    let found = out.alarms("agents out", told.terms, horizon, |terms, agents| {
        let (value, threshold) = (agents.len() as i64, terms.count(AGENTS_OUT_MIN));
        let finding = Finding { value, threshold, lasting: terms.milli(LASTING), kind: 0 };
        (value >= threshold).then_some(finding)
    });
    let incidents = found.alarms.map(|(team, alarm)| {
        let members = alarm.levels.iter().map(|agent| agent.0.clone()).collect();
        incident(team, alarm, members)
    });

    // A move takes an agent out of one team's past and puts it into another's.
    let moves = input
        .agent_profiles()
        .map(|(agent, profile)| (agent, Revision { at: profile.at, seq: profile.seq }));
    let revisions = shared.adherence.revisions.clone().concat(moves);
    let revisions =
        absent.revised("teams revised", revisions, |span, _| Some(span.value.0.clone()));
    let revisions = revisions.concat(told.words).concat(found.matured);
    raise(&TEAM_DRIFT, incidents, revisions, horizon)
}
