//! The one shape of our own operators: they act on whole closed epochs, in order, and see the watermark of each.
//!
//! An epoch is handed to the logic once the frontiers of all inputs have passed it. Whatever the interleaving of
//! containers and workers, the logic sees every change of an epoch together, so that a `-3` is never seen without
//! its `+4`. Logic must not depend on the order of rows within an epoch.

use std::collections::BTreeMap;
use std::hash::Hash;

use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;

use crate::Datum;
use crate::keep::{State, put, take};
use crate::table::{Change, Table};
use crate::time::{BEGINNING, Epoch, EventTime};

/// Where rows with this key live: the same on every process and version.
pub(crate) fn route<K: Hash + ?Sized>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// The epoch being closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) epoch: Epoch,
    /// The watermark as of this epoch; `BEGINNING` before the first.
    pub(crate) watermark: EventTime,
    /// Whether it advanced in this epoch.
    pub(crate) advanced: bool,
}

/// Changes made by an operator in the epoch being closed.
pub(crate) struct Out<D> {
    epoch: Epoch,
    changes: Vec<Change<D>>,
}

impl<D> Out<D> {
    pub(crate) fn new() -> Self {
        Out { epoch: 0, changes: Vec::new() }
    }
    #[inline]
    pub(crate) fn give(&mut self, row: D, diff: isize) {
        self.changes.push((row, self.epoch, diff));
    }
}

/// Rows by epoch, each epoch with the capabilities to answer at it.
struct Stash<D> {
    waiting: BTreeMap<Epoch, (Vec<Capability<Epoch>>, Vec<D>)>,
}

impl<D> Stash<D> {
    fn new() -> Self {
        Stash { waiting: BTreeMap::new() }
    }

    fn at(
        &mut self,
        epoch: Epoch,
        capabilities: impl FnOnce() -> Vec<Capability<Epoch>>,
    ) -> &mut Vec<D> {
        &mut self.waiting.entry(epoch).or_insert_with(|| (capabilities(), Vec::new())).1
    }

    fn first(&self) -> Option<Epoch> {
        self.waiting.keys().next().copied()
    }

    fn take(&mut self, epoch: Epoch) -> Option<(Vec<Capability<Epoch>>, Vec<D>)> {
        self.waiting.remove(&epoch)
    }
}

impl<D> Stash<Change<D>> {
    /// Files the rows of a message, whose own epochs may lie after the message's.
    fn file(&mut self, cap: &InputCapability<Epoch>, rows: &mut Vec<Change<D>>) {
        let Some(&(_, first, _)) = rows.first() else { return };
        let capabilities = |epoch| move || vec![cap.delayed(&epoch, 0), cap.delayed(&epoch, 1)];
        if rows.iter().all(|(_, epoch, _)| *epoch == first) {
            let stash = self.at(first, capabilities(first));
            if stash.is_empty() {
                std::mem::swap(stash, rows);
            } else {
                stash.append(rows);
            }
            return;
        }
        for row in rows.drain(..) {
            self.at(row.1, capabilities(row.1)).push(row);
        }
    }
}

/// An operator's state with the watermark it has seen.
struct Held<S> {
    watermark: EventTime,
    state: S,
}

impl<S: State> State for Held<S> {
    fn save(&self, out: &mut Vec<u8>) {
        put(out, &self.watermark);
        self.state.save(out);
    }

    fn load(&mut self, saved: &mut &[u8]) -> Result<(), String> {
        self.watermark = take(saved)?;
        self.state.load(saved)
    }
}

/// Runs `logic` once per epoch in which `table` changes, the watermark advances or a tick says that time passed.
///
/// `rows` holds the epoch's changes, `out` takes the answer. Rows are exchanged by `key`. Whatever outlives an epoch is
/// in `state`, which checkpoints keep under `name`; what `logic` captures must be empty between epochs.
pub(crate) fn closed<'s, D, O, T>(
    table: Table<'s, D>,
    name: &str,
    key: impl Fn(&D) -> u64 + 'static,
    state: T,
    mut logic: impl FnMut(&mut T, Now, &mut Vec<Change<D>>, &mut Out<O>) + 'static,
) -> Table<'s, O>
where
    D: Datum,
    O: Datum,
    T: State,
{
    let logic = move |state: &mut T, now, rows: &mut _, out: &mut _, _: &mut Out<()>| {
        logic(state, now, rows, out);
    };
    closed_with_side(table, name, key, state, logic).0
}

