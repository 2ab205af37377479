//! Missed offers: how often each agent let an offered contact go by, and who still does.
//!
//! in   agent changes (Agent, change)   agent states (Agent, state from then on)
//! out  missed_offers   one row per agent and interval in which an offer was missed; status open, closing, final
//!      incidents       spells of not responding that last; alerts follow them
//! side late_elements   what came for intervals that are final

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{Behavior, Count, FixedWindows, RowStatus, Trigger, Window};
use highwater_dataflow::{Alerts, Graph, Incident, Millis, Revision};
use highwater_model::{AgentId, AgentState};
use highwater_queries::late_events::late_elements;
use highwater_queries::{Entry, Inputs, Settings};
use serde::{Deserialize, Serialize};

/// A row of `missed_offers`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct MissedOffers {
    pub(crate) agent: AgentId,
    pub(crate) window: Window,
    pub(crate) missed: i64,
    pub(crate) status: RowStatus,
}

impl ViewRow for MissedOffers {
    const VIEW: &'static View = &View {
        name: "missed_offers",
        doc: "How often each agent did not respond to an offered contact, per interval.",
        key: 2,
        columns: &[
            Column::text("agent_id", "the agent"),
            Column::int("interval_start_ms", "start of the interval, ms UTC"),
            Column::int("interval_end_ms", "end of the interval, ms UTC"),
            Column::int("missed", "how often the agent went to not-responding"),
            Column::text("status", "open (not over), closing (late events still count) or final"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::from(self.agent.0.clone()),
            self.window.start.into(),
            self.window.end.into(),
            self.missed.into(),
            self.status.as_str().into(),
        ]);
    }
}

/// The view, and what came too late for it. State: one count per agent and interval that is not final.
pub(crate) fn publish<'s>(graph: &mut Graph<'s, Entry>, input: &Inputs<'s>, settings: &Settings) {
    let at_once = || Trigger::repeatedly(Trigger::after_count(1));
    // Also those that another change of the same instant overruled: the offer was missed all the same.
    let panes = input
        .agent_changes()
        .filter(|(_, change)| change.value.new == AgentState::NotResponding)
        .map(|(agent, change)| (agent, (change.at, ())))
        .window_into("missed_offers", FixedWindows::of(settings.interval()))
        .trigger(Trigger::after_watermark().early(at_once()).late(at_once()))
        .allowed_lateness(settings.allowed_lateness())
        .on_time_behavior(Behavior::FireAlways)
        .closing_behavior(Behavior::FireAlways)
        .aggregate(Count);
    graph.publish(panes.panes.map(|(agent, pane)| MissedOffers {
        agent,
        window: pane.window,
        missed: pane.value,
        status: pane.status(),
    }));
    let late = panes.late.map(|(agent, late)| (agent.0, late));
    graph.publish(late_elements(MissedOffers::VIEW.name, late));
}

/// The rule: an agent who has not responded for `lasting` ms. State: as far back as the correction horizon.
pub(crate) fn unresponsive<'s>(input: &Inputs<'s>, lasting: Millis) -> Alerts<'s> {
    let incidents = input
        .agent_states()
        .intervals("unresponsive", input.correction)
        .filter(|(_, spell)| spell.value == AgentState::NotResponding)
        .held_for("still unresponsive", lasting)
        .map(move |(agent, spell)| Incident {
            scope: agent.0.clone(),
            from: spell.from,
            to: spell.to,
            value: 1,
            threshold: 1,
            members: vec![agent.0],
            causes: vec![spell.seq],
            reason: "".into(),
        });
    // Any word on an agent's state may show that it had been otherwise.
    let revisions = input
        .agent_changes()
        .map(|(agent, change)| (agent.0, Revision { at: change.at, seq: change.seq }));
    incidents.alerts("unresponsive", revisions, input.correction)
}
