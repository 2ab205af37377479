//! The floor: who waits, who is idle, and the counts a queue's snapshot shows.

use std::collections::VecDeque;

use highwater_dataflow::{EventTime, Millis};
use highwater_model::AgentState;

use super::config::INTERVAL;

/// A contact in a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub contact: u64,
    pub arrived_at: EventTime,
}

/// One queue's contacts and agents.
///
/// State: `waiting` is capped by `waiting_max`; `idle` holds stale entries, which are dropped when they outnumber the
/// agents.
#[derive(Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    waiting_max: usize,
    /// Agents by the time they became idle, with the turn that made them so: an entry of an older turn is stale.
    idle: VecDeque<(usize, u32)>,
    skilled: usize,
    pub available: i64,
    pub on_call: i64,
    pub acw: i64,
    pub aux: i64,
    pub so_far: SoFar,
}

/// What happened since the interval began.
#[derive(Clone, Copy, Default)]
pub(super) struct SoFar {
    interval: i64,
    pub arrivals: i64,
    pub ended: i64,
    pub answered_in: i64,
    pub completed: i64,
    pub handled_ms: Millis,
}

impl Line {
    pub(super) fn new(skilled: usize) -> Self {
        Self { skilled, waiting_max: 100 + 20 * skilled, ..Self::default() }
    }

    /// Joins the end of the queue; false if it is full.
    pub(super) fn join(&mut self, waiting: Waiting) -> bool {
        let room = self.waiting.len() < self.waiting_max;
        if room {
            self.waiting.push_back(waiting);
        }
        room
    }

    /// Takes the contact that waits longest.
    pub(super) fn serve(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Puts a contact back whose agent did not answer.
    pub(super) fn rejoin(&mut self, waiting: Waiting) {
        self.waiting.push_front(waiting);
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// The contact hangs up; `None` if it is not waiting any more. Contacts are numbered in order of arrival.
    pub(super) fn hang_up(&mut self, contact: u64) -> Option<Waiting> {
        let index = self.waiting.binary_search_by_key(&contact, |waiting| waiting.contact).ok()?;
        self.waiting.remove(index)
    }

    pub(super) fn idle(&mut self, agent: usize, turn: u32, current: impl Fn(usize) -> Option<u32>) {
        if 2 * self.skilled + 16 <= self.idle.len() {
            self.idle.retain(|(agent, turn)| current(*agent) == Some(*turn));
        }
        self.idle.push_back((agent, turn));
    }

    /// Takes the agent idle for longest; `current` gives the turn of an agent that is idle still.
    pub(super) fn take_idle(&mut self, current: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        loop {
            let (agent, turn) = self.idle.pop_front()?;
            if current(agent) == Some(turn) {
                return Some(agent);
            }
        }
    }

    /// Counts an agent of this queue in (`by` 1) or out of (-1) a state; on call and after it only for the queue
    /// whose contact it is.
    pub(super) fn count(&mut self, state: AgentState, own_contact: bool, by: i64) {
        match state {
            AgentState::Offline => {}
            AgentState::Available => self.available += by,
            AgentState::OnCall | AgentState::Hold => self.on_call += by * i64::from(own_contact),
            AgentState::Acw => self.acw += by * i64::from(own_contact),
            _ => self.aux += by,
        }
    }

    /// The current interval's figures, begun anew when another interval has begun.
    pub(super) fn so_far(&mut self, now: EventTime) -> &mut SoFar {
        let interval = now.div_euclid(INTERVAL);
        if self.so_far.interval != interval {
            self.so_far = SoFar { interval, ..SoFar::default() };
        }
        &mut self.so_far
    }

    /// Entries held, for bounds.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.idle.len()
    }
}
