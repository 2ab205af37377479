//! Adherence: every agent's history judged instant by instant, wherever anything begins or ends.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{
    ActivityCode, AgentId, AgentState, Envelope, Event, ScheduleUpdate, ShiftId, Verdict,
};

use super::agent_states;

/// A stretch of an agent's history over which nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: EventTime,
    /// `FOREVER` on the present one.
    pub(crate) to: EventTime,
    pub(crate) activity: Option<ActivityCode>,
    pub(crate) state: AgentState,
    pub(crate) status: &'static str,
    /// When the unbroken run of this status began.
    pub(crate) since: EventTime,
}

#[derive(Default)]
struct Agent {
    states: BTreeMap<EventTime, AgentState>,
    /// `(from, to, activity, seq)`, sorted.
    planned: Vec<(EventTime, EventTime, ActivityCode, u64)>,
}

/// Every agent's history up to the present: the watermark, or the agent's own latest event.
pub(crate) fn histories(
    known: &[Envelope],
    watermark: EventTime,
) -> BTreeMap<AgentId, Vec<Stretch>> {
    let mut agents: BTreeMap<AgentId, Agent> = BTreeMap::new();
    let mut mapping: BTreeMap<(&ActivityCode, AgentState), (i64, Verdict)> = BTreeMap::new();
    for envelope in known {
        if let Event::ActivityMapping(cell) = &envelope.event {
            let this = (envelope.at, cell.verdict);
            let held = mapping.entry((&cell.activity, cell.state)).or_insert(this);
            *held = this.max(*held);
        }
    }
    for (agent, held) in agent_states::held(known) {
        let states = held.into_iter().map(|(at, held)| (at, held.state)).collect();
        agents.entry(agent.clone()).or_default().states = states;
    }
    for ((agent, _), (shift, seq)) in shifts(known) {
        let agent = agents.entry(agent.clone()).or_default();
        for a in &shift.activities {
            agent.planned.push((a.start_at, a.end_at, a.code.clone(), seq));
        }
        agent.planned.sort();
    }
    let mut histories = BTreeMap::new();
    for (id, agent) in agents {
        let history = agent.history(&mapping, watermark);
        histories.insert(id, history);
    }
    histories
}

/// The version of each shift that counts: the highest, whenever it came.
pub(crate) fn shifts(known: &[Envelope]) -> BTreeMap<(&AgentId, &ShiftId), (&ScheduleUpdate, u64)> {
    let mut shifts: BTreeMap<(&AgentId, &ShiftId), (&ScheduleUpdate, u64)> = BTreeMap::new();
    for envelope in known {
        if let Event::ScheduleUpdate(update) = &envelope.event {
            let this = (update, envelope.seq);
            let held = shifts.entry((&update.agent, &update.shift)).or_insert(this);
            if update.version > held.0.version {
                *held = this;
            }
        }
    }
    shifts
}

impl Agent {
    fn history(
        &self,
        mapping: &BTreeMap<(&ActivityCode, AgentState), (i64, Verdict)>,
        watermark: EventTime,
    ) -> Vec<Stretch> {
        let present = self.states.keys().next_back().map_or(watermark, |&at| at.max(watermark));
        let mut instants: BTreeSet<EventTime> = self.states.keys().copied().collect();
        for (from, to, _, _) in &self.planned {
            instants.extend([*from, *to]);
        }
        let mut history: Vec<Stretch> = Vec::new();
        for at in instants.into_iter().filter(|&at| at <= present) {
            let state = self.states.range(..=at).next_back().map(|(_, state)| *state);
            // Of several activities at once the one that began last.
            let planned = self.planned.iter().rfind(|(from, to, _, _)| *from <= at && at < *to);
            let activity = planned.map(|(_, _, code, _)| code);
            let adjoining = history.last().filter(|last| last.to == FOREVER).cloned();
            if state.is_none() && activity.is_none() {
                if let (Some(last), Some(_)) = (history.last_mut(), adjoining) {
                    last.to = at;
                }
                continue;
            }
            let state = state.unwrap_or(AgentState::Unknown);
            let status = match activity {
                None => "unscheduled",
                Some(code) => match mapping.get(&(code, state)) {
                    Some((_, verdict)) => status(*verdict),
                    None => unmapped(code, state),
                },
            };
            let activity = activity.cloned();
            let mut since = at;
            if let Some(last) = adjoining {
                if (&last.activity, last.state, last.status) == (&activity, state, status) {
                    continue;
                }
                if last.status == status {
                    since = last.since;
                }
                history.last_mut().expect("it has a last one").to = at;
            }
            history.push(Stretch { from: at, to: FOREVER, activity, state, status, since });
        }
        history
    }
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::In => "in",
        Verdict::Out => "out",
        Verdict::Neutral => "neutral",
        Verdict::Ignored => "ignored",
        Verdict::Unmapped => "unknown",
    }
}

/// The verdict where no mapping was given.
pub(crate) fn unmapped(activity: &ActivityCode, state: AgentState) -> &'static str {
    // Whatever spells a state plans it.
    let planned = AgentState::parse(activity.as_str()).map_or("unknown", AgentState::name);
    let actual = state.name();
    let learning = ["training", "coaching"];
    if actual == "unknown" || planned == "unknown" {
        "unknown"
    } else if planned == "on-queue" {
        let working = ["available", "on-call", "hold", "acw", "on-queue"];
        if working.contains(&actual) { "in" } else { "out" }
    } else if planned == actual {
        "in"
    } else if (learning.contains(&planned) && actual == "meeting")
        || (planned == "meeting" && learning.contains(&actual))
    {
        "neutral"
    } else {
        "out"
    }
}
