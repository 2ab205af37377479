//! Edges between operators of one worker.
//!
//! Timely's own `Pipeline` hands a message over and notes its channel, so that the reader runs in the next step. But a
//! reader is built after what it reads, and runs in the same step anyway, as soon as its source has: the second run of
//! every reader finds nothing, and the notes are to be sorted first. In a wide graph that is half of what an epoch costs.
//!
//! Two things make the notes superfluous. Timely runs the operators of a step in the order in which they were built, and
//! adds the readers of whatever an operator said to those that are still to run; that a reader is one of them is asserted
//! for each edge. And nothing is said but by an operator that runs: inputs, which are fed from outside, are made to run
//! after they were ([`crate::worker`]). What is said and what is read is counted on either side of the edge, by timely.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use timely::communication::{Pull, Push};
use timely::dataflow::Stream;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::logging::TimelyLogger;
use timely::worker::Worker;

use crate::time::Epoch;

/// Messages stay on their worker, and reach their reader in the step that made them.
pub(crate) struct Direct {
    /// The operator that they come from.
    source: usize,
}

impl Direct {
    /// For whoever reads `stream`.
    pub(crate) fn from<C>(stream: &Stream<'_, Epoch, C>) -> Self {
        Direct { source: stream.name().node }
    }
}

type Queue<M> = Rc<RefCell<VecDeque<M>>>;

/// The source's end of an edge.
pub(crate) struct Inlet<M>(Queue<M>);

/// The reader's end, with the message it reads.
pub(crate) struct Outlet<M>(Queue<M>, Option<M>);

impl<T: 'static, C: 'static> ParallelizationContract<T, C> for Direct {
    type Pusher = Inlet<Message<T, C>>;
    type Puller = Outlet<Message<T, C>>;

    fn connect(
        self,
        _: &Worker,
        _: usize,
        reader: Rc<[usize]>,
        _: Option<TimelyLogger>,
    ) -> (Self::Pusher, Self::Puller) {
        assert!(
            reader.last().is_some_and(|reader| self.source < *reader),
            "operator {} is read by {reader:?}, which was built before it and would not see what it says",
            self.source
        );
        let queue = Queue::default();
        (Inlet(Rc::clone(&queue)), Outlet(queue, None))
    }
}

impl<M> Push<M> for Inlet<M> {
    #[inline]
    fn push(&mut self, message: &mut Option<M>) {
        self.0.borrow_mut().extend(message.take());
    }
}

impl<M> Pull<M> for Outlet<M> {
    #[inline]
    fn pull(&mut self) -> &mut Option<M> {
        self.1 = self.0.borrow_mut().pop_front();
        &mut self.1
    }
}

#[cfg(test)]
mod tests {
    use timely::dataflow::operators::ToStream;
    use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

    use super::Direct;
    use crate::time::Epoch;

    #[test]
    #[should_panic(expected = "which was built before it")]
    fn a_reader_that_was_built_before_its_source_is_refused() {
        timely::execute_directly(|worker| {
            worker.dataflow::<Epoch, _, _>(|scope| {
                let mut reader = OperatorBuilder::new("Reader".to_owned(), scope);
                let rows = (0..3_u64).to_stream(scope).container::<Vec<u64>>();
                let source = Direct::from(&rows);
                let _ = reader.new_input(rows, source);
            });
        });
    }
}
