//! What the processes of a cluster tell each other through the graph itself: which epochs they feed, and as of which
//! one everybody keeps what its operators hold; and whatever else all have to know.
//!
//! Pulses go to every worker, and everything else in the graph lies behind them: no operator anywhere goes beyond a
//! pulse's epoch before every worker has heard the pulse. So "keep as of this epoch" reaches each worker in time,
//! though nobody waits for an answer.

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::vec::Broadcast;

use crate::time::Epoch;

/// A process feeds this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulse {
    pub(crate) epoch: Epoch,
    pub(crate) says: Says,
}

/// What a process tells all others with an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Says {
    /// Every worker is to keep what its operators hold as of the epoch.
    pub keep: bool,
    /// What the graph only carries.
    pub word: Option<Word>,
}

/// What processes agree on about the bases that their journals are folded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// Everybody is to fold its journal as of `epoch`.
    Fold { epoch: Epoch },
    /// `process` has folded its journal as of `epoch`, durably.
    Folded { process: usize, epoch: Epoch },
}

/// Takes pulses to every worker, and tells `told` of each one there.
pub(crate) fn everywhere(
    pulses: StreamVec<'_, Epoch, Pulse>,
    mut told: impl FnMut(Pulse) + 'static,
) -> StreamVec<'_, Epoch, Pulse> {
    pulses.broadcast().unary::<CapacityContainerBuilder<Vec<Pulse>>, _, _, _>(
        Pipeline,
        "Pulses",
        move |_, _| {
            move |input, output| {
                input.for_each(|cap, data| {
                    data.iter().copied().for_each(&mut told);
                    output.session(&cap).give_iterator(data.drain(..));
                });
            }
        },
    )
}

/// The same stream, none of which is closed before the pulses of its time were heard everywhere.
pub(crate) fn behind<'s, D: Clone + 'static>(
    pulses: StreamVec<'s, Epoch, Pulse>,
    stream: StreamVec<'s, Epoch, D>,
) -> StreamVec<'s, Epoch, D> {
    use timely::dataflow::operators::Concat;
    let nothing = pulses.unary::<CapacityContainerBuilder<Vec<D>>, _, _, _>(
        Pipeline,
        "Behind the pulses",
        |_, _| |input, _| input.for_each(|_, data| data.clear()),
    );
    stream.concat(nothing)
}
