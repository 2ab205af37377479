//! Team drift: when so many of a team were out at once, counted from one instant of change to the next.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{AgentId, AgentProfile, Envelope, Event, TeamId};
use highwater_queries::settings::DriftRule;

use super::adherence;

/// A maximal stretch of event time with enough of a team out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub(crate) team: String,
    pub(crate) from: EventTime,
    /// `FOREVER` while it lasts.
    pub(crate) to: EventTime,
    pub(crate) peak: i64,
    /// Comma separated, sorted.
    pub(crate) members: String,
}

pub(crate) fn drifts(
    known: &[Envelope],
    histories: &BTreeMap<AgentId, Vec<adherence::Stretch>>,
    watermark: EventTime,
    rule: &DriftRule,
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
    let mut drifts = Vec::new();
    for (team, outs) in teams {
        let mut instants: BTreeSet<EventTime> = BTreeSet::new();
        for (from, to, _) in &outs {
            instants.extend([*from, *to]);
        }
        let mut running: Option<(EventTime, usize, BTreeSet<&AgentId>)> = None;
        let instants: Vec<EventTime> = instants.into_iter().collect();
        for &at in &instants {
            let inside = outs.iter().filter(|(from, to, _)| *from <= at && at < *to);
            let out: BTreeSet<&AgentId> = inside.map(|(_, _, agent)| *agent).collect();
            if out.len() >= rule.agents_out_min {
                let (_, peak, members) =
                    running.get_or_insert_with(|| (at, out.len(), BTreeSet::new()));
                *peak = out.len().max(*peak);
                members.extend(out);
            } else if let Some(over) = running.take() {
                drifts.push(stretch(team, over, at));
            }
        }
        if let Some(lasting) = running {
            drifts.push(stretch(team, lasting, FOREVER));
        }
    }
    let lasting = rule.lasting_s * 1000;
    drifts.retain(|drift| match drift.to {
        _ if lasting == 0 => true,
        FOREVER => drift.from + lasting <= watermark,
        to => to - drift.from >= lasting,
    });
    drifts
}

fn stretch(
    team: &TeamId,
    (from, peak, members): (EventTime, usize, BTreeSet<&AgentId>),
    to: EventTime,
) -> Stretch {
    let members: Vec<&str> = members.into_iter().map(AgentId::as_str).collect();
    Stretch { team: team.to_string(), from, to, peak: peak as i64, members: members.join(",") }
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
