//! Team drift: several agents of one team out of adherence at the same time, which is rarely about the agents.
//!
//! in   segments (Agent, Segment<Judged>)   roster (Agent, profile over time)   revisions (Agent, Revision)
//! out  incidents, one per stretch of event time with at least `agents_out_min` out; alerts follow them
//!
//! The rule does not wait for the watermark: a supervisor hears at once, and hears again if it turns out untrue.

use highwater_dataflow::{Alerts, Episode, Incident, Overlay, Revision, Span};
use highwater_model::{AgentId, Name, TeamId};

use crate::adherence::{Judged, Status};
use crate::input::Inputs;
use crate::settings::DriftRule;

pub fn team_drift<'s>(
    input: &Inputs<'s>,
    adherence: &Overlay<'s, AgentId, Judged>,
    rule: &DriftRule,
) -> Alerts<'s> {
    let horizon = input.correction;
    let minimum = rule.agents_out_min;
    let roster = input.roster();

    let incidents = adherence
        .segments
        .clone()
        .filter(|(_, segment)| segment.value.status == Status::Out)
        .map(|(agent, s)| (agent, Span { from: s.from, to: s.to, value: (), seq: s.seq }))
        .overlap_join("team of", roster.clone(), horizon, |_, (), profile| profile.team.clone())
        .map(|(agent, span)| {
            let team: TeamId = span.value.clone();
            (team, span.with(agent))
        })
        .at_least("agents out", minimum, horizon)
        .map(|(team, episode)| (team, as_span(episode)))
        .held_for("lasting", rule.lasting_s * 1000)
        .map(move |(team, span)| incident(&team, span, minimum));

    // A move takes an agent out of one team's past and puts it into another's.
    let moves = input.agent_profiles().flat_map(|(agent, profile)| {
        let revision = Revision { at: profile.at, seq: profile.seq };
        [profile.at - 1, profile.at].map(|at| (agent.clone(), (at, revision.clone())))
    });
    let revisions = adherence
        .revisions
        .clone()
        .map(|(agent, revision)| (agent, (revision.at, revision)))
        .concat(moves)
        .as_of_join("team revised", roster, horizon, |_, _, revision: &Revision, profile| {
            (profile.map(|profile| profile.team.0.clone()).unwrap_or_default(), revision.clone())
        });

    incidents.alerts("team_drift", revisions, horizon)
}

fn as_span(episode: Episode<AgentId>) -> Span<Episode<AgentId>> {
    Span { from: episode.from, to: episode.to, value: episode, seq: 0 }
}

fn incident(team: &TeamId, span: Span<Episode<AgentId>>, minimum: usize) -> Incident {
    let members: Vec<Name> = span.value.members.into_iter().map(|agent| agent.0).collect();
    Incident {
        scope: team.0.clone(),
        from: span.from,
        to: span.to,
        value: span.value.peak as i64,
        threshold: minimum as i64,
        members,
        causes: span.value.causes,
    }
}
