//! Contact record: the last completion of each leg, with the profiles in force at its time.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::{Row, Value};
use highwater_model::{
    AgentId, AgentProfile, ContactComplete, ContactId, Envelope, Event, QueueId, QueueProfile,
};

pub(crate) fn rows(known: &[Envelope]) -> Vec<Row> {
    type Leg<'a> = (&'a ContactId, &'a QueueId, &'a AgentId);
    let mut legs: BTreeMap<Leg<'_>, BTreeSet<(i64, &ContactComplete)>> = BTreeMap::new();
    let mut agents: Vec<(i64, &AgentProfile)> = Vec::new();
    let mut queues: Vec<(i64, &QueueProfile)> = Vec::new();
    for envelope in known {
        match &envelope.event {
            Event::ContactComplete(e) => {
                let leg = (&e.contact, &e.queue, &e.agent);
                legs.entry(leg).or_default().insert((envelope.at, e));
            }
            Event::AgentProfile(profile) => agents.push((envelope.at, profile)),
            Event::QueueProfile(profile) => queues.push((envelope.at, profile)),
            _ => {}
        }
    }
    let mut rows = Vec::new();
    for ((_, queue, agent), told) in legs {
        let (at, complete) = told.last().expect("a leg was told");
        let agent = agents.iter().filter(|(since, p)| since <= at && p.agent == *agent).max();
        let queue = queues.iter().filter(|(since, p)| since <= at && p.queue == *queue).max();
        rows.push(row(*at, complete, told.len(), agent.map(|a| a.1), queue.map(|q| q.1)));
    }
    rows
}

fn row(
    at: i64,
    complete: &ContactComplete,
    completions: usize,
    agent: Option<&AgentProfile>,
    queue: Option<&QueueProfile>,
) -> Row {
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.into()));
    let int = |n: Option<i64>| n.map_or(Value::Null, Value::Int);
    let skills = agent.map(|agent| {
        let skills: Vec<&str> = agent.skills.iter().map(QueueId::as_str).collect();
        skills.join(",")
    });
    vec![
        text(Some(complete.contact.as_str())),
        text(Some(complete.queue.as_str())),
        text(Some(complete.agent.as_str())),
        Value::Int(at),
        Value::Int(complete.handle_ms),
        Value::Int(complete.talk_ms),
        Value::Int(complete.hold_ms),
        Value::Int(complete.acw_ms),
        int(complete.wait_ms),
        text(complete.disposition.as_deref()),
        Value::Int(complete.transfer.into()),
        Value::Int(completions as i64),
        text(agent.and_then(|agent| agent.name.as_deref())),
        text(agent.map(|agent| agent.team.as_str())),
        text(agent.map(|agent| agent.site.as_str())),
        text(skills.as_deref()),
        text(queue.map(|queue| queue.channel.name())),
        queue.map_or(Value::Null, |queue| Value::Real(queue.target_ppm as f64 / 10_000.0)),
        int(queue.map(|queue| queue.threshold_ms)),
        text(queue.map(|queue| queue.service_level.name())),
    ]
}
