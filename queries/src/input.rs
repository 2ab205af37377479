//! The input tables that queries read, picked from the admitted events on first use.

use std::cell::OnceCell;

use highwater_dataflow::{Admission, Events, Graph, Millis, Point, Refused, Span, Table};
use highwater_model::{
    AgentId, AgentProfile, AgentState, Envelope, Event, Name, QueueId, QueueProfile, QueueUpdate,
    RuleUpdate,
};
use serde::{Deserialize, Serialize};

use crate::adherence::Shift;
use crate::placement::Placement;
use crate::settings::Settings;
use crate::state_changes::{StateChange, standing};

/// One row of input: an event; or a fact about a source: a dead letter, or what came of it together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entry {
    Event(Envelope),
    /// An event that was told from a recording, or as history: it counts like any other, but when it came, and that no
    /// more of its kind comes, says nothing.
    Recorded(Envelope),
    /// An event of a base that was told as it happened: how late it came is no longer known.
    Kept(Envelope),
    Rejected(Rejected),
    Receipt(Receipt),
}

/// Input that was not an event; its bytes are in the journal at `seq`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rejected {
    pub seq: u64,
    pub source: Name,
    pub position: u64,
    /// The source's clock when it came, ms UTC.
    pub received_at: i64,
    pub reason: Name,
}

impl Entry {
    /// Whether it is reference data: valid whenever it comes.
    pub fn is_reference(&self) -> bool {
        self.event().is_some_and(|envelope| is_reference(&envelope.event))
    }

    /// The event, whichever way it was told.
    pub fn event(&self) -> Option<&Envelope> {
        match self {
            Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
                Some(envelope)
            }
            Entry::Rejected(_) | Entry::Receipt(_) => None,
        }
    }

    /// As [`Entry::event`].
    pub fn event_mut(&mut self) -> Option<&mut Envelope> {
        match self {
            Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
                Some(envelope)
            }
            Entry::Rejected(_) | Entry::Receipt(_) => None,
        }
    }
}

/// What one frame of the journal holds of one source's partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// Journal position of the first of it.
    pub seq: u64,
    pub source: Name,
    /// The source's clock when the last of it came, ms UTC.
    pub received_at: i64,
    /// How many events, duplicates included.
    pub events: i64,
    pub dead_letters: i64,
    /// The greatest event time, ms UTC.
    pub newest: Option<i64>,
    /// The source's clock less event time, ms, ascending, with how many events came so late.
    pub lags: Vec<(i64, i64)>,
}

fn admission(entry: &Entry) -> Admission {
    match entry {
        Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => {
            let at = (!is_reference(&envelope.event)).then_some(envelope.at);
            Admission { id: envelope.key.0, at, seq: envelope.seq }
        }
        // A dead letter has no identity of its own but its place in the journal.
        Entry::Rejected(rejected) => Admission {
            id: (u128::from(u64::MAX) << 64) | u128::from(rejected.seq),
            at: None,
            seq: rejected.seq,
        },
        Entry::Receipt(receipt) => Admission {
            id: (u128::from(u64::MAX - 1) << 64) | u128::from(receipt.seq),
            at: None,
            seq: receipt.seq,
        },
    }
}

/// Reference data is valid whenever it comes: schedules are published weeks ahead, profiles stay for years.
pub(crate) fn is_reference(event: &Event) -> bool {
    matches!(
        event,
        Event::AgentProfile(_)
            | Event::ScheduleUpdate(_)
            | Event::ActivityMapping(_)
            | Event::QueueProfile(_)
            | Event::ForecastUpdate(_)
            | Event::RuleUpdate(_)
    )
}

/// The tables every query starts from.
pub struct Inputs<'s> {
    events: Events<'s, Entry>,
    /// What the door turned away: `(entry, reason)`, duplicates included.
    pub refused: Table<'s, Refused<Entry>>,
    pub correction: Millis,
    /// What several queries read, kept once: built on first use.
    roster: OnceCell<Table<'s, (AgentId, Span<AgentProfile>)>>,
    settled: OnceCell<Table<'s, (AgentId, Point<AgentState>)>>,
    states: OnceCell<Table<'s, (AgentId, Span<AgentState>)>>,
    pub(crate) shifts: OnceCell<Table<'s, (AgentId, Point<Shift>)>>,
    pub(crate) placements: OnceCell<Table<'s, (AgentId, Span<Placement>)>>,
}

impl<'s> Inputs<'s> {
    /// Opens the door: every event once, none from before the correction horizon.
    pub fn new(graph: &Graph<'s, Entry>, settings: &Settings) -> Self {
        let (admitted, refused) = graph.input().admit(settings.horizons(), admission);
        Inputs {
            events: graph.events(admitted),
            refused,
            correction: settings.correction(),
            roster: OnceCell::new(),
            settled: OnceCell::new(),
            states: OnceCell::new(),
            shifts: OnceCell::new(),
            placements: OnceCell::new(),
        }
    }

    /// Lets each process of a cluster know which events of its journal were turned away.
    pub(crate) fn keep_refused(&self, graph: &mut Graph<'s, Entry>) {
        graph.keep_refused(self.refused.clone(), |entry| entry.event().map(|it| it.seq));
    }

