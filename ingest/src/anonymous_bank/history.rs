//! From rows to the events a contact center would have sent, in event-time order.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::EventTime;
use highwater_model::{
    AbandonStage, AgentId, AgentProfile, AgentState, AgentStateChange, Channel, ContactAbandoned,
    ContactArrival, ContactComplete, ContactId, Event, QueueId, QueueProfile, ServiceLevel,
};

use super::row::{Outcome, Row, parse};

/// Stands in the server column where no agent is known.
const NO_SERVER: &str = "NO_SERVER";

/// One thing the log has to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Event {
        at: EventTime,
        id: String,
        event: Event,
    },
    /// A row that could not be read.
    Bad {
        line: Vec<u8>,
        reason: String,
    },
}

/// Every entry of a log without its header: profiles first, then rows that could not be read, then the events
/// sorted by event time, in file order at equal times.
pub(super) fn entries(log: &[u8]) -> Vec<Entry> {
    let (mut calls, mut bad) = (Vec::new(), Vec::new());
    for (index, line) in log.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        match parse(line) {
            // Call ids repeat within a day; the row number makes the contact one of its own.
            Ok(row) => calls.push((ContactId(format!("{}-{}", row.call, index + 1).into()), row)),
            Err(reason) => bad.push(Entry::Bad { line: line.to_vec(), reason }),
        }
    }
    let mut events = Vec::with_capacity(calls.len() * 4);
    for (contact, row) in &calls {
        contact_events(contact, row, &mut events);
    }
    agent_events(&calls, &mut events);
    events.sort_by_key(|(at, ..)| *at);

    let mut entries = Vec::with_capacity(events.len() + bad.len() + 64);
    profiles(&calls, &mut entries);
    entries.extend(bad);
    entries.extend(events.into_iter().map(|(at, id, event)| Entry::Event { at, id, event }));
    entries
}

fn queue_of(row: &Row) -> QueueId {
    QueueId(format!("bank-{}", row.kind).into())
}

/// Arrival, and completion or abandonment.
fn contact_events(contact: &ContactId, row: &Row, out: &mut Vec<(EventTime, String, Event)>) {
    let queue = queue_of(row);
    let arrival = ContactArrival {
        contact: contact.clone(),
        queue: queue.clone(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    };
    out.push((row.entry_at, format!("{contact}-arrival"), Event::ContactArrival(arrival)));

    if row.outcome == Outcome::Agent {
        // 50 answered calls have no service times: they were over when the agent had them.
        let left_at = row.queue_exit_at.unwrap_or(row.vru_exit_at);
        let complete = ContactComplete {
            contact: contact.clone(),
            queue,
            agent: AgentId(row.server.as_str().into()),
            handle_ms: row.service_ms,
            talk_ms: row.service_ms,
            hold_ms: 0,
            acw_ms: 0,
            disposition: None,
            transfer: false,
            wait_ms: Some(row.wait_ms),
        };
        let at = row.service.map_or(left_at, |(_, end_at)| end_at);
        out.push((at, format!("{contact}-complete"), Event::ContactComplete(complete)));
    } else {
        // Only a customer in the queue was offered to an agent; phantom calls never are, wherever they end.
        let offered = row.outcome == Outcome::Hang && row.queue_exit_at.is_some();
        let abandoned = ContactAbandoned {
            contact: contact.clone(),
            queue,
            wait_ms: if offered { row.wait_ms } else { 0 },
            stage: if offered { AbandonStage::Queue } else { AbandonStage::Ivr },
        };
        let at = row.queue_exit_at.unwrap_or(row.vru_exit_at);
        out.push((at, format!("{contact}-abandoned"), Event::ContactAbandoned(abandoned)));
    }
}

/// On call and available again, per agent.
///
/// Some services of one agent overlap in the log: the agent is available only once the last of them is over.
fn agent_events(calls: &[(ContactId, Row)], out: &mut Vec<(EventTime, String, Event)>) {
    let mut services: BTreeMap<&str, Vec<(EventTime, EventTime, &ContactId, &Row)>> =
        BTreeMap::new();
    for (contact, row) in calls {
        if let (Outcome::Agent, Some((start_at, end_at))) = (row.outcome, row.service)
            && row.server != NO_SERVER
        {
            services.entry(&row.server).or_default().push((start_at, end_at, contact, row));
        }
    }
    for (server, mut services) in services {
        services.sort_by_key(|(start_at, end_at, contact, _)| (*start_at, *end_at, *contact));
        let mut change = |at: EventTime, previous, new, contact: &ContactId, row: &Row| {
            let event = Event::AgentStateChange(AgentStateChange {
                agent: server.into(),
                previous,
                new,
                reason: None,
                queue: Some(queue_of(row)),
                contact: Some(contact.clone()),
                source: Some("anonymous-bank".into()),
            });
            out.push((at, format!("{contact}-{}", new.name()), event));
        };
        let mut previous = AgentState::Unknown;
        // The service that ends last of those under way.
        let mut last: Option<(EventTime, &ContactId, &Row)> = None;
        for (start_at, end_at, contact, row) in services {
            if let Some((end_at, contact, row)) = last
                && end_at < start_at
            {
                change(end_at, previous, AgentState::Available, contact, row);
                previous = AgentState::Available;
                last = None;
            }
            change(start_at, previous, AgentState::OnCall, contact, row);
            previous = AgentState::OnCall;
            if last.is_none_or(|(last_end_at, ..)| last_end_at < end_at) {
                last = Some((end_at, contact, row));
            }
        }
        if let Some((end_at, contact, row)) = last {
            change(end_at, previous, AgentState::Available, contact, row);
        }
    }
}

/// Queues and agents, valid from the first midnight on.
fn profiles(calls: &[(ContactId, Row)], out: &mut Vec<Entry>) {
    let Some(at) = calls.iter().map(|(_, row)| row.day_at).min() else { return };
    let mut skills: BTreeMap<&str, BTreeSet<QueueId>> = BTreeMap::new();
    let mut queues = BTreeSet::new();
    for (_, row) in calls {
        queues.insert(queue_of(row));
        if row.server != NO_SERVER {
            skills.entry(&row.server).or_default().insert(queue_of(row));
        }
    }
    for queue in queues {
        let id = format!("{queue}-profile-{at}");
        let event = Event::QueueProfile(QueueProfile {
            queue,
            channel: Channel::Voice,
            target_ppm: 800_000,
            threshold_ms: 20_000,
            short_abandon_ms: 5_000,
            service_level: ServiceLevel::Offered,
            overflow_threshold: None,
            opening: None,
        });
        out.push(Entry::Event { at, id, event });
    }
    for (server, skills) in skills {
        let event = Event::AgentProfile(AgentProfile {
            agent: server.into(),
            name: None,
            team: "bank".into(),
            site: "bank".into(),
            skills: skills.into_iter().collect(),
        });
        out.push(Entry::Event { at, id: format!("bank-{server}-profile-{at}"), event });
    }
}
