//! The input fanned out to queries by kind, without copying it for each.

use std::rc::Rc;

use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::rc::SharedStream;

use crate::Datum;
use crate::table::{Change, Table, Watermarks};
use crate::time::Epoch;

/// Events that any number of queries may select from; a batch is shared, not cloned.
#[derive(Clone)]
pub struct Events<'s, E: Datum> {
    batches: Stream<'s, Epoch, Rc<Vec<Change<E>>>>,
    watermarks: Watermarks<'s>,
}

impl<'s, E: Datum> Events<'s, E> {
    pub(crate) fn new(table: Table<'s, E>) -> Self {
        Events { batches: table.changes.shared(), watermarks: table.watermarks }
    }

    /// The events for which `pick` has an answer, as rows of their own.
    pub fn select<D: Datum>(
        &self,
        name: &str,
        pick: impl Fn(&E) -> Option<D> + 'static,
    ) -> Table<'s, D> {
        self.select_many(name, move |event, out| out.extend(pick(event)))
    }

    /// As [`Events::select`], any number of rows from each event.
    pub fn select_many<D: Datum>(
        &self,
        name: &str,
        pick: impl Fn(&E, &mut Vec<D>) + 'static,
    ) -> Table<'s, D> {
        let mut picked = Vec::new();
        let changes = self.batches.clone().unary(Pipeline, name, move |_, _| {
            move |input, output| {
                input.for_each(|cap, batch| {
                    let mut session = output.session(&cap);
                    for (event, epoch, diff) in batch.iter() {
                        pick(event, &mut picked);
                        for row in picked.drain(..) {
                            session.give((row, *epoch, *diff));
                        }
                    }
                });
            }
        });
        Table::new(changes, self.watermarks.clone())
    }
}
