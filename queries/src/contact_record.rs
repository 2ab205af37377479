//! Contact record: every completed contact with its agent and its queue as they were at that time.
//!
//! in   completions   roster (Agent, profile over time)   queue profiles over time
//! out  contact_record   one row per contact, queue and agent: a leg of the contact
//!
//! An event is told once, by its id; a leg has one record, by its contact, queue and agent. A leg that is completed again
//! under another event id (a correction, a resend by a system that lost its ids) replaces the record by the completion
//! that happened last. Profiles are as of the completion's event time: a late edit of one corrects the records it
//! covers, whenever either comes within the correction horizon. State: legs, and the profiles they are joined with, for
//! two correction horizons; a leg that is told again after that gets a record of its own in place of the old one.

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_model::{
    AgentId, AgentProfile, ContactComplete, ContactId, Envelope, Event, Name, QueueId, QueueProfile,
};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;

/// A row of `contact_record`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactRecord {
    pub at: i64,
    pub complete: ContactComplete,
    /// How many completions were told of the leg.
    pub completions: i64,
    pub agent: Option<AgentProfile>,
    pub queue: Option<QueueProfile>,
}

impl ViewRow for ContactRecord {
    const VIEW: &'static View = &View {
        name: "contact_record",
        doc: "Every completed contact with its agent and its queue as they were when it was completed.",
        key: 3,
        columns: &[
            Column::text("contact_id", "the contact"),
            Column::text("queue_id", "the queue it came through"),
            Column::text("agent_id", "who handled it"),
            Column::int("completed_ms", "when it was completed, ms UTC"),
            Column::int("handle_ms", "handling time, ms"),
            Column::int("talk_ms", "of that talking, ms"),
            Column::int("hold_ms", "of that on hold, ms"),
            Column::int("acw_ms", "of that after-call work, ms"),
            Column::int("wait_ms", "time in queue, ms, where the source tells it"),
            Column::text("disposition", "as the source tells it"),
            Column::int("transferred", "1 if it went on to somebody else"),
            Column::int("completions", "completions told of it; above 1 this is the last of them"),
            Column::text("agent_name", "as in the agent's profile of that time"),
            Column::text("team_id", "the agent's team then"),
            Column::text("site_id", "the agent's site then"),
            Column::text("skills", "queues the agent was skilled for then, comma separated"),
            Column::text("channel", "as in the queue's profile of that time"),
            Column::real("target_pct", "what the queue promised then"),
            Column::int("threshold_ms", "within which time, ms"),
            Column::text("service_level_definition", "by which definition"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let complete = &self.complete;
        let (agent, queue) = (self.agent.as_ref(), self.queue.as_ref());
        row.extend([
            Value::from(complete.contact.0.clone()),
            complete.queue.0.clone().into(),
            complete.agent.0.clone().into(),
            self.at.into(),
            complete.handle_ms.into(),
            complete.talk_ms.into(),
            complete.hold_ms.into(),
            complete.acw_ms.into(),
            complete.wait_ms.into(),
            complete.disposition.clone().into(),
            i64::from(complete.transfer).into(),
            self.completions.into(),
            agent.and_then(|agent| agent.name.clone()).into(),
            agent.map(|agent| agent.team.0.clone()).into(),
            agent.map(|agent| agent.site.0.clone()).into(),
            agent.map(skills).into(),
            queue.map(|queue| queue.channel.name()).into(),
            queue.map(|queue| queue.target_ppm as f64 / 10_000.0).into(),
            queue.map(|queue| queue.threshold_ms).into(),
            queue.map(|queue| queue.service_level.name()).into(),
        ]);
    }
}

fn skills(agent: &AgentProfile) -> Name {
    let names: Vec<&str> = agent.skills.iter().map(QueueId::as_str).collect();
    names.join(",").into()
}

pub fn contact_record<'s>(input: &Inputs<'s>) -> Table<'s, ContactRecord> {
    let horizon = input.correction;
    // As long as a record can be replaced, what it was joined with is there to take it back.
    let kept = 2 * horizon;
    let queues = input.queue_profiles().intervals("queue profiles", horizon);
    input
        .contact_events()
        .flat_map(completion)
        .gather(
            "legs",
            move |told: &[(i64, ContactComplete)]| {
                told.last().map_or(0, |(at, _)| at.saturating_add(kept))
            },
            |_, told, _, out| {
                let last = told.last().map(|(at, complete)| {
                    let completions = told.len() as i64;
                    let (at, complete) = (*at, complete.clone());
                    ContactRecord { at, complete, completions, agent: None, queue: None }
                });
                out.extend(last);
            },
        )
        .map(|record| (record.complete.agent.clone(), (record.at, record)))
        .as_of_join("agent then", input.roster(), kept, |_, at, record, agent| {
            let record = ContactRecord { agent: agent.cloned(), ..record.clone() };
            (record.complete.queue.clone(), (at, record))
        })
        .as_of_join("queue then", queues, kept, |_, _, record, queue| ContactRecord {
            queue: queue.cloned(),
            ..record.clone()
        })
}

type Leg = (ContactId, QueueId, AgentId);

fn completion(envelope: Envelope) -> Option<(Leg, (i64, ContactComplete))> {
    let Event::ContactComplete(complete) = envelope.event else { return None };
    let leg = (complete.contact.clone(), complete.queue.clone(), complete.agent.clone());
    Some((leg, (envelope.at, complete)))
}
