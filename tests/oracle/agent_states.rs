//! Agent states: what agents were in from an instant on, after everything that was said of that instant.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::EventTime;
use highwater_model::{AgentId, AgentState, Envelope, Event, QueueId};

/// The state from an instant on, the queue that goes with it, and the record that made it so.
pub(crate) struct Held {
    pub(crate) state: AgentState,
    pub(crate) queue: Option<QueueId>,
    pub(crate) seq: u64,
}

/// One way from a state (`None`: not said which) to another.
type Step = (Option<AgentState>, AgentState);

/// By agent and instant; `known` is in the order in which it became known.
pub(crate) fn held(known: &[Envelope]) -> BTreeMap<&AgentId, BTreeMap<EventTime, Held>> {
    let mut steps: BTreeMap<(&AgentId, EventTime), BTreeSet<Step>> = BTreeMap::new();
    let mut queues: BTreeMap<(&AgentId, EventTime, AgentState), Option<&QueueId>> = BTreeMap::new();
    let mut agents: BTreeMap<&AgentId, BTreeMap<EventTime, Held>> = BTreeMap::new();
    for envelope in known {
        let Event::AgentStateChange(change) = &envelope.event else { continue };
        let instant = steps.entry((&change.agent, envelope.at)).or_default();
        instant.insert((Some(change.previous).filter(|s| s.name() != "unknown"), change.new));
        let queue = queues.entry((&change.agent, envelope.at, change.new)).or_default();
        *queue = change.queue.as_ref().max(*queue);

        let state = last(instant);
        let queue = queues[&(&change.agent, envelope.at, state)].cloned();
        let agent = agents.entry(&change.agent).or_default();
        let seq = envelope.seq;
        let held = agent.entry(envelope.at).or_insert(Held { state, queue: None, seq });
        if held.state != state {
            (held.state, held.seq) = (state, seq);
        }
        held.queue = queue;
    }
    agents
}

/// Where a walk along all of these steps, each taken once, ends; as far as they tell.
fn last(steps: &BTreeSet<Step>) -> AgentState {
    let proper = |step: &&Step| step.0 != Some(step.1);
    let leaving =
        |state: AgentState| steps.iter().filter(proper).filter(move |s| s.0 == Some(state));
    let reaching = |state: AgentState| steps.iter().filter(proper).filter(move |s| s.1 == state);
    let states: BTreeSet<AgentState> = steps.iter().map(|step| step.1).collect();

    // The walk stays where nothing leaves.
    let mut ends: Vec<AgentState> =
        states.iter().copied().filter(|&state| leaving(state).next().is_none()).collect();
    if ends.is_empty() {
        // It goes in circles, and comes once more to where it ends.
        let more =
            |state: &AgentState| reaching(*state).count() as i64 - leaving(*state).count() as i64;
        let most = states.iter().map(more).max();
        ends = states.iter().copied().filter(|state| Some(more(state)) == most).collect();
    }
    // Several walks: those that say where they came from came from before the instant, and others followed them.
    let follows = |end: &AgentState| {
        let mut behind = BTreeSet::from([*end]);
        loop {
            let before = behind.iter().flat_map(|&state| reaching(state)).filter_map(|step| step.0);
            let before: BTreeSet<AgentState> = before.filter(|s| states.contains(s)).collect();
            let seen = behind.len();
            behind.extend(before);
            if behind.len() == seen {
                return steps.iter().any(|step| step.0.is_none() && behind.contains(&step.1));
            }
        }
    };
    if ends.iter().any(follows) {
        ends.retain(follows);
    }
    ends.into_iter().max().expect("a walk ends somewhere")
}
