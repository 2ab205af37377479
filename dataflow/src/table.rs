//! Tables: the collections that queries are written over.

use std::rc::Rc;

use differential_dataflow::{AsCollection, VecCollection};
use timely::dataflow::{Scope, StreamVec};

use crate::Datum;
use crate::keep::Keeper;
use crate::prompt::{Closing, Fed};
use crate::rows::{self, Both, Rows, Said, Step};
use crate::time::{Epoch, EventTime};

/// A change to a table: a row, the epoch in which it changes, and by how many copies.
pub(crate) type Change<D> = (D, Epoch, isize);

/// The watermark as a broadcast stream: one value per epoch in which it advances, on every worker.
#[derive(Clone)]
pub(crate) struct Watermarks<'s> {
    pub(crate) stream: StreamVec<'s, Epoch, EventTime>,
    /// Where this worker is alone.
    pub(crate) fed: Option<Fed>,
    /// Goes with it to every operator: where its state is listed.
    pub(crate) keeper: Keeper,
}

/// Rows that change by epoch: a differential collection that knows the watermark.
///
/// Every method is deterministic in the table's contents: the order in which rows arrived never shows. A fork is a
/// visible `.clone()`. Stateful methods take a name, under which metrics and checkpoints know them.
pub struct Table<'s, D: Datum> {
    pub(crate) rows: Rc<dyn Rows<'s, D> + 's>,
    pub(crate) watermarks: Watermarks<'s>,
}

impl<D: Datum> Clone for Table<'_, D> {
    fn clone(&self) -> Self {
        Table { rows: Rc::clone(&self.rows), watermarks: self.watermarks.clone() }
    }
}

impl<'s, D: Datum> Table<'s, D> {
    pub(crate) fn new(
        changes: StreamVec<'s, Epoch, Change<D>>,
        watermarks: Watermarks<'s>,
    ) -> Self {
        Table::of(Said { stream: changes, prompt: false }, watermarks)
    }

    /// As [`Table::new`], of an operator that closes epochs as `closing` says.
    pub(crate) fn closing(
        changes: StreamVec<'s, Epoch, Change<D>>,
        watermarks: Watermarks<'s>,
        closing: &Closing,
    ) -> Self {
        let prompt = matches!(closing, Closing::Fed(_));
        Table::of(Said { stream: changes, prompt }, watermarks)
    }

    /// How whoever reads this table knows that an epoch is over.
    pub(crate) fn how_closed(&self) -> Closing {
        match &self.watermarks.fed {
            Some(fed) if self.rows.prompt() => Closing::Fed(fed.clone()),
            Some(fed) => Closing::Behind(fed.clone()),
            None => Closing::Frontiers,
        }
    }

    pub(crate) fn of(rows: impl Rows<'s, D> + 's, watermarks: Watermarks<'s>) -> Self {
        Table { rows: Rc::new(rows), watermarks }
    }

