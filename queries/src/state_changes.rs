//! State changes: which state an agent is in after several changes at one instant.
//!
//! ACDs that know whole seconds say after-call work and available in one. What each change names as the previous state
//! puts them in order, however they arrive (docs/decisions/0016).

use highwater_model::AgentState;
use serde::{Deserialize, Serialize};

/// A change of an agent's state, as far as it says which state follows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateChange {
    /// `Unknown` where the change does not say.
    pub previous: AgentState,
    pub new: AgentState,
}

/// The state that holds after all `changes` of an instant, of which there is one at least. The same for every order,
/// and however often one is told.
///
/// It is one that no change leaves for another. Where every state is left (a circle), it is the one that more changes
/// lead to than leave it. If that leaves several, those count whose chain begins with a change that names no previous
/// state: the others begin with the state before the instant, so they came first. Of what remains it is the greatest.
pub(crate) fn standing(changes: impl Iterator<Item = StateChange> + Clone) -> AgentState {
    let mut rest = changes.clone();
    if let (Some(only), None) = (rest.next(), rest.next()) {
        return only.new;
    }
    let steps = Steps::of(changes);
    let ends = steps.states().filter(|&state| steps.left[state] == 0);
    let mut ends: Vec<usize> = ends.collect();
    if ends.is_empty() {
        let surplus = steps.states().map(|state| steps.surplus(state)).max();
        ends = steps.states().filter(|&state| Some(steps.surplus(state)) == surplus).collect();
    }
    let follow = steps.following();
    let last = ends.iter().rfind(|&&state| follow & bit(state) != 0).or(ends.last());
    last.map_or(AgentState::Unknown, |&state| AgentState::ALL[state])
}

/// The changes of one instant, by state; sets of states are bits.
#[derive(Default)]
struct Steps {
    /// States that some change leads to.
    reached: u16,
    /// States that some change without a previous state leads to.
    begun: u16,
    /// By state, from which others it is entered, and for which it is left.
    entered: [u16; AgentState::ALL.len()],
    left: [u16; AgentState::ALL.len()],
}

fn bit(state: usize) -> u16 {
    1 << state
}

impl Steps {
    fn of(changes: impl Iterator<Item = StateChange>) -> Self {
        let mut steps = Steps::default();
        for StateChange { previous, new } in changes {
            let (from, to) = (previous as usize, new as usize);
            steps.reached |= bit(to);
            if previous == AgentState::Unknown {
                steps.begun |= bit(to);
            } else if from != to {
                steps.entered[to] |= bit(from);
                steps.left[from] |= bit(to);
            }
        }
        steps
    }

    /// The states that changes lead to, ascending.
    fn states(&self) -> impl Iterator<Item = usize> {
        let reached = self.reached;
        (0..AgentState::ALL.len()).filter(move |&state| reached & bit(state) != 0)
    }

    /// How many more changes lead to a state than leave it.
    fn surplus(&self, state: usize) -> i64 {
        let begun = i64::from(self.begun & bit(state) != 0);
        let count = |states: u16| i64::from(states.count_ones());
        begun + count(self.entered[state]) - count(self.left[state])
    }

    /// The states of chains that begin with a change without a previous state.
    fn following(&self) -> u16 {
        let mut follow = self.begun;
        loop {
            let next = self.states().filter(|&state| self.entered[state] & follow != 0);
            let more = next.fold(follow, |follow, state| follow | bit(state));
            if more == follow {
                return follow;
            }
            follow = more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AgentState::{Acw, Available, Break, Hold, Meeting, Offline, OnCall, Unknown};

    fn check(changes: &[(AgentState, AgentState)], should: AgentState) {
        let changes = changes.iter().map(|&(previous, new)| StateChange { previous, new });
        let mut changes: Vec<StateChange> = changes.collect();
        for _ in 0..changes.len() {
            changes.rotate_left(1);
            let twice = changes.iter().chain(&changes).copied();
            assert_eq!(standing(changes.iter().copied()), should, "{changes:?}");
            assert_eq!(standing(changes.iter().rev().copied()), should, "{changes:?} reversed");
            assert_eq!(standing(twice), should, "{changes:?} twice");
        }
    }

    #[test]
    fn states_are_numbered_as_they_are_listed() {
        for (at, state) in AgentState::ALL.iter().enumerate() {
            assert_eq!(*state as usize, at);
        }
    }

    #[test]
    fn the_end_of_the_chain_holds() {
        check(&[(OnCall, Acw)], Acw);
        check(&[(OnCall, Acw), (Acw, Available)], Available);
        check(&[(Available, OnCall), (OnCall, Acw), (Acw, Available), (Available, Break)], Break);
        check(&[(Acw, Offline), (Offline, Available)], Available);
        // There and back on the way.
        check(&[(OnCall, Hold), (Hold, OnCall), (OnCall, Acw)], Acw);
    }

    #[test]
    fn what_leads_to_itself_leaves_nothing() {
        check(&[(Available, Available)], Available);
        check(&[(Acw, Available), (Available, Available)], Available);
        check(&[(Acw, Acw), (Acw, Available)], Available);
    }

    #[test]
    fn a_circle_ends_where_more_leads_to() {
        check(&[(Available, OnCall), (OnCall, Hold), (Hold, OnCall)], OnCall);
        check(&[(Unknown, OnCall), (OnCall, Hold), (Hold, OnCall)], OnCall);
        // Nothing tells where a full circle began: the greatest.
        check(&[(Available, OnCall), (OnCall, Available)], OnCall);
        check(&[(Available, OnCall), (OnCall, Acw), (Acw, Available)], Acw);
    }

    #[test]
    fn who_names_no_previous_state_comes_after_who_does() {
        check(&[(OnCall, Acw), (Unknown, Offline)], Offline);
        check(&[(OnCall, Meeting), (Unknown, Acw), (Acw, Available)], Available);
        // A state whose spelling nobody knows is named by none.
        check(&[(OnCall, Unknown), (Unknown, Available)], Available);
    }

    #[test]
    fn of_ends_alike_the_greatest_holds() {
        check(&[(Unknown, Available), (Unknown, Break)], Break);
        check(&[(OnCall, Break), (Hold, Available)], Break);
        check(&[(Unknown, Unknown), (Unknown, Available)], Available);
    }
}