/// As [`closed`], with a second output.
pub(crate) fn closed_with_side<'s, D, O, S, T>(
    table: Table<'s, D>,
    name: &str,
    key: impl Fn(&D) -> u64 + 'static,
    state: T,
    mut logic: impl FnMut(&mut T, Now, &mut Vec<Change<D>>, &mut Out<O>, &mut Out<S>) + 'static,
) -> (Table<'s, O>, Table<'s, S>)
where
    D: Datum,
    O: Datum,
    S: Datum,
    T: State,
{
    let none: Option<(Table<'s, ()>, fn(&()) -> u64)> = None;
    operator(table, key, none, name, state, move |state, now, rows, _, out, side| {
        logic(state, now, rows, out, side);
    })
}

/// As [`closed_with_side`], over two tables.
pub(crate) fn closed2<'s, A, B, O, S, T>(
    left: Table<'s, A>,
    left_key: impl Fn(&A) -> u64 + 'static,
    right: Table<'s, B>,
    right_key: impl Fn(&B) -> u64 + 'static,
    name: &str,
    state: T,
    logic: impl FnMut(&mut T, Now, &mut Vec<Change<A>>, &mut Vec<Change<B>>, &mut Out<O>, &mut Out<S>)
    + 'static,
) -> (Table<'s, O>, Table<'s, S>)
where
    A: Datum,
    B: Datum,
    O: Datum,
    S: Datum,
    T: State,
{
    operator(left, left_key, Some((right, right_key)), name, state, logic)
}

fn operator<'s, A, B, O, S, T, KB>(
    left: Table<'s, A>,
    left_key: impl Fn(&A) -> u64 + 'static,
    right: Option<(Table<'s, B>, KB)>,
    name: &str,
    state: T,
    mut logic: impl FnMut(
        &mut T,
        Now,
        &mut Vec<Change<A>>,
        &mut Vec<Change<B>>,
        &mut Out<O>,
        &mut Out<S>,
    ) + 'static,
) -> (Table<'s, O>, Table<'s, S>)
where
    A: Datum,
    B: Datum,
    O: Datum,
    S: Datum,
    T: State,
    KB: Fn(&B) -> u64 + 'static,
{
    let scope = left.scope();
    let watermarks = left.watermarks.clone();
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);

    let mut marks_in = builder.new_input(watermarks.stream.clone(), Pipeline);
    let mut left_in =
        builder.new_input(left.changes, Exchange::new(move |c: &Change<A>| left_key(&c.0)));
    let mut right_in = right.map(|(table, key)| {
        builder.new_input(table.changes, Exchange::new(move |c: &Change<B>| key(&c.0)))
    });
    let (main_out, main) = builder.new_output::<Vec<Change<O>>>();
    let (side_out, side) = builder.new_output::<Vec<Change<S>>>();
    let mut main_out: OutputBuilder<_, CapacityContainerBuilder<Vec<Change<O>>>> =
        OutputBuilder::from(main_out);
    let mut side_out: OutputBuilder<_, CapacityContainerBuilder<Vec<Change<S>>>> =
        OutputBuilder::from(side_out);

    let mut marks: Stash<EventTime> = Stash::new();
    let mut lefts: Stash<Change<A>> = Stash::new();
    let mut rights: Stash<Change<B>> = Stash::new();
    let kept = watermarks.keeper.keep(name, Held { watermark: BEGINNING, state });
    let (mut out, mut out_side) = (Out::new(), Out::new());
    let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());

    builder.build(move |_initial| {
        move |frontiers: &[MutableAntichain<Epoch>]| {
            marks_in.for_each(|cap, data| {
                marks.at(*cap.time(), || vec![cap.retain(0), cap.retain(1)]).append(data);
            });
            left_in.for_each(|cap, data| {
                lefts.file(&cap, data);
            });
            if let Some(right_in) = &mut right_in {
                right_in.for_each(|cap, data| {
                    rights.file(&cap, data);
                });
            }
            loop {
                let first = [marks.first(), lefts.first(), rights.first()];
                let Some(epoch) = first.into_iter().flatten().min() else { break };
                if frontiers.iter().any(|frontier| frontier.less_equal(&epoch)) {
                    break;
                }
                kept.before(epoch);
                let held = &mut *kept.state.borrow_mut();
                let mut capabilities = None;
                let mut advanced = false;
                if let Some((caps, values)) = marks.take(epoch) {
                    let to = values.into_iter().fold(held.watermark, EventTime::max);
                    advanced = to > held.watermark;
                    held.watermark = to;
                    capabilities = Some(caps);
                }
                if let Some((caps, rows)) = lefts.take(epoch) {
                    left_rows = rows;
                    capabilities = Some(caps);
                }
                if let Some((caps, rows)) = rights.take(epoch) {
                    right_rows = rows;
                    capabilities = Some(caps);
                }
                let Some(capabilities) = capabilities else { continue };
                (out.epoch, out_side.epoch) = (epoch, epoch);
                let now = Now { epoch, watermark: held.watermark, advanced };
                let (lefts, rights) = (&mut left_rows, &mut right_rows);
                logic(&mut held.state, now, lefts, rights, &mut out, &mut out_side);
                left_rows.clear();
                right_rows.clear();
                if !out.changes.is_empty() {
                    let mut handle = main_out.activate();
                    let mut session = handle.session(&capabilities[0]);
                    session.give_iterator(out.changes.drain(..));
                }
                if !out_side.changes.is_empty() {
                    let mut handle = side_out.activate();
                    let mut session = handle.session(&capabilities[1]);
                    session.give_iterator(out_side.changes.drain(..));
                }
            }
        }
    });
    (Table::new(main, watermarks.clone()), Table::new(side, watermarks))
}
