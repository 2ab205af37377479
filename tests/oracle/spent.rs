//! Time that was spent: agents' on contacts and waiting for them, contacts' in handling, per step of a clock.

use std::collections::BTreeMap;

use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_model::{AgentId, AgentState, Envelope, Event, QueueId};
use highwater_queries::{Attribute, Settings};

use super::agent_states::{self, Held};
use super::contacts::{Outcome, Telling};
use super::sums::{Element, Sums};

/// Cuts time at multiples of `step`; knows how far it has come.
pub(crate) struct Spent {
    step: i64,
    right: bool,
    prorated: bool,
    /// The last multiple of the step that the watermark has reached.
    reached: EventTime,
}

type Spells = Vec<(EventTime, EventTime, AgentState, Option<QueueId>)>;

impl Spent {
    pub(crate) fn new(settings: &Settings, step: i64, right: bool) -> Self {
        let prorated = settings.attribution.handle_time == Attribute::Prorated;
        Spent { step, right, prorated, reached: BEGINNING }
    }

    pub(crate) fn elements(
        &mut self,
        known: &[Envelope],
        told: &[Telling],
        watermark: EventTime,
    ) -> Vec<Element> {
        if watermark > BEGINNING && watermark < FOREVER {
            self.reached = self.reached.max(watermark - watermark.rem_euclid(self.step));
        }
        let mut elements = Vec::new();
        let skills = skills(known);
        for (agent, spells) in spells(known) {
            for (from, to, state, named) in spells {
                // What goes on counts as far as whole steps are over.
                let to = if to == FOREVER { self.reached } else { to };
                let name = state.name();
                if let (Some(queue), "on-call" | "hold" | "acw") = (&named, name) {
                    self.cut(queue, from, to, busy, &mut elements);
                }
                if !["available", "on-queue"].contains(&name) {
                    continue;
                }
                let Some(profiles) = skills.get(&agent) else { continue };
                for (n, (&since, queues)) in profiles.iter().enumerate() {
                    let until = profiles.keys().nth(n + 1).copied().unwrap_or(FOREVER);
                    for queue in queues {
                        let (from, to) = (from.max(since), to.min(until));
                        self.cut(queue, from, to, idle, &mut elements);
                    }
                }
            }
        }
        for t in told.iter().filter(|_| self.prorated) {
            if let Outcome::Completed { handle } = t.outcome {
                self.cut(&t.queue, t.at - handle, t.at, handled, &mut elements);
            }
        }
        elements
    }

    /// An element for each step that `[from, to)` touches.
    fn cut(
        &self,
        queue: &QueueId,
        from: EventTime,
        to: EventTime,
        of: impl Fn(i64) -> Sums,
        elements: &mut Vec<Element>,
    ) {
        let mut start = from.div_euclid(self.step) * self.step;
        while start < to {
            let (begins, ends) = (from.max(start), to.min(start + self.step));
            if begins < ends {
                let at = if self.right { ends } else { begins };
                elements.push((queue.clone(), at, of(ends - begins)));
            }
            start += self.step;
        }
    }
}

fn busy(busy_ms: i64) -> Sums {
    Sums { busy_ms, ..Sums::default() }
}

fn idle(idle_ms: i64) -> Sums {
    Sums { idle_ms, ..Sums::default() }
}

fn handled(handle_ms: i64) -> Sums {
    Sums { handle_ms, ..Sums::default() }
}

/// Every agent's spells: each state until the next.
fn spells(known: &[Envelope]) -> BTreeMap<AgentId, Spells> {
    let spells = |states: BTreeMap<EventTime, Held>| -> Spells {
        let ends = states.keys().copied().skip(1).chain([FOREVER]).collect::<Vec<_>>();
        let starts = states.into_iter().zip(ends);
        starts.map(|((from, held), to)| (from, to, held.state, held.queue)).collect()
    };
    let agents = agent_states::held(known).into_iter();
    agents.map(|(agent, states)| (agent.clone(), spells(states))).collect()
}

/// Every agent's skills from an instant on, each once.
fn skills(known: &[Envelope]) -> BTreeMap<AgentId, BTreeMap<EventTime, Vec<QueueId>>> {
    let mut profiles: BTreeMap<AgentId, BTreeMap<EventTime, &highwater_model::AgentProfile>> =
        BTreeMap::new();
    for envelope in known {
        if let Event::AgentProfile(profile) = &envelope.event {
            let agent = profiles.entry(profile.agent.clone()).or_default();
            let held = agent.entry(envelope.at).or_insert(profile);
            *held = profile.max(*held);
        }
    }
    let queues = |profile: &highwater_model::AgentProfile| {
        let set: std::collections::BTreeSet<QueueId> = profile.skills.iter().cloned().collect();
        set.into_iter().collect::<Vec<_>>()
    };
    let agent = |profiles: BTreeMap<EventTime, &highwater_model::AgentProfile>| {
        profiles.into_iter().map(|(at, profile)| (at, queues(profile))).collect()
    };
    profiles.into_iter().map(|(id, profiles)| (id, agent(profiles))).collect()
}
