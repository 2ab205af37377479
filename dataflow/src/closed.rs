//! The one shape of our own operators: they act on whole closed epochs, in order, and see the watermark of each.
//!
//! An epoch is handed to the logic once nothing more can come of it on any input: when the frontiers have passed it, or,
//! on a worker that is alone, as soon as it was fed (`prompt`). Whatever the interleaving of
//! containers and workers, the logic sees every change of an epoch together, so that a `-3` is never seen without
//! its `+4`. Logic must not depend on the order of rows within an epoch.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;

use differential_dataflow::consolidation::consolidate;
use rustc_hash::FxBuildHasher;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use crate::Datum;
use crate::edge::Direct;
use crate::keep::{State, put, take};
use crate::rows::{Deliver, gather};
use crate::scratch;
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
    /// Makes room for so many more changes.
    pub(crate) fn expect(&mut self, changes: usize) {
        self.changes.reserve(changes);
    }
    #[inline]
    pub(crate) fn give(&mut self, row: D, diff: isize) {
        self.changes.push((row, self.epoch, diff));
    }
}

impl<D: Datum> Out<D> {
    /// Gives what `changes` amount to, and empties them.
    pub(crate) fn give_net(&mut self, changes: &mut Vec<(D, isize)>) {
        consolidate(changes);
        let epoch = self.epoch;
        self.changes.extend(changes.drain(..).map(|(row, diff)| (row, epoch, diff)));
        scratch::clear(changes);
    }
}

/// The right to answer at an epoch, on either output.
type Capabilities = [Capability<Epoch>; 2];

/// Rows by epoch, each epoch with the capabilities to answer at it.
struct Stash<D> {
    waiting: BTreeMap<Epoch, (Capabilities, Vec<D>)>,
}

impl<D> Default for Stash<D> {
    fn default() -> Self {
        Stash { waiting: BTreeMap::new() }
    }
}

impl<D> Stash<D> {
    fn at(&mut self, epoch: Epoch, capabilities: impl FnOnce() -> Capabilities) -> &mut Vec<D> {
        &mut self.waiting.entry(epoch).or_insert_with(|| (capabilities(), Vec::new())).1
    }

    fn first(&self) -> Option<Epoch> {
        self.waiting.keys().next().copied()
    }

    /// The rows of `epoch`; their capabilities replace those found so far.
    fn take(&mut self, epoch: Epoch, capabilities: &mut Option<Capabilities>) -> Vec<D> {
        let Some((theirs, rows)) = self.waiting.remove(&epoch) else { return Vec::new() };
        *capabilities = Some(theirs);
        rows
    }
}

impl<D> Stash<Change<D>> {
    /// Files the rows of a message, whose own epochs may lie after the message's.
    fn file(&mut self, cap: &InputCapability<Epoch>, rows: &mut Vec<Change<D>>) {
        let Some(&(_, first, _)) = rows.first() else { return };
        let capabilities = |epoch| move || [cap.delayed(&epoch, 0), cap.delayed(&epoch, 1)];
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
    let kept = left.watermarks.keeper.keep(name, Held { watermark: BEGINNING, state });
    let turn = move |epoch,
                     marks: &[EventTime],
                     lefts: &mut _,
                     rights: &mut _,
                     out: &mut _,
                     side: &mut _| {
        kept.before(epoch);
        let held = &mut *kept.state.borrow_mut();
        let to = marks.iter().copied().fold(held.watermark, EventTime::max);
        let advanced = to > held.watermark;
        held.watermark = to;
        let now = Now { epoch, watermark: to, advanced };
        logic(&mut held.state, now, lefts, rights, out, side);
    };
    let left_key: Key<A> = Box::new(left_key);
    let right = right.map(|(table, key)| (table, Box::new(key) as Key<B>));
    in_turns(left, left_key, right, name, Box::new(turn))
}

type Key<D> = Box<dyn Fn(&D) -> u64>;

/// What an operator does at a closed epoch: given how the watermark advanced in it and the changes of both inputs.
type Turn<A, B, O, S> = Box<
    dyn FnMut(
        Epoch,
        &[EventTime],
        &mut Vec<Change<A>>,
        &mut Vec<Change<B>>,
        &mut Out<O>,
        &mut Out<S>,
    ),
>;

/// The operator but for what sets one apart from others of the same types: compiled once for all of them.
fn in_turns<'s, A: Datum, B: Datum, O: Datum, S: Datum>(
    left: Table<'s, A>,
    left_key: Key<A>,
    right: Option<(Table<'s, B>, Key<B>)>,
    name: &str,
    mut turn: Turn<A, B, O, S>,
) -> (Table<'s, O>, Table<'s, S>) {
    let scope = left.scope();
    let watermarks = left.watermarks.clone();
    let closing = match &right {
        None => left.how_closed(),
        Some((right, _)) => left.how_closed().and(right.how_closed()),
    };
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);

