//! Adherence now: the end of every history, with who the agent is and what comes next.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{ActivityCode, AgentId, AgentProfile, AgentState, Envelope, Event, Name};

use super::adherence::{Stretch, shifts};

pub(crate) fn rows(
    known: &[Envelope],
    histories: &BTreeMap<AgentId, Vec<Stretch>>,
    watermark: EventTime,
) -> Vec<Row> {
    let mut profiles: BTreeMap<&AgentId, (i64, &AgentProfile)> = BTreeMap::new();
    for envelope in known {
        if let Event::AgentProfile(profile) = &envelope.event
            && envelope.at <= watermark
        {
            let this = (envelope.at, profile);
            let held = profiles.entry(&profile.agent).or_insert(this);
            *held = this.max(*held);
        }
    }
    let mut next: BTreeMap<&AgentId, (i64, &ActivityCode)> = BTreeMap::new();
    for ((agent, _), (shift, _)) in shifts(known) {
        let mut announced = None;
        for activity in &shift.activities {
            // The first is announced half a day ahead, every other while the one before it is on.
            let from = announced.unwrap_or(activity.start_at - 12 * 3_600_000);
            announced = Some(activity.start_at);
            if from <= watermark && watermark < activity.start_at {
                let this = (activity.start_at, &activity.code);
                let soonest = next.entry(agent).or_insert(this);
                *soonest = this.min(*soonest);
            }
        }
    }
    let mut rows = Vec::new();
    for (agent, history) in histories {
        let Some(now) = history.last().filter(|last| last.to == FOREVER) else { continue };
        let text = |text: Option<&Name>| text.map_or(Value::Null, |t| Value::Text(t.clone()));
        let profile = profiles.get(agent).map(|(_, profile)| *profile);
        let next = next.get(agent);
        rows.push(vec![
            Value::Text(agent.0.clone()),
            text(profile.and_then(|profile| profile.name.as_ref())),
            text(profile.map(|profile| &profile.team.0)),
            text(profile.map(|profile| &profile.site.0)),
            text(now.activity.as_ref().map(|code| &code.0)),
            Value::Text(now.state.name().into()),
            Value::Text(now.status.into()),
            Value::Text(impact(now).into()),
            Value::Int(now.from),
            Value::Int(now.since),
            if now.status == "out" { Value::Int(now.since) } else { Value::Null },
            text(next.map(|(_, code)| &code.0)),
            next.map_or(Value::Null, |(at, _)| Value::Int(*at)),
        ]);
    }
    rows
}

/// What it means to the queues that the agent is not doing what was planned.
fn impact(now: &Stretch) -> &'static str {
    let working = ["available", "on-call", "hold", "acw", "on-queue"].contains(&now.state.name());
    let planned = now.activity.as_ref().and_then(|code| AgentState::parse(code.as_str()));
    match (now.status, planned) {
        ("unknown", _) => "unknown",
        ("out", Some(AgentState::OnQueue)) => "negative",
        ("out" | "unscheduled", _) if working => "positive",
        _ => "neutral",
    }
}