    fn pick<D: highwater_dataflow::Datum>(
        &self,
        pick: impl Fn(&Envelope) -> Option<D> + 'static,
    ) -> Table<'s, D> {
        self.events.select(move |entry| entry.event().and_then(&pick))
    }

    /// `(Agent, state change)`, one row per state change, insertions only. Of several at one instant all: what an agent
    /// is in is for [`Inputs::agent_states`] to say.
    pub fn agent_changes(&self) -> Table<'s, (AgentId, Point<StateChange>)> {
        self.pick(|envelope| match &envelope.event {
            Event::AgentStateChange(change) => {
                let value = StateChange { previous: change.previous, new: change.new };
                Some((change.agent.clone(), Point { at: envelope.at, value, seq: envelope.seq }))
            }
            _ => None,
        })
    }

    /// `(Agent, state from then on)`, one row per agent and instant with state changes: the state that holds after all of
    /// them (see `queries/src/state_changes.rs`).
    pub fn agent_states(&self) -> Table<'s, (AgentId, Point<AgentState>)> {
        let build = || {
            let holds = |said: &[&StateChange]| standing(said.iter().copied().copied());
            self.agent_changes().settle("agent states", self.correction, holds)
        };
        self.settled.get_or_init(build).clone()
    }

    /// As [`Inputs::agent_states`], with the queue that is named with the state: of several the greatest.
    pub fn agent_work(&self) -> Table<'s, (AgentId, Point<(AgentState, Option<QueueId>)>)> {
        let changes = self.pick(|envelope| match &envelope.event {
            Event::AgentStateChange(change) => {
                let said = StateChange { previous: change.previous, new: change.new };
                let value = (said, change.queue.clone());
                Some((change.agent.clone(), Point { at: envelope.at, value, seq: envelope.seq }))
            }
            _ => None,
        });
        changes.settle(
            "agent work",
            self.correction,
            |said: &[&(StateChange, Option<QueueId>)]| {
                let state = standing(said.iter().map(|(change, _)| *change));
                let named = said.iter().filter(|(change, _)| change.new == state);
                (state, named.filter_map(|(_, queue)| queue.clone()).max())
            },
        )
    }

    /// All events of contacts and of agents taking them, for [`crate::outcomes`].
    pub fn contact_events(&self) -> Table<'s, Envelope> {
        self.pick(|envelope| match &envelope.event {
            Event::ContactArrival(_) | Event::ContactComplete(_) | Event::ContactAbandoned(_) => {
                Some(envelope.clone())
            }
            Event::AgentStateChange(change)
                if change.new == AgentState::OnCall
                    && change.contact.is_some()
                    && change.queue.is_some() =>
            {
                Some(envelope.clone())
            }
            _ => None,
        })
    }

    /// `(Queue, the ACD's latest snapshot)`, one row per snapshot.
    pub fn queue_updates(&self) -> Table<'s, (QueueId, Point<QueueUpdate>)> {
        self.pick(|envelope| match &envelope.event {
            Event::QueueUpdate(update) => Some((
                update.queue.clone(),
                Point { at: envelope.at, value: update.clone(), seq: envelope.seq },
            )),
            _ => None,
        })
    }

    /// `(Agent, profile from then on)`.
    pub fn agent_profiles(&self) -> Table<'s, (AgentId, Point<AgentProfile>)> {
        self.pick(|envelope| match &envelope.event {
            Event::AgentProfile(profile) => Some((
                profile.agent.clone(),
                Point { at: envelope.at, value: profile.clone(), seq: envelope.seq },
            )),
            _ => None,
        })
    }

    /// `(Queue, profile from then on)`.
    pub fn queue_profiles(&self) -> Table<'s, (QueueId, Point<QueueProfile>)> {
        self.pick(|envelope| match &envelope.event {
            Event::QueueProfile(profile) => Some((
                profile.queue.clone(),
                Point { at: envelope.at, value: profile.clone(), seq: envelope.seq },
            )),
            _ => None,
        })
    }

    /// `(kind, when it was journaled)` of every event that was told as it happened, but reference data; ms UTC by the
    /// journal's clock, `None` where a base no longer says.
    pub fn arrivals(&self) -> Table<'s, (Name, Point<Option<i64>>)> {
        self.events.select_by_epoch(|entry, epoch, out| {
            let (envelope, value) = match entry {
                Entry::Event(envelope) => (envelope, Some((epoch / 1000) as i64)),
                Entry::Kept(envelope) => (envelope, None),
                _ => return,
            };
            if !is_reference(&envelope.event) {
                let kind = Name::const_new(envelope.event.event_type());
                out.push((kind, Point { at: envelope.at, value, seq: envelope.seq }));
            }
        })
    }

    /// `(rule, what it is told from then on)`, all scopes.
    pub fn rule_updates(&self) -> Table<'s, (Name, Point<RuleUpdate>)> {
        self.pick(|envelope| match &envelope.event {
            Event::RuleUpdate(update) => Some((
                update.rule.clone(),
                Point { at: envelope.at, value: update.clone(), seq: envelope.seq },
            )),
            _ => None,
        })
    }

    /// Reference events as they are, for queries that need their own reading of them.
    pub fn reference(&self) -> Table<'s, Envelope> {
        self.pick(|envelope| is_reference(&envelope.event).then(|| envelope.clone()))
    }

    /// Input that was no event.
    pub fn rejected(&self) -> Table<'s, Rejected> {
        self.events.select(|entry| match entry {
            Entry::Rejected(rejected) => Some(rejected.clone()),
            _ => None,
        })
    }

    /// What came of each source, frame by frame.
    pub fn receipts(&self) -> Table<'s, Receipt> {
        self.events.select(|entry| match entry {
            Entry::Receipt(receipt) => Some(receipt.clone()),
            _ => None,
        })
    }

    /// Agents' profiles as spans of valid time.
    pub fn roster(&self) -> Table<'s, (AgentId, Span<AgentProfile>)> {
        let build = || self.agent_profiles().intervals("roster", self.correction);
        self.roster.get_or_init(build).clone()
    }

    /// Agents' states as spans.
    pub fn states_over_time(&self) -> Table<'s, (AgentId, Span<AgentState>)> {
        let build = || self.agent_states().intervals("states over time", self.correction);
        self.states.get_or_init(build).clone()
    }
}
