//! Closing epochs without asking: what a worker that is alone knows by itself.
//!
//! Operators run in the order in which they were built, each after everything that it reads. So once a lone worker has
//! been handed the whole of an epoch and steps, every operator that runs has before it all that its inputs will say of
//! that epoch. It need not wait until progress tracking says so, which takes a step more for each operator on the way
//! and a second run of every one of them: a chain of any length closes an epoch in a single step.
//!
//! A table is *prompt* where that holds of what it comes from. Differential's operators close epochs by their
//! frontiers; what comes out of them is not prompt, nor is what lies behind, and nothing is where there are several
//! workers: there frontiers decide.

use std::cell::Cell;
use std::rc::Rc;

use timely::progress::frontier::MutableAntichain;

use crate::time::Epoch;

/// How far a lone worker has been fed: every epoch before this one is whole. A clone knows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fed(Rc<Cell<Epoch>>);

impl Fed {
    /// Says that no epoch before `to` will get anything more.
    pub(crate) fn advance(&self, to: Epoch) {
        self.0.set(self.0.get().max(to));
    }

    pub(crate) fn to(&self) -> Epoch {
        self.0.get()
    }
}

/// By what an operator knows that an epoch is over.
pub(crate) enum Closing {
    Fed(Fed),
    Frontiers,
}

impl Closing {
    /// The first epoch at which something may still come, given the frontiers of the operator's inputs; `Epoch::MAX`
    /// when all of them have ended.
    #[inline]
    pub(crate) fn first_open(&self, frontiers: &[MutableAntichain<Epoch>]) -> Epoch {
        match self {
            Closing::Fed(fed) => fed.to(),
            Closing::Frontiers => {
                let open =
                    frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied());
                open.min().unwrap_or(Epoch::MAX)
            }
        }
    }
}
