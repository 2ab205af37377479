//! Missed offers, by plain iteration over everything that is known.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, FOREVER, Millis};
use highwater_model::{AgentId, AgentState, Envelope, Event};

/// The rows of `missed_offers`, of intervals that are not final yet.
pub(crate) fn rows(known: &[Envelope], watermark: EventTime, interval: Millis) -> Vec<Row> {
    let mut missed: BTreeMap<(&AgentId, EventTime), i64> = BTreeMap::new();
    for envelope in known {
        if let Event::AgentStateChange(change) = &envelope.event
            && change.new == AgentState::NotResponding
        {
            let start = envelope.at.div_euclid(interval) * interval;
            *missed.entry((&change.agent, start)).or_default() += 1;
        }
    }
    let row = |((agent, start), missed): ((&AgentId, EventTime), i64)| {
        let over = watermark >= start + interval;
        vec![
            Value::Text(agent.0.clone()),
            Value::Int(start),
            Value::Int(start + interval),
            Value::Int(missed),
            Value::Text(if over { "closing" } else { "open" }.into()),
        ]
    };
    missed.into_iter().map(row).collect()
}

/// Who did not respond, from when to when, for at least `lasting`; `FOREVER`: still.
pub(crate) fn unresponsive(
    known: &[Envelope],
    watermark: EventTime,
    lasting: Millis,
) -> BTreeSet<(String, EventTime, EventTime)> {
    // Of several states at one instant the greatest holds, as everywhere.
    let mut states: BTreeMap<&AgentId, BTreeMap<EventTime, AgentState>> = BTreeMap::new();
    for envelope in known {
        if let Event::AgentStateChange(change) = &envelope.event {
            let states = states.entry(&change.agent).or_default();
            let held = states.entry(envelope.at).or_insert(change.new);
            *held = change.new.max(*held);
        }
    }
    let mut spells = BTreeSet::new();
    for (agent, states) in states {
        let ends = states.keys().skip(1).copied().chain([FOREVER]);
        for ((&from, &state), to) in states.iter().zip(ends) {
            let lasts = if to < FOREVER { to - from } else { watermark.saturating_sub(from) };
            if state == AgentState::NotResponding && lasts >= lasting {
                spells.insert((agent.to_string(), from, to));
            }
        }
    }
    spells
}