    let marks: Rc<RefCell<Stash<EventTime>>> = Rc::default();
    let lefts: Rc<RefCell<Stash<Change<A>>>> = Rc::default();
    let rights: Rc<RefCell<Stash<Change<B>>>> = Rc::default();
    let mut marks_in =
        builder.new_input(watermarks.stream.clone(), Direct::from(&watermarks.stream));
    let stash = Rc::clone(&lefts);
    let file: Deliver<A> = Box::new(move |cap, rows| stash.borrow_mut().file(cap, rows));
    let mut left_in = gather(&left.rows, left_key, scope, &mut builder, file);
    let mut right_in = right.map(|(table, key)| {
        let stash = Rc::clone(&rights);
        let file: Deliver<B> = Box::new(move |cap, rows| stash.borrow_mut().file(cap, rows));
        gather(&table.rows, key, scope, &mut builder, file)
    });
    for input in 0..builder.shape().inputs() {
        // Without rows there is nothing to close.
        builder.set_notify_for(input, FrontierInterest::IfCapability);
    }
    let (main_out, main) = builder.new_output::<Vec<Change<O>>>();
    let (side_out, side) = builder.new_output::<Vec<Change<S>>>();
    let mut main_out: OutputBuilder<_, CapacityContainerBuilder<Vec<Change<O>>>> =
        OutputBuilder::from(main_out);
    let mut side_out: OutputBuilder<_, CapacityContainerBuilder<Vec<Change<S>>>> =
        OutputBuilder::from(side_out);
    let (mut out, mut out_side) = (Out::new(), Out::new());
    let waiting = closing.waiting();

    let main = Table::closing(main, watermarks.clone(), &closing);
    let side = Table::closing(side, watermarks, &closing);
    builder.build(move |_initial| {
        move |frontiers: &[MutableAntichain<Epoch>]| {
            marks_in.for_each(|cap, data| {
                let both = || [cap.retain(0), cap.retain(1)];
                marks.borrow_mut().at(*cap.time(), both).append(data);
            });
            left_in();
            if let Some(right_in) = &mut right_in {
                right_in();
            }
            let (marks, lefts) = (&mut *marks.borrow_mut(), &mut *lefts.borrow_mut());
            let rights = &mut *rights.borrow_mut();
            let first_open = closing.first_open(frontiers);
            loop {
                let first = [marks.first(), lefts.first(), rights.first()];
                let first = first.into_iter().flatten().min();
                waiting.set(first.unwrap_or(Epoch::MAX));
                let Some(epoch) = first.filter(|epoch| *epoch < first_open) else { break };
                let mut capabilities = None;
                let marks = marks.take(epoch, &mut capabilities);
                let mut left_rows = lefts.take(epoch, &mut capabilities);
                let mut right_rows = rights.take(epoch, &mut capabilities);
                let [main, side] = capabilities.expect("what waits has capabilities");
                (out.epoch, out_side.epoch) = (epoch, epoch);
                turn(epoch, &marks, &mut left_rows, &mut right_rows, &mut out, &mut out_side);
                if !out.changes.is_empty() {
                    main_out.activate().session(&main).give_container(&mut out.changes);
                    out.changes.clear();
                }
                if !out_side.changes.is_empty() {
                    side_out.activate().session(&side).give_container(&mut out_side.changes);
                    out_side.changes.clear();
                }
            }
        }
    });
    (main, side)
}
