//! Team drift: when so many of a team were out at once, counted from one instant of change to the next.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{AgentId, AgentProfile, Envelope, Event, TeamId};
use highwater_queries::Settings;

use super::adherence;
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