    pub(crate) fn scope(&self) -> Scope<'s, Epoch> {
        self.watermarks.stream.scope()
    }

    /// The changes as a stream; the steps on the way become an operator.
    pub(crate) fn stream(&self) -> StreamVec<'s, Epoch, Change<D>> {
        rows::stream(&self.rows, self.scope())
    }

    fn collection(self) -> VecCollection<'s, Epoch, D, isize> {
        self.stream().as_collection()
    }

    fn lift<E: Datum>(
        self,
        f: impl FnOnce(VecCollection<'s, Epoch, D, isize>) -> VecCollection<'s, Epoch, E, isize>,
    ) -> Table<'s, E> {
        let watermarks = self.watermarks.clone();
        Table::new(f(self.collection()).inner, watermarks)
    }

    /// A step without state: it runs in whatever reads the table.
    fn step<E: Datum>(
        self,
        step: impl Fn(&mut Vec<Change<D>>, &mut Vec<Change<E>>) + 'static,
    ) -> Table<'s, E> {
        Table::of(Step { of: self.rows, step: Rc::new(step) }, self.watermarks)
    }

    /// As `lift`, for operators with traces: they are filled again from the rows kept.
    fn trace<E: Datum>(
        self,
        name: &str,
        f: impl FnOnce(VecCollection<'s, Epoch, D, isize>) -> VecCollection<'s, Epoch, E, isize>,
    ) -> Table<'s, E> {
        self.kept(name).lift(f).said()
    }

    /// Each row transformed.
    pub fn map<E: Datum>(self, f: impl Fn(D) -> E + 'static) -> Table<'s, E> {
        self.step(move |rows, out| {
            out.extend(rows.drain(..).map(|(row, epoch, diff)| (f(row), epoch, diff)));
        })
    }

    /// Each row transformed into any number of rows.
    pub fn flat_map<E: Datum, I>(self, f: impl Fn(D) -> I + 'static) -> Table<'s, E>
    where
        I: IntoIterator<Item = E>,
    {
        self.step(move |rows, out| {
            for (row, epoch, diff) in rows.drain(..) {
                out.extend(f(row).into_iter().map(|row| (row, epoch, diff)));
            }
        })
    }

    /// The rows for which `keep` holds.
    pub fn filter(self, keep: impl Fn(&D) -> bool + 'static) -> Self {
        self.step(move |rows, out| {
            rows.retain(|(row, _, _)| keep(row));
            std::mem::swap(rows, out);
        })
    }

    /// The rows of both.
    pub fn concat(self, other: Self) -> Self {
        Table::of(Both(self.rows, other.rows), self.watermarks)
    }

    /// Every insertion a retraction and the other way round: `a.concat(b.negate())` is `a` without `b`.
    pub fn negate(self) -> Self {
        self.step(move |rows, out| {
            for (_, _, diff) in rows.iter_mut() {
                *diff = -*diff;
            }
            std::mem::swap(rows, out);
        })
    }

    /// Calls `look` with every change, `(row, epoch, difference)`, for each reader of the table.
    pub fn inspect(self, look: impl Fn(&D, Epoch, isize) + 'static) -> Self {
        self.step(move |rows, out| {
            for (row, epoch, diff) in rows.iter() {
                look(row, *epoch, *diff);
            }
            std::mem::swap(rows, out);
        })
    }
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// Rows under new keys.
    pub fn with_keys<L: Datum>(self, f: impl Fn(&K, &V) -> L + 'static) -> Table<'s, (L, V)> {
        self.map(move |(k, v)| (f(&k, &v), v))
    }

    /// Values transformed, keys kept.
    pub fn map_values<W: Datum>(self, f: impl Fn(&K, V) -> W + 'static) -> Table<'s, (K, W)> {
        self.map(move |(k, v)| {
            let w = f(&k, v);
            (k, w)
        })
    }

    /// All pairs of rows with the same key. State: both sides; shrinks as their rows are retracted.
    pub fn join<W: Datum, O: Datum>(
        self,
        other: Table<'s, (K, W)>,
        f: impl Fn(&K, &V, &W) -> O + 'static,
    ) -> Table<'s, O> {
        let other = other.kept("join right");
        self.trace("join left", |c| c.join_map(other.collection(), f))
    }

    /// Rows whose key is present in `other`, once per row of `other`.
    pub fn semijoin(self, other: Table<'s, K>) -> Self {
        let other = other.kept("semijoin right");
        self.trace("semijoin left", |c| c.semijoin(other.collection()))
    }

    /// Rows whose key is absent from `other` (a distinct table).
    pub fn antijoin(self, other: Table<'s, K>) -> Self {
        let other = other.kept("antijoin right");
        self.trace("antijoin left", |c| c.antijoin(other.collection()))
    }

    /// Recomputes a key's output from all of its values (sorted, with multiplicities) whenever one changes.
    ///
    /// State: the input and the output, shrinking as rows are retracted. Costs the group on every change: keep groups
    /// small, or use an aggregate that rides in the difference.
    pub fn reduce<W: Datum>(
        self,
        name: &str,
        f: impl Fn(&K, &[(&V, isize)], &mut Vec<(W, isize)>) + 'static,
    ) -> Table<'s, (K, W)> {
        self.trace(name, |c| c.reduce_named(name, f))
    }
}
