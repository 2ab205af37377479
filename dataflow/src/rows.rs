//! Where a table's changes come from, and what happens to them on their way into the operator that reads them.
//!
//! A stateless step is no operator of its own: it runs inside its reader, batch by batch. An operator costs a hop, a copy
//! and progress tracking in every epoch; a step costs a call.

use std::cell::RefCell;
use std::rc::Rc;

use timely::Container;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream, StreamVec};
use timely::progress::operate::FrontierInterest;

use crate::Datum;
use crate::edge::Direct;
use crate::scratch;
use crate::table::Change;
use crate::time::Epoch;

/// The operator being built that reads some rows.
pub(crate) type Reader<'s> = OperatorBuilder<'s, Epoch>;

/// Takes a batch over: what is left in it is gone.
pub(crate) type Deliver<D> = Box<dyn FnMut(&InputCapability<Epoch>, &mut Vec<Change<D>>)>;

/// Delivers what has come; to be called whenever the reader runs.
pub(crate) type Pump = Box<dyn FnMut()>;

/// A source of changes that can be read by any number of operators.
pub(crate) trait Rows<'s, D: Datum> {
    /// Adds the inputs to `reader` that these rows come from.
    fn install(&self, reader: &mut Reader<'s>, deliver: Deliver<D>) -> Pump;

    /// Whether all rows of an epoch are there when a reader runs; see [`crate::prompt`].
    fn prompt(&self) -> bool;

    /// The rows as a stream, where they are one without further doing.
    fn stream(&self) -> Option<StreamVec<'s, Epoch, Change<D>>> {
        None
    }
}

/// What an operator says, as it comes.
pub(crate) struct Said<'s, D: Datum> {
    pub(crate) stream: StreamVec<'s, Epoch, Change<D>>,
    pub(crate) prompt: bool,
}

impl<'s, D: Datum> Rows<'s, D> for Said<'s, D> {
    fn install(&self, reader: &mut Reader<'s>, mut deliver: Deliver<D>) -> Pump {
        let mut input = reader.new_input(self.stream.clone(), Direct::from(&self.stream));
        Box::new(move || input.for_each(|cap, rows| deliver(&cap, rows)))
    }

    fn prompt(&self) -> bool {
        self.prompt
    }

    fn stream(&self) -> Option<StreamVec<'s, Epoch, Change<D>>> {
        Some(self.stream.clone())
    }
}

/// Rows read from batches of another container, such as one that several readers share.
pub(crate) struct Read<'s, C, F> {
    pub(crate) batches: Stream<'s, Epoch, C>,
    pub(crate) prompt: bool,
    pub(crate) pick: Rc<F>,
}

impl<'s, C, D, F> Rows<'s, D> for Read<'s, C, F>
where
    C: Container + Clone,
    D: Datum,
    F: Fn(&mut C, &mut Vec<Change<D>>) + 'static,
{
    fn install(&self, reader: &mut Reader<'s>, mut deliver: Deliver<D>) -> Pump {
        let mut input = reader.new_input(self.batches.clone(), Direct::from(&self.batches));
        let pick = Rc::clone(&self.pick);
        let mut rows = Vec::new();
        Box::new(move || {
            input.for_each(|cap, batch| {
                pick(batch, &mut rows);
                if !rows.is_empty() {
                    deliver(&cap, &mut rows);
                    scratch::clear(&mut rows);
                }
            });
        })
    }

    fn prompt(&self) -> bool {
        self.prompt
    }
}

/// Rows after a step without state.
pub(crate) struct Step<'s, D: Datum, F> {
    pub(crate) of: Rc<dyn Rows<'s, D> + 's>,
    pub(crate) step: Rc<F>,
}

impl<'s, D, E, F> Rows<'s, E> for Step<'s, D, F>
where
    D: Datum,
    E: Datum,
    F: Fn(&mut Vec<Change<D>>, &mut Vec<Change<E>>) + 'static,
{
    fn install(&self, reader: &mut Reader<'s>, mut deliver: Deliver<E>) -> Pump {
        let step = Rc::clone(&self.step);
        let mut after = Vec::new();
        let through = move |cap: &InputCapability<Epoch>, rows: &mut Vec<Change<D>>| {
            step(rows, &mut after);
            if !after.is_empty() {
                deliver(cap, &mut after);
                scratch::clear(&mut after);
            }
        };
        self.of.install(reader, Box::new(through))
    }

    fn prompt(&self) -> bool {
        self.of.prompt()
    }
}

/// The rows of both.
pub(crate) struct Both<'s, D: Datum>(
    pub(crate) Rc<dyn Rows<'s, D> + 's>,
    pub(crate) Rc<dyn Rows<'s, D> + 's>,
);

impl<'s, D: Datum> Rows<'s, D> for Both<'s, D> {
    fn install(&self, reader: &mut Reader<'s>, deliver: Deliver<D>) -> Pump {
        let deliver = Rc::new(RefCell::new(deliver));
        let again = Rc::clone(&deliver);
        let mut one =
            self.0.install(reader, Box::new(move |cap, rows| (deliver.borrow_mut())(cap, rows)));
        let mut other =
            self.1.install(reader, Box::new(move |cap, rows| (again.borrow_mut())(cap, rows)));
        Box::new(move || {
            one();
            other();
        })
    }

    fn prompt(&self) -> bool {
        self.0.prompt() && self.1.prompt()
    }
}

/// The rows as a stream: with an operator that runs their steps, where there are any.
pub(crate) fn stream<'s, D: Datum>(
    rows: &Rc<dyn Rows<'s, D> + 's>,
    scope: Scope<'s, Epoch>,
) -> StreamVec<'s, Epoch, Change<D>> {
    if let Some(stream) = rows.stream() {
        return stream;
    }
    let mut builder = OperatorBuilder::new("Steps".to_owned(), scope);
    // The output is there before the inputs, which are connected to it as they are added.
    let (output, stream) = builder.new_output::<Vec<Change<D>>>();
    let mut output: OutputBuilder<_, CapacityContainerBuilder<Vec<Change<D>>>> =
        OutputBuilder::from(output);
    let through = move |cap: &InputCapability<Epoch>, rows: &mut Vec<Change<D>>| {
        output.activate().session(cap).give_container(rows);
    };
    let mut pump = rows.install(&mut builder, Box::new(through));
    for input in 0..builder.shape().inputs() {
        builder.set_notify_for(input, FrontierInterest::Never);
    }
    builder.build(|_| move |_| pump());
    stream
}

/// Adds `rows` to an operator that wants those with the same `key` on the same worker.
pub(crate) fn gather<'s, D: Datum>(
    rows: &Rc<dyn Rows<'s, D> + 's>,
    key: impl Fn(&D) -> u64 + 'static,
    scope: Scope<'s, Epoch>,
    reader: &mut Reader<'s>,
    mut deliver: Deliver<D>,
) -> Pump {
    if scope.peers() == 1 {
        return rows.install(reader, deliver);
    }
    let key: Box<dyn Fn(&D) -> u64> = Box::new(key);
    let exchange = Exchange::new(move |change: &Change<D>| key(&change.0));
    let mut input = reader.new_input(stream(rows, scope), exchange);
    Box::new(move || input.for_each(|cap, rows| deliver(&cap, rows)))
}
