//! What operators keep of their input, taken at a closed epoch and given back to the next graph.
//!
//! ```text
//! keep(C) ──► every operator, before its first epoch after C, or once C is closed: its state as bytes
//!         ──► Kept { epoch: C, one list of parts per worker } ──► a graph built alike, which goes on with C + 1
//! ```
//!
//! An operator hands its state to the [`Keeper`] when it is built; the order of building tells the parts apart, their
//! names are checked. Nothing waits: an operator that is ahead of the others has set its part aside before it went on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::MutableAntichain;

use crate::Datum;
use crate::edge::Direct;
use crate::prompt::{Fed, first_open};
use crate::table::{Change, Table};
use crate::time::Epoch;

/// What all operators of a graph keep as of a closed epoch: their compacted input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Everything up to here is in it, nothing after.
    pub epoch: Epoch,
    /// Per worker its operators' parts, in the order in which the graph is built.
    pub workers: Vec<Vec<Part>>,
}

/// What one operator of one worker keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Why a graph cannot go on from what another one kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was kept does not fit this graph: {0}\nhint: start without it, from the journal")]
pub struct Unfit(pub(crate) String);

/// State of an operator: everything that outlives an epoch.
pub(crate) trait State: 'static {
    fn save(&self, out: &mut Vec<u8>);
    /// Takes over what [`State::save`] wrote, and moves `saved` behind it.
    fn load(&mut self, saved: &mut &[u8]) -> Result<(), String>;
}

impl<T: Serialize + DeserializeOwned + 'static> State for T {
    fn save(&self, out: &mut Vec<u8>) {
        put(out, self);
    }

    fn load(&mut self, saved: &mut &[u8]) -> Result<(), String> {
        *self = take(saved)?;
        Ok(())
    }
}

/// Appends a value.
pub(crate) fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    bincode::serialize_into(out, value).expect("state is plain data in memory");
}

/// Reads a value, and moves `saved` behind it.
pub(crate) fn take<T: DeserializeOwned>(saved: &mut &[u8]) -> Result<T, String> {
    bincode::deserialize_from(saved).map_err(|error| error.to_string())
}

/// One worker's list of everything its operators keep. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Keeper(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// The epoch that the graph goes on from.
    resumed: Option<Epoch>,
    given: RefCell<VecDeque<Part>>,
    wrong: RefCell<Option<String>>,
    slots: RefCell<Vec<Slot>>,
    /// The epoch as of which parts are being taken.
    due: Cell<Option<Epoch>>,
}

struct Slot {
    name: String,
    state: Rc<RefCell<dyn State>>,
    taken: Option<Vec<u8>>,
}

/// An operator's state, and its place in the list.
pub(crate) struct Handle<S> {
    pub(crate) state: Rc<RefCell<S>>,
    keeper: Keeper,
    slot: usize,
}

impl<S> Handle<S> {
    /// To be called before the state of `epoch` is touched: sets the part aside when the epoch asked for lies before.
    #[inline]
    pub(crate) fn before(&self, epoch: Epoch) {
        if self.keeper.0.due.get().is_some_and(|due| due < epoch) {
            self.keeper.take(self.slot);
        }
    }
}

impl Keeper {
    /// For a graph that goes on from `parts`, which another one kept as of `epoch`.
    pub(crate) fn resuming(epoch: Epoch, parts: Vec<Part>) -> Self {
        let given = RefCell::new(parts.into());
        Keeper(Rc::new(Inner { resumed: Some(epoch), given, ..Inner::default() }))
    }

    /// The epoch that the graph goes on from, if it does.
    pub(crate) fn resumed(&self) -> Option<Epoch> {
        self.0.resumed
    }

    /// Lists an operator's state, after filling it with what was kept of it.
    pub(crate) fn keep<S: State>(&self, name: &str, mut state: S) -> Handle<S> {
        if self.resumed().is_some() {
            let loaded = match self.0.given.borrow_mut().pop_front() {
                Some(part) if part.name == name => {
                    let mut bytes = part.bytes.as_slice();
                    let loaded = state.load(&mut bytes);
                    loaded.and_then(|()| match bytes {
                        [] => Ok(()),
                        _ => Err("there is more of it than is known".to_owned()),
                    })
                }
                Some(part) => Err(format!("it is of {}", part.name)),
                None => Err("it is missing".to_owned()),
            };
            if let Err(what) = loaded {
                let mut wrong = self.0.wrong.borrow_mut();
                wrong.get_or_insert_with(|| format!("the part of operator {name}: {what}"));
            }
        }
        let state = Rc::new(RefCell::new(state));
        let mut slots = self.0.slots.borrow_mut();
        slots.push(Slot { name: name.to_owned(), state: state.clone(), taken: None });
        Handle { state, keeper: self.clone(), slot: slots.len() - 1 }
    }

