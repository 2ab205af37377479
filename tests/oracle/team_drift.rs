//! Team drift: when so many of a team were out at once, counted from one instant of change to the next.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{AgentId, AgentProfile, Envelope, Event, TeamId};
use highwater_queries::Settings;

use super::adherence::{self, shifts};
use super::alarms::{Book, Level, Stretch};

pub(crate) fn drifts(
    known: &[Envelope],
    histories: &BTreeMap<AgentId, Vec<adherence::Stretch>>,
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    // Who was out of which team's agents, and when.
    let mut teams: BTreeMap<&TeamId, Vec<(EventTime, EventTime, &AgentId)>> = BTreeMap::new();
    let rosters = rosters(known);
    for (agent, history) in histories {
        let Some(roster) = rosters.get(agent) else { continue };
        for out in history.iter().filter(|stretch| stretch.status == "out") {
            for (i, (&from, profile)) in roster.iter().enumerate() {
                let to = roster.keys().nth(i + 1).copied().unwrap_or(FOREVER);
                let (from, to) = (from.max(out.from), to.min(out.to));
                if from < to {
                    teams.entry(&profile.team).or_default().push((from, to, agent));
                }
            }
        }
    }
    let book = Book::of("team_drift", known, settings);
    let mut drifts = Vec::new();
    for (team, outs) in teams {
        let level = |&(from, to, agent)| Level { from, to, value: agent, seq: 0 };
        let levels: Vec<Level<&AgentId>> = outs.iter().map(level).collect();
        let found = book.alarms(team.as_str(), &[], &levels, watermark, |terms, agents| {
            let (out, least) = (agents.len() as i64, terms["agents_out_min"] / 1000);
            (out >= least).then_some((out, least, terms["lasting_s"], 0))
        });
        for (mut stretch, agents) in found {
            let agents: BTreeSet<&str> = agents.iter().map(|agent| agent.as_str()).collect();
            stretch.members = agents.into_iter().collect::<Vec<&str>>().join(",");
            // Which record put whom out is for the histories to say; they do not.
            stretch.causes = None;
            drifts.push(stretch);
        }
    }
    drifts
}

/// What became so for each agent by nothing but time, in an epoch before which `heard` was known: the records of the shifts
/// whose activities begin or end where the agent's history changes between the agent's present before and after.
///
/// An agent's present is the watermark, or the agent's own latest state where that is ahead of it.
pub(crate) fn passed(
    heard: &[Envelope],
    known: &[Envelope],
    histories: &BTreeMap<AgentId, Vec<adherence::Stretch>>,
    before: EventTime,
) -> BTreeMap<AgentId, BTreeSet<u64>> {
    let states = |events: &[Envelope], agent: &AgentId| {
        let at = |envelope: &Envelope| match &envelope.event {
            Event::AgentStateChange(change) if change.agent == *agent => Some(envelope.at),
            _ => None,
        };
        events.iter().filter_map(at).collect::<BTreeSet<EventTime>>()
    };
    let mut passed: BTreeMap<AgentId, BTreeSet<u64>> = BTreeMap::new();
    let shifts = shifts(known);
    for (agent, history) in histories {
        let present = states(heard, agent).last().map_or(before, |&latest| latest.max(before));
        let changes = history.iter().flat_map(|stretch| [stretch.from, stretch.to]);
        let told = states(known, agent);
        for at in changes.filter(|at| (present..FOREVER).contains(&(at - 1)) && !told.contains(at))
        {
            let own = shifts.iter().filter(|((of, _), _)| *of == agent);
            let edges = own.filter(|(_, (shift, _))| {
                shift.activities.iter().any(|it| it.start_at == at || it.end_at == at)
            });
            passed.entry(agent.clone()).or_default().extend(edges.map(|(_, (_, seq))| *seq).max());
        }
    }
    passed
}

/// What bears on a team of that: the agents who are, or were at some time, of it.
pub(crate) fn passed_in(
    team: &str,
    known: &[Envelope],
    passed: &BTreeMap<AgentId, BTreeSet<u64>>,
) -> BTreeSet<u64> {
    let rosters = rosters(known);
    let of = |agent: &AgentId| {
        let roster = rosters.get(agent);
        roster.is_some_and(|it| it.values().any(|profile| profile.team.as_str() == team))
    };
    passed.iter().filter(|(agent, _)| of(agent)).flat_map(|(_, seqs)| seqs.clone()).collect()
}

fn rosters(known: &[Envelope]) -> BTreeMap<&AgentId, BTreeMap<EventTime, &AgentProfile>> {
    let mut rosters: BTreeMap<&AgentId, BTreeMap<EventTime, &AgentProfile>> = BTreeMap::new();
    for envelope in known {
        if let Event::AgentProfile(profile) = &envelope.event {
            let roster = rosters.entry(&profile.agent).or_default();
            let held = roster.entry(envelope.at).or_insert(profile);
            *held = profile.max(*held);
        }
    }
    rosters
}
