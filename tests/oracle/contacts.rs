//! Contacts: every contact's story, told from all of its events at once.

use std::collections::BTreeMap;

use highwater_model::{AbandonStage, AgentState, ContactId, Envelope, Event, QueueId};

/// What became of a contact, at its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Arrived {
        offered: bool,
        open: bool,
    },
    Waiting,
    InProgress,
    /// `None`: nobody said when it arrived, or how long it waited.
    Answered {
        wait: Option<i64>,
    },
    Completed {
        handle: i64,
    },
    Abandoned {
        wait: i64,
    },
}

#[derive(Default)]
struct Story {
    arrived: Vec<i64>,
    taken: Vec<i64>,
    completed: Vec<(i64, i64, Option<i64>)>,
    gave_up: Vec<(i64, i64, AbandonStage)>,
}

/// A contact without an end is given up this long after its last event.
const LOST_AFTER: i64 = 7 * 86_400_000;

/// An outcome at its event time, and when its contact was offered and over.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(crate) queue: QueueId,
    pub(crate) at: i64,
    pub(crate) outcome: Outcome,
    pub(crate) offered_at: i64,
    pub(crate) over_at: Option<i64>,
}

/// Every outcome of every contact in every queue, at its event time.
pub(crate) fn outcomes(told: &[Telling]) -> Vec<(QueueId, i64, Outcome)> {
    told.iter().map(|t| (t.queue.clone(), t.at, t.outcome)).collect()
}

/// Every outcome of every contact in every queue.
pub(crate) fn told(known: &[Envelope], watermark: i64) -> Vec<Telling> {
    let mut stories: BTreeMap<(ContactId, QueueId), Story> = BTreeMap::new();
    for envelope in known {
        let at = envelope.at;
        match &envelope.event {
            Event::ContactArrival(e) => {
                story(&mut stories, &e.contact, &e.queue).arrived.push(at);
            }
            Event::ContactComplete(e) => {
                let ended = (at, e.handle_ms, e.wait_ms);
                story(&mut stories, &e.contact, &e.queue).completed.push(ended);
            }
            Event::ContactAbandoned(e) => {
                let ended = (at, e.wait_ms, e.stage);
                story(&mut stories, &e.contact, &e.queue).gave_up.push(ended);
            }
            Event::AgentStateChange(e) if e.new == AgentState::OnCall => {
                if let (Some(contact), Some(queue)) = (&e.contact, &e.queue) {
                    story(&mut stories, contact, queue).taken.push(at);
                }
            }
            _ => {}
        }
    }
    let mut told = Vec::new();
    for ((_, queue), story) in stories {
        let first = told.len();
        let mut offered = None;
        let mut over_at = None;
        story.tell(watermark, |at, outcome| {
            let before = match outcome {
                Outcome::Arrived { .. } => Some(at),
                Outcome::Answered { .. } => Some(at - story.reported_wait()),
                Outcome::Abandoned { wait } => Some(at - wait),
                _ => None,
            };
            offered = offered.or(before);
            if matches!(outcome, Outcome::Completed { .. } | Outcome::Abandoned { .. }) {
                over_at = Some(at);
            }
            told.push(Telling { queue: queue.clone(), at, outcome, offered_at: 0, over_at: None });
        });
        if over_at.is_none() && told[first..].iter().any(|t| Story::hung_up(t.outcome)) {
            over_at = story.gave_up.iter().max().map(|(at, _, _)| *at);
        }
        for telling in &mut told[first..] {
            telling.offered_at = offered.unwrap_or(0);
            telling.over_at = over_at;
        }
    }
    told
}

fn story<'a>(
    stories: &'a mut BTreeMap<(ContactId, QueueId), Story>,
    contact: &ContactId,
    queue: &QueueId,
) -> &'a mut Story {
    stories.entry((contact.clone(), queue.clone())).or_default()
}

impl Story {
    /// The wait its completion tells of; where it tells of none, it can have been offered at its answer at the latest.
    fn reported_wait(&self) -> i64 {
        self.completed.iter().max().and_then(|(_, _, wait)| *wait).unwrap_or(0)
    }

    /// Whether it left in the voice menu: it arrived and was never offered.
    fn hung_up(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Arrived { offered: false, .. })
    }

    fn tell(&self, watermark: i64, mut say: impl FnMut(i64, Outcome)) {
        let arrived = self.arrived.iter().min().copied();
        let completed = self.completed.iter().max().copied();
        // The agent's own word first; else handling began its own length before it ended.
        let answered = match self.taken.iter().min() {
            Some(&at) => Some(at),
            None => completed.map(|(at, handle, _)| at - handle),
        };
        let gave_up = if answered.is_some() { None } else { self.gave_up.iter().max().copied() };
        let last = self
            .arrived
            .iter()
            .chain(&self.taken)
            .chain(self.gave_up.iter().map(|(at, _, _)| at))
            .max();
        let lost = last.is_some_and(|last| last + LOST_AFTER <= watermark);
        let open = completed.is_none() && gave_up.is_none() && !lost;
        if let Some(at) = arrived {
            let in_menu = gave_up.is_some_and(|(_, _, stage)| stage == AbandonStage::Ivr);
            say(at, Outcome::Arrived { offered: !in_menu, open });
            if open && answered.is_none() {
                say(at, Outcome::Waiting);
            } else if open {
                say(at, Outcome::InProgress);
            }
        }
        if let Some(at) = answered {
            let said = completed.and_then(|(_, _, wait)| wait);
            let seen = arrived.map(|arrived| (at - arrived).max(0));
            say(at, Outcome::Answered { wait: said.or(seen) });
        }
        if let Some((at, handle, _)) = completed {
            say(at, Outcome::Completed { handle });
        }
        if let Some((at, wait, AbandonStage::Queue)) = gave_up {
            say(at, Outcome::Abandoned { wait });
        }
    }
}
