//! What ACDs make of state changes: some know whole minutes only, some say what the state was before, some say it wrong;
//! several changes come to lie on one instant.

use highwater_model::{AgentState, AgentStateChange, Event};

use super::random::Random;
use super::world::{Happening, MINUTE, STATES};

/// How a system tells of an agent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// To the millisecond, and never what was before.
    Silent,
    /// To the millisecond, and what was before.
    Exact,
    /// To the minute, and what was before.
    Coarse,
    /// To the minute; what was before at times, and at times anything.
    Careless,
}

/// Retells all state changes in each agent's manner, and adds some that last no time at all.
pub(crate) fn retell(random: &mut Random, all: &mut Vec<Happening>) {
    let mut changes: Vec<usize> = Vec::new();
    for (nth, happening) in all.iter().enumerate() {
        if let Event::AgentStateChange(_) = happening.event {
            changes.push(nth);
        }
    }
    changes.sort_by_key(|&nth| (change(&all[nth]).agent.clone(), all[nth].at, nth));
    let manners = [Manner::Silent, Manner::Exact, Manner::Coarse, Manner::Careless];
    let mut manner = Manner::Silent;
    let mut agent = None;
    let mut state = AgentState::Unknown;
    let mut added = Vec::new();
    for nth in changes {
        let of = change(&all[nth]).agent.clone();
        if agent.as_ref() != Some(&of) {
            (manner, state) = (*random.pick(&manners), AgentState::Unknown);
            agent = Some(of);
        }
        let told = &mut all[nth];
        let answer = change(told).contact.is_some() && change(told).new == AgentState::OnCall;
        if matches!(manner, Manner::Coarse | Manner::Careless) && !answer {
            told.at -= told.at.rem_euclid(MINUTE);
        }
        state = walk(random, manner, state, told);
        let mut steps = if random.chance(20) { random.within(1, 4) } else { 0 };
        while manner != Manner::Silent && steps > 0 {
            let mut next = change(told).clone();
            next.new = *random.pick(STATES);
            // What happens within no time mostly ends where it began, or goes on from there.
            if random.chance(40) {
                next.new = change(told).previous;
            }
            (next.contact, next.queue) = (None, next.queue.filter(|_| random.chance(50)));
            let event = Event::AgentStateChange(next);
            let mut next = Happening { at: told.at, told_at: told.told_at, event };
            state = walk(random, manner, state, &mut next);
            added.push(next);
            steps -= 1;
        }
    }
    all.append(&mut added);
}

/// Says in its manner that `told` follows `state`; the state after it.
fn walk(
    random: &mut Random,
    manner: Manner,
    state: AgentState,
    told: &mut Happening,
) -> AgentState {
    let Event::AgentStateChange(change) = &mut told.event else { return state };
    change.previous = match manner {
        Manner::Silent => AgentState::Unknown,
        Manner::Exact | Manner::Coarse => state,
        Manner::Careless if random.chance(50) => state,
        Manner::Careless if random.chance(50) => AgentState::Unknown,
        Manner::Careless => *random.pick(STATES),
    };
    change.new
}

fn change(happening: &Happening) -> &AgentStateChange {
    match &happening.event {
        Event::AgentStateChange(change) => change,
        other => panic!("no state change: {other:?}"),
    }
}
