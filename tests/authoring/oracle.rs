//! Missed offers, by plain iteration over everything that is known.

use std::collections::BTreeSet;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, FOREVER, Millis};
use highwater_model::{AgentId, AgentState, Envelope, Event};
use highwater_queries::Settings;

use crate::oracle::agent_states;
use crate::oracle::windows::{Held, Windows};

/// What intervals held when they became final; all else is said anew from what is known.
pub(crate) struct MissedOffers {
    windows: Windows<AgentId, i64>,
}

impl MissedOffers {
    pub(crate) fn new(settings: &Settings) -> Self {
        let size = settings.interval_s;
        MissedOffers { windows: Windows::new(size, size, false, settings.allowed_lateness_s) }
    }

    /// The rows of `missed_offers`, and its rows of `late_elements`, after an epoch in which the watermark went from
    /// `before` to `now`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        before: EventTime,
        now: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let mut missed = Vec::new();
        for envelope in known {
            if let Event::AgentStateChange(change) = &envelope.event
                && change.new == AgentState::NotResponding
            {
                missed.push((change.agent.clone(), envelope.at, 1));
            }
        }
        let (held, late) = self.windows.hold(&missed, before, now);
        let row = |((agent, start), held): ((AgentId, EventTime), Held<i64>)| {
            vec![
                Value::Text(agent.0),
                Value::Int(start),
                Value::Int(start + self.windows.size),
                Value::Int(held.sums),
                Value::Text(self.windows.status(start, now).into()),
            ]
        };
        (held.into_iter().map(row).collect(), self.windows.late_rows("missed_offers", late))
    }
}

/// Who did not respond, from when to when, for at least `lasting`; `FOREVER`: still.
pub(crate) fn unresponsive(
    known: &[Envelope],
    watermark: EventTime,
    lasting: Millis,
) -> BTreeSet<(String, EventTime, EventTime)> {
    let mut spells = BTreeSet::new();
    for (agent, states) in agent_states::held(known) {
        let ends = states.keys().skip(1).copied().chain([FOREVER]);
        for ((&from, held), to) in states.iter().zip(ends) {
            let lasts = if to < FOREVER { to - from } else { watermark.saturating_sub(from) };
            if held.state == AgentState::NotResponding && lasts >= lasting {
                spells.insert((agent.to_string(), from, to));
            }
        }
    }
    spells
}
