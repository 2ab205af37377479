//! The input fanned out to queries by kind, without copying it for each.

use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::Operator;

use crate::Datum;
use crate::edge::Direct;
use crate::rows::Read;
use crate::table::{Change, Table, Watermarks};
use crate::time::Epoch;

/// Events that any number of queries may select from; a batch is shared, not cloned.
#[derive(Clone)]
pub struct Events<'s, E: Datum> {
    batches: Stream<'s, Epoch, Rc<Vec<Change<E>>>>,
    prompt: bool,
    watermarks: Watermarks<'s>,
}

impl<'s, E: Datum> Events<'s, E> {
    pub(crate) fn new(table: Table<'s, E>) -> Self {
        let prompt = table.rows.prompt();
        let rows = table.stream();
        let edge = Direct::from(&rows);
        let batches = rows.unary::<CapacityContainerBuilder<Rc<Vec<Change<E>>>>, _, _, _>(
            edge,
            "Shared",
            |_, _| {
                |input, output| {
                    input.for_each(|cap, rows| {
                        output.session(&cap).give_container(&mut Rc::new(std::mem::take(rows)));
                    });
                }
            },
        );
        Events { batches, prompt, watermarks: table.watermarks }
    }

    /// The events for which `pick` has an answer, as rows of their own.
    pub fn select<D: Datum>(&self, pick: impl Fn(&E) -> Option<D> + 'static) -> Table<'s, D> {
        self.read(move |batch, out| {
            let picked = batch.iter();
            out.extend(picked.filter_map(|(row, epoch, diff)| Some((pick(row)?, *epoch, *diff))));
        })
    }

    /// As [`Events::select`], any number of rows from each event.
    pub fn select_many<D: Datum>(&self, pick: impl Fn(&E, &mut Vec<D>) + 'static) -> Table<'s, D> {
        self.select_by_epoch(move |event, _, out| pick(event, out))
    }

    /// As [`Events::select_many`], knowing the epoch that brought the event.
    pub fn select_by_epoch<D: Datum>(
        &self,
        pick: impl Fn(&E, Epoch, &mut Vec<D>) + 'static,
    ) -> Table<'s, D> {
        self.read(move |batch, out| {
            let mut picked = Vec::new();
            for (event, epoch, diff) in batch {
                pick(event, *epoch, &mut picked);
                out.extend(picked.drain(..).map(|row| (row, *epoch, *diff)));
            }
        })
    }

    fn read<D: Datum>(
        &self,
        read: impl Fn(&[Change<E>], &mut Vec<Change<D>>) + 'static,
    ) -> Table<'s, D> {
        let read = move |batch: &mut Rc<Vec<Change<E>>>, out: &mut Vec<Change<D>>| read(batch, out);
        let rows = Read { batches: self.batches.clone(), prompt: self.prompt, pick: Rc::new(read) };
        Table::of(rows, self.watermarks.clone())
    }
}