    /// Whether everything given was taken over, to be asked when the graph is built.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let left = self.0.given.borrow().len();
        match self.0.wrong.borrow_mut().take() {
            Some(what) => Err(Unfit(what)),
            None if left > 0 => Err(Unfit(format!("{left} operators of it are not in the graph"))),
            None => Ok(()),
        }
    }

    /// From now on operators set their parts aside before they go on to an epoch after `epoch`.
    ///
    /// To be called while no operator can have gone beyond `epoch`: nothing after it was handed to this worker yet, or
    /// something holds it back. What was asked for before is given up.
    pub(crate) fn ask(&self, epoch: Epoch) {
        self.0.slots.borrow_mut().iter_mut().for_each(|slot| slot.taken = None);
        self.0.due.set(Some(epoch));
    }

    /// All parts, once the epoch asked for is closed.
    pub(crate) fn collect(&self) -> Vec<Part> {
        let count = self.0.slots.borrow().len();
        (0..count).for_each(|slot| self.take(slot));
        self.0.due.set(None);
        let mut slots = self.0.slots.borrow_mut();
        let parts = slots.iter_mut().map(|slot| Part {
            name: slot.name.clone(),
            bytes: slot.taken.take().expect("every part was just taken"),
        });
        parts.collect()
    }

    fn take(&self, slot: usize) {
        let slot = &mut self.0.slots.borrow_mut()[slot];
        if slot.taken.is_none() {
            let mut bytes = Vec::new();
            slot.state.borrow().save(&mut bytes);
            // It waits until the views have its epoch.
            bytes.shrink_to_fit();
            slot.taken = Some(bytes);
        }
    }
}

impl<D: Datum> Table<'_, D> {
    /// The same table, whose rows are kept for the differential operator behind it: its traces are filled from them
    /// when a graph goes on, and [`Table::said`] holds back what that makes it say again. A worker that is alone is
    /// astir once rows go through ([`crate::prompt`]).
    ///
    /// State: one entry per distinct row.
    pub(crate) fn kept(self, name: &str) -> Self {
        let keeper = self.watermarks.keeper.clone();
        let rows: FxHashMap<D, isize> = FxHashMap::default();
        let handle = keeper.keep(name, rows);
        let mut waiting = std::collections::BTreeMap::new();
        let watermarks = self.watermarks.clone();
        let (closing, fed) = (self.how_closed(), watermarks.fed.clone());
        let stir = move || fed.iter().for_each(Fed::stir);
        let stream = self.stream();
        let edge = Direct::from(&stream);
        let changes = stream.unary_frontier::<CapacityContainerBuilder<Vec<Change<D>>>, _, _, _>(
            edge,
            name,
            move |initial, _| {
                let mut first = keeper.resumed().map(|epoch| initial.delayed(&epoch));
                move |(input, frontier), output| {
                    if let Some(capability) = first.take() {
                        stir();
                        let epoch = *capability.time();
                        let rows = handle.state.borrow();
                        let rows = rows.iter().map(|(row, copies)| (row.clone(), epoch, *copies));
                        output.session(&capability).give_iterator(rows);
                    }
                    input.for_each(|cap, data| {
                        for row in data.drain(..) {
                            let epoch = row.1;
                            let (_, rows) = waiting
                                .entry(epoch)
                                .or_insert_with(|| (cap.delayed(&epoch, 0), Vec::new()));
                            rows.push(row);
                        }
                    });
                    let first_open = closing.first_open(std::slice::from_ref(frontier));
                    while let Some(entry) = waiting.first_entry() {
                        let epoch = *entry.key();
                        if epoch >= first_open {
                            break;
                        }
                        let (capability, rows) = entry.remove();
                        stir();
                        handle.before(epoch);
                        let mut kept = handle.state.borrow_mut();
                        for (row, _, diff) in &rows {
                            add(&mut kept, row, *diff);
                        }
                        output.session(&capability).give_iterator(rows.into_iter());
                    }
                }
            },
        );
        Table::new(changes, watermarks)
    }

    /// The table without what was said at the epoch that the graph goes on from: it had been said before.
    pub(crate) fn said(self) -> Self {
        if let Some(fed) = &self.watermarks.fed {
            watch(fed, self.stream());
        }
        let Some(resumed) = self.watermarks.keeper.resumed() else { return self };
        let watermarks = self.watermarks.clone();
        let stream = self.stream();
        let edge = Direct::from(&stream);
        let changes = stream.unary::<CapacityContainerBuilder<Vec<Change<D>>>, _, _, _>(
            edge,
            "Said before",
            move |_, _| {
                move |input, output| {
                    input.for_each(|cap, data| {
                        data.retain(|(_, epoch, _)| *epoch != resumed);
                        output.session(&cap).give_iterator(data.drain(..));
                    });
                }
            },
        );
        Table::new(changes, watermarks)
    }
}

/// Lets no lone worker be calm before the operator that says this has said everything.
fn watch<D: Datum>(fed: &Fed, said: StreamVec<'_, Epoch, Change<D>>) {
    let mut builder = OperatorBuilder::new("Said".to_owned(), said.scope());
    let edge = Direct::from(&said);
    let mut input = builder.new_input(said, edge);
    let open = Rc::new(Cell::new(Epoch::MIN));
    fed.watch(&open);
    builder.build(move |_| {
        move |frontiers: &[MutableAntichain<Epoch>]| {
            input.for_each(|_, rows| rows.clear());
            open.set(first_open(frontiers));
        }
    });
}

fn add<D: Datum>(rows: &mut FxHashMap<D, isize>, row: &D, diff: isize) {
    match rows.get_mut(row) {
        Some(copies) => {
            *copies += diff;
            if *copies == 0 {
                rows.remove(row);
            }
        }
        None => {
            rows.insert(row.clone(), diff);
        }
    }
}
