//! Closing epochs without asking: what a worker that is alone knows by itself.
//!
//! Operators run in the order in which they were built, each after everything that it reads. So once a lone worker has
//! been handed the whole of an epoch and steps, every operator that runs has before it all that its inputs will say of
//! that epoch. It need not wait until progress tracking says so, which takes a step more for each operator on the way
//! and a second run of every one of them: a chain of any length closes an epoch in a single step. A table is *prompt*
//! where that holds of what it comes from.
//!
//! Differential's operators close epochs by their frontiers, and answer in a later step. But they answer to rows alone,
//! and those come to them through gates of ours (`keep`). As long as no gate lets any through, what stands behind them is
//! as good as prompt, and timely need not be told of epochs at all: to move a frontier through a graph of hundreds of
//! operators costs more than an event does. Once a gate does, the worker is *astir*: timely is told how far it was fed,
//! and what stands behind differential's operators waits for the frontiers, until these have caught up and nothing waits
//! any more. Then all of them have said what they had to say of all that the worker was fed, and it is calm again.
//!
//! While it is calm, messages bear the time at which timely's inputs were left, and rows their own epoch; what a step
//! brings forth it also uses up, so that timely counts nothing up however long that goes on.
//!
//! Where there are several workers nothing is prompt: frontiers decide.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use timely::progress::frontier::MutableAntichain;

use crate::time::Epoch;

/// How far a lone worker has been fed: every epoch before this one is whole. A clone knows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fed(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    to: Cell<Epoch>,
    astir: Cell<bool>,
    /// How far frontiers have come where that decides, and which epoch waits in the operators behind them.
    watched: RefCell<Vec<Rc<Cell<Epoch>>>>,
}

impl Fed {
    /// Says that no epoch before `to` will get anything more.
    pub(crate) fn advance(&self, to: Epoch) {
        self.0.to.set(self.0.to.get().max(to));
    }

    pub(crate) fn to(&self) -> Epoch {
        self.0.to.get()
    }

    /// Says that differential's operators get rows.
    pub(crate) fn stir(&self) {
        self.0.astir.set(true);
    }

    /// Whether differential's operators may have something to say.
    pub(crate) fn astir(&self) -> bool {
        self.0.astir.get()
    }

    /// From now on the worker is not calm, and no epoch closed, before `first_open` has passed it too.
    pub(crate) fn watch(&self, first_open: &Rc<Cell<Epoch>>) {
        self.0.watched.borrow_mut().push(Rc::clone(first_open));
    }

    /// Whether everything that is watched has passed `epoch`.
    pub(crate) fn passed(&self, epoch: Epoch) -> bool {
        self.0.watched.borrow().iter().all(|first_open| first_open.get() > epoch)
    }

    /// Calms down where everything watched has caught up; to be called after every step of the worker.
    pub(crate) fn stepped(&self) {
        if self.astir() && self.to().checked_sub(1).is_none_or(|last| self.passed(last)) {
            self.0.astir.set(false);
        }
    }
}

/// By what an operator knows that an epoch is over.
#[derive(Clone)]
pub(crate) enum Closing {
    Fed(Fed),
    /// It stands behind operators of differential's.
    Behind(Fed),
    Frontiers,
}

impl Closing {
    pub(crate) fn of(fed: Option<Fed>) -> Closing {
        fed.map_or(Closing::Frontiers, Closing::Fed)
    }

    /// Of what reads both.
    pub(crate) fn and(self, other: Closing) -> Closing {
        match (self, other) {
            (Closing::Fed(fed), Closing::Fed(_)) => Closing::Fed(fed),
            (Closing::Fed(fed) | Closing::Behind(fed), Closing::Fed(_) | Closing::Behind(_)) => {
                Closing::Behind(fed)
            }
            _ => Closing::Frontiers,
        }
    }

    /// Where an operator is to note the first epoch that waits in it; `Epoch::MAX` when none does.
    ///
    /// Frontiers that are watched further down tell as much of an operator that is read by something. One that nobody
    /// reads is not to miss an epoch either: what it keeps goes into checkpoints.
    pub(crate) fn waiting(&self) -> Rc<Cell<Epoch>> {
        let waiting = Rc::new(Cell::new(Epoch::MAX));
        if let Closing::Behind(fed) = self {
            fed.watch(&waiting);
        }
        waiting
    }

    /// The first epoch at which something may still come, given the frontiers of the operator's inputs; `Epoch::MAX`
    /// when all of them have ended.
    #[inline]
    pub(crate) fn first_open(&self, frontiers: &[MutableAntichain<Epoch>]) -> Epoch {
        match self {
            Closing::Fed(fed) => fed.to(),
            Closing::Behind(fed) if !fed.astir() => fed.to(),
            Closing::Behind(_) | Closing::Frontiers => first_open(frontiers),
        }
    }
}

/// The first epoch that some of the frontiers have not passed; `Epoch::MAX` when all of them have ended.
pub(crate) fn first_open(frontiers: &[MutableAntichain<Epoch>]) -> Epoch {
    let open = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied());
    open.min().unwrap_or(Epoch::MAX)
}

#[cfg(test)]
mod tests;
