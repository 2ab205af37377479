//! Contacts: what the events of one contact in one queue say together, as facts at their own event times.
//!
//! in   arrivals, answers (an agent goes on call with the contact), completions, abandonments
//! out  told (Queue, (event time, Told))          one row per fact; a late or better event replaces it
//!      outcomes (Queue, (event time, Outcome))   the same without the instants it may be counted at

use highwater_dataflow::{Millis, Table};
use highwater_model::{AbandonStage, ContactId, Envelope, Event, QueueId};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;

/// One thing that is known of a contact, placed at its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It arrived. `offered`: to an agent, which those that gave up in the voice menu were not.
    /// `open`: neither finished nor given up yet, as far as is known.
    Arrived { offered: bool, open: bool },
    /// An agent took it after `wait` ms in queue; `None` where no event tells.
    Answered { wait: Option<Millis> },
    /// It gave up in queue after `wait` ms.
    Abandoned { wait: Millis },
    /// It was finished; handling took `handle` ms, after-call work included.
    Completed { handle: Millis },
    /// It waits for an agent now.
    Waiting,
    /// An agent is busy with it now.
    InProgress,
}

/// An outcome, with the other instants of its contact at which it may be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Told {
    pub outcome: Outcome,
    /// When the contact was offered: its arrival; where none was heard of, its answer or abandonment less the wait; its
    /// answer, the latest it can have been, where that is not known either.
    pub offered_at: i64,
    /// When it was over, one way or the other; `None` until then.
    pub ended_at: Option<i64>,
}

/// An event of a contact, reduced to what matters; ordered by event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fact {
    pub at: i64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum What {
    Arrival,
    Answer,
    Complete { handle: Millis, wait: Option<Millis> },
    Abandon { wait: Millis, stage: AbandonStage },
}

/// An open contact is given up on this long after its last event: its end was lost.
pub(crate) const LOST_AFTER: Millis = 7 * 86_400_000;

/// All outcomes of all contacts; see the file's head.
pub fn outcomes(told: Table<'_, (QueueId, (i64, Told))>) -> Table<'_, (QueueId, (i64, Outcome))> {
    told.map(|(queue, (at, told))| (queue, (at, told.outcome)))
}

/// All facts of all contacts; see the file's head.
///
/// State: the events of contacts that are open, or ended within the correction horizon.
pub fn told<'s>(input: &Inputs<'s>) -> Table<'s, (QueueId, (i64, Told))> {
    let horizon = input.correction;
    input.contact_events().flat_map(fact).gather(
        "contacts",
        move |facts| {
            let any = |pick: fn(&What) -> bool| facts.iter().any(|fact| pick(&fact.what));
            // One that was answered is not over when it is reported abandoned too.
            let ended = any(|what| matches!(what, What::Complete { .. }))
                || (any(|what| matches!(what, What::Abandon { .. }))
                    && !any(|what| matches!(what, What::Answer)));
            let last = facts.last().map_or(0, |fact| fact.at);
            last.saturating_add(if ended { horizon } else { LOST_AFTER.max(horizon) })
        },
        |(_, queue): &(ContactId, QueueId), facts, over, out| {
            let mut rows = Vec::with_capacity(4);
            tell(facts, over, &mut rows);
            out.extend(rows.into_iter().map(|row| (queue.clone(), row)));
        },
    )
}

fn fact(envelope: Envelope) -> Option<((ContactId, QueueId), Fact)> {
    let at = envelope.at;
    let (key, what) = match envelope.event {
        Event::ContactArrival(e) => ((e.contact, e.queue), What::Arrival),
        Event::ContactComplete(e) => {
            ((e.contact, e.queue), What::Complete { handle: e.handle_ms, wait: e.wait_ms })
        }
        Event::ContactAbandoned(e) => {
            ((e.contact, e.queue), What::Abandon { wait: e.wait_ms, stage: e.stage })
        }
        Event::AgentStateChange(e) => ((e.contact?, e.queue?), What::Answer),
        _ => return None,
    };
    Some((key, Fact { at, what }))
}

/// What the facts of one contact, in order, amount to. `over`: no more will be heard of it.
pub fn tell(facts: &[Fact], over: bool, out: &mut Vec<(i64, Told)>) {
    let first = |pick: fn(&What) -> bool| facts.iter().find(|fact| pick(&fact.what));
    let arrival = first(|what| matches!(what, What::Arrival)).map(|fact| fact.at);
    let answer = first(|what| matches!(what, What::Answer)).map(|fact| fact.at);
    let complete = facts.iter().rev().find_map(|fact| match fact.what {
        What::Complete { handle, wait } => Some((fact.at, handle, wait)),
        _ => None,
    });
    let abandon = facts.iter().rev().find_map(|fact| match fact.what {
        What::Abandon { wait, stage } => Some((fact.at, wait, stage)),
        _ => None,
    });

    // Handling ends with the completion, so it began that much earlier; an agent's own word on it is better.
    let answered_at = answer.or(complete.map(|(at, handle, _)| at - handle));
    // A contact that was answered was not abandoned, whatever else was reported.
    let abandon = abandon.filter(|_| answered_at.is_none());
    let open = complete.is_none() && abandon.is_none() && !over;
    let reported = complete.and_then(|(_, _, wait)| wait);

    let derived = answered_at.map(|at| at - reported.unwrap_or(0));
    let offered_at = arrival.or(derived).or(abandon.map(|(at, wait, _)| at - wait)).unwrap_or(0);
    let ended_at = complete.map(|(at, _, _)| at).or(abandon.map(|(at, _, _)| at));
    let mut say = |at, outcome| out.push((at, Told { outcome, offered_at, ended_at }));

    if let Some(at) = arrival {
        let offered = !matches!(abandon, Some((_, _, AbandonStage::Ivr)));
        say(at, Outcome::Arrived { offered, open });
        if open {
            say(at, if answered_at.is_some() { Outcome::InProgress } else { Outcome::Waiting });
        }
    }
    if let Some(at) = answered_at {
        // Without either it is not known, which is not a contact that was answered at once.
        let wait = reported.or(arrival.map(|arrived| (at - arrived).max(0)));
        say(at, Outcome::Answered { wait });
    }
    if let Some((at, handle, _)) = complete {
        say(at, Outcome::Completed { handle });
    }
    if let Some((at, wait, AbandonStage::Queue)) = abandon {
        say(at, Outcome::Abandoned { wait });
    }
}
